package inventory

import (
	"fmt"
	"net"
	"os"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// sshSettings are the keys of an ssh: block. The lists are nil when not given,
// so that a node's own list replaces the common one.
type sshSettings struct {
	user, jump, sudo string
	port             int
	identityFiles    []string
	knownHosts       []string
}

// ssh reads an ssh: block over the settings that hold without it.
func (p *parser) ssh(n *yaml.Node, s sshSettings) sshSettings {
	m, ok := p.mapping(n, msg.Raw("ssh"), sshKeys)
	if !ok {
		return s
	}
	if n := m["user"]; n != nil {
		s.user = p.user(n)
	}
	if n := m["port"]; n != nil {
		s.port = p.port(n)
	}
	if n := m["jump"]; n != nil {
		s.jump = p.jump(n)
	}
	p.choice(m["sudo"], "ssh.sudo", &s.sudo, "auto", "never")
	if n := m["identity_files"]; n != nil {
		s.identityFiles = p.paths(n, "ssh.identity_files")
		for _, file := range s.identityFiles {
			if _, err := os.Stat(file); err != nil {
				p.warn(n.Line, msg.M("inventory.no-identity-file", "path", remote.Clean(file)))
			}
		}
	}
	if n := m["known_hosts"]; n != nil {
		s.knownHosts = p.paths(n, "ssh.known_hosts")
	}
	return s
}

func (p *parser) nodes(n *yaml.Node, common sshSettings) []remote.Node {
	items := p.list(n, "nodes")
	if len(items) == 0 {
		p.fail(n.Line, msg.M("inventory.no-nodes"))
		return nil
	}
	var nodes []remote.Node
	names, addresses := map[string]int{}, map[string]int{}
	for _, item := range items {
		node, ok := p.node(item, common)
		if !ok {
			continue
		}
		if first, twice := names[node.Name]; twice {
			p.fail(item.Line, msg.M("inventory.name-twice", "name", node.Name, "line", first))
		}
		if first, twice := addresses[place(node)]; twice {
			p.fail(item.Line, msg.M("inventory.address-twice", "address", node.Address, "line", first))
		}
		names[node.Name], addresses[place(node)] = item.Line, item.Line
		nodes = append(nodes, node)
	}
	if len(items)%2 == 0 {
		p.warn(n.Line, msg.M("inventory.even", "n", len(items)))
	}
	return nodes
}

// place tells machines apart: the nodes of a lab share an address and differ in
// port and root.
func place(n remote.Node) string {
	port := n.Port
	if port == 22 {
		port = 0
	}
	return fmt.Sprintf("%s %d %s", strings.ToLower(n.Address), port, n.Root)
}

func (p *parser) node(n *yaml.Node, common sshSettings) (remote.Node, bool) {
	before := len(p.errors)
	m, ok := p.mapping(n, msg.M("inventory.a-node"), nodeKeys)
	if !ok {
		return remote.Node{}, false
	}
	var node remote.Node
	switch {
	case m["name"] != nil && m["address"] != nil:
		node.Name, node.Address = p.name(m["name"], "name"), p.address(m["address"])
	case m["name"] != nil:
		// The name alone is an ssh_config alias or a host name.
		node.Name = p.name(m["name"], "name")
		node.Address = node.Name
	case m["address"] != nil:
		node.Address = p.address(m["address"])
		node.Name = p.name(m["address"], "name")
	default:
		p.fail(n.Line, msg.M("inventory.node-without-name"))
	}
	if root := m["root"]; root != nil {
		node.Root = p.absolute(root, "root")
	}
	s := common
	if n := m["ssh"]; n != nil {
		s = p.ssh(n, common)
	}
	node.User, node.Port, node.Jump, node.Sudo = s.user, s.port, s.jump, s.sudo
	node.IdentityFiles, node.KnownHosts = s.identityFiles, s.knownHosts
	node.Sudo = sudo(node)
	return node, len(p.errors) == before
}

// sudo fills in how commands get root. A node with a root folder of its own is
// a lab's, which belongs to whoever started it.
func sudo(n remote.Node) string {
	switch {
	case n.Sudo != "":
		return n.Sudo
	case n.Root != "":
		return "never"
	}
	return "auto"
}

// FromNodes makes a cluster of a list as given on the command line,
// [user@]host[:port] with commas between. A user holds for the hosts after it
// too, until another one is named. IPv6 addresses with a port stand in
// brackets. The cluster gets the name of its first node, up to the first dot
// unless that is an IP address: it is what the operator types to confirm. The
// error is Problems.
func FromNodes(list string) (Cluster, error) {
	p := &parser{}
	c := defaults()
	c.SnapshotDirs = []string{DefaultSnapshotDir}
	user, seen := "", map[string]bool{}
	for _, item := range strings.Split(list, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			p.fail(0, msg.M("inventory.empty-node"))
			continue
		}
		host := item
		if at := strings.LastIndex(item, "@"); at >= 0 {
			user, host = p.checkUser(0, item[:at]), item[at+1:]
		}
		n := remote.Node{User: user, Sudo: "auto"}
		if h, port, err := net.SplitHostPort(host); err == nil {
			host, n.Port = h, p.checkPort(0, "port", port)
		}
		n.Address = p.checkAddress(0, host)
		n.Name = n.Address
		if !simpleWord.MatchString(n.Name) { // An IPv6 address, most likely.
			n.Name = fmt.Sprintf("node-%d", len(c.Nodes)+1)
		}
		if seen[n.Name] && n.Port != 0 {
			// The same host by another port: a name of its own.
			n.Name += fmt.Sprintf("-%d", n.Port)
		}
		if seen[n.Name] {
			p.fail(0, msg.M("inventory.node-twice", "node", remote.Clean(item)))
		}
		seen[n.Name] = true
		c.Nodes = append(c.Nodes, n)
	}
	if len(p.errors) > 0 {
		return Cluster{}, p.errors
	}
	c.Name = c.Nodes[0].Name
	if net.ParseIP(c.Nodes[0].Address) == nil {
		c.Name, _, _ = strings.Cut(c.Name, ".")
	}
	return c, nil
}
