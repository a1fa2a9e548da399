package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// host is everything that is known about one machine to connect to: the node
// itself or a jump host.
type host struct {
	// alias is the name as given, hostname the one to connect to.
	alias, hostname, user string
	port                  int
	identityFiles         []string
	// identitiesOnly: offer the agent's keys only where they match a file.
	identitiesOnly   bool
	certificateFiles []string
	// agent is the socket of the agent, or why there is none.
	agent      string
	noAgent    msg.Msg
	knownHosts []string
	// writeHosts is the file that accepted host keys go to.
	writeHosts   string
	hashHosts    bool
	hostKeyAlias string
	proxyJump    string
	proxyCommand string
}

// addr is the address to dial.
func (h host) addr() string { return net.JoinHostPort(h.hostname, strconv.Itoa(h.port)) }

// hostKeyName is the name that known_hosts has the key under, as host:port.
func (h host) hostKeyName() string {
	if h.hostKeyAlias != "" {
		// OpenSSH does not add the port to an alias.
		return net.JoinHostPort(h.hostKeyAlias, "22")
	}
	return strings.ToLower(h.addr())
}

// destination is one place to resolve: a node without what only a node has.
type destination struct {
	address, user string
	port          int
	// keys and hosts replace what ssh_config says when they are not empty.
	keys, hosts []string
	// plain destinations are never looked up in ssh_config: the nodes of a lab.
	plain bool
}

// resolve finds out how to reach a destination. What the destination itself
// says wins over ssh_config.
func (t *Transport) resolve(ctx context.Context, d destination) (host, error) {
	if strings.HasPrefix(d.address, "-") || d.address == "" || strings.HasPrefix(d.user, "-") {
		return host{}, fmt.Errorf("%q is not a host", d.user+"@"+d.address)
	}
	values := settings{}
	if !d.plain {
		var err error
		if values, err = t.lookUp(ctx, d); err != nil {
			return host{}, err
		}
	}
	h, err := t.fill(d, values)
	if err != nil {
		return host{}, err
	}
	if len(d.keys) > 0 {
		h.identityFiles, h.certificateFiles, h.identitiesOnly = d.keys, nil, true
	}
	if len(d.hosts) > 0 {
		h.knownHosts, h.writeHosts = d.hosts, d.hosts[0]
	}
	if d.plain && len(d.keys) > 0 {
		h.agent, h.noAgent = "", msg.M("ssh.agent-not-used")
	}
	return h, nil
}

// settings are ssh_config's values, keys in lower case.
type settings map[string][]string

func (s settings) get(key string) string {
	if v := s[key]; len(v) > 0 && v[0] != "none" {
		return v[0]
	}
	return ""
}

// fill turns settings into a host, with OpenSSH's defaults where they are silent.
func (t *Transport) fill(d destination, s settings) (host, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return host{}, fmt.Errorf("finding the home folder: %w", err)
	}
	me := localUser()
	h := host{alias: d.address, hostname: s.get("hostname"), user: d.user, port: d.port}
	if h.hostname == "" {
		h.hostname = d.address
	} else {
		h.hostname = strings.NewReplacer("%h", d.address, "%%", "%").Replace(h.hostname)
	}
	if h.user == "" {
		h.user = s.get("user")
	}
	if h.user == "" {
		h.user = me
	}
	if h.port == 0 {
		h.port, _ = strconv.Atoi(s.get("port"))
	}
	if h.port == 0 {
		h.port = 22
	}
	x := expander{home: home, local: me, h: h}
	h.identityFiles = x.paths(s["identityfile"])
	if len(s["identityfile"]) == 0 {
		h.identityFiles = defaultKeys(home)
	}
	h.certificateFiles = x.paths(s["certificatefile"])
	h.identitiesOnly = s.get("identitiesonly") == "yes"
	h.agent, h.noAgent = findAgent(x, s["identityagent"])
	h.knownHosts = x.paths(words(s["userknownhostsfile"]))
	if len(s["userknownhostsfile"]) == 0 {
		h.knownHosts = []string{filepath.Join(home, ".ssh", "known_hosts"), filepath.Join(home, ".ssh", "known_hosts2")}
	}
	if len(h.knownHosts) > 0 {
		h.writeHosts = h.knownHosts[0]
	}
	global := words(s["globalknownhostsfile"])
	if len(s["globalknownhostsfile"]) == 0 {
		global = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
	}
	h.knownHosts = append(h.knownHosts, x.paths(global)...)
	h.hashHosts = s.get("hashknownhosts") == "yes"
	h.hostKeyAlias = s.get("hostkeyalias")
	h.proxyJump, h.proxyCommand = s.get("proxyjump"), s.get("proxycommand")
	if h.proxyJump != "" {
		h.proxyCommand = ""
	}
	if h.proxyCommand != "" {
		h.proxyCommand = x.expand(h.proxyCommand)
	}
	return h, nil
}

func localUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// defaultKeys are the files that OpenSSH tries when none is named.
func defaultKeys(home string) []string {
	var files []string
	for _, name := range []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"} {
		files = append(files, filepath.Join(home, ".ssh", name))
	}
	return files
}

func words(values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, strings.Fields(v)...)
	}
	return all
}

// findAgent is ssh_config's IdentityAgent, otherwise SSH_AUTH_SOCK.
func findAgent(x expander, values []string) (string, msg.Msg) {
	socket := "SSH_AUTH_SOCK"
	if len(values) > 0 {
		socket = values[0]
	}
	switch {
	case socket == "none":
		return "", msg.M("ssh.agent-none")
	case socket == "SSH_AUTH_SOCK":
		socket = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(socket, "$"):
		socket = os.Getenv(strings.Trim(socket, "${}"))
	default:
		socket = x.expand(socket)
	}
	if socket == "" {
		return "", msg.M("ssh.agent-missing")
	}
	return socket, msg.Msg{}
}

// expander replaces the tokens of ssh_config(5) that make sense before a
// connection exists.
type expander struct {
	home, local string
	h           host
}

func (x expander) expand(s string) string {
	if rest, ok := strings.CutPrefix(s, "~/"); ok {
		s = filepath.Join(x.home, rest)
	}
	s = strings.NewReplacer("%%", "%", "%d", x.home, "%h", x.h.hostname, "%n", x.h.alias,
		"%p", strconv.Itoa(x.h.port), "%r", x.h.user, "%u", x.local).Replace(s)
	return s
}

func (x expander) paths(values []string) []string {
	var all []string
	for _, v := range values {
		v = strings.Trim(v, `"`)
		if v == "" || v == "none" {
			continue
		}
		if strings.Contains(v, "${") {
			v = os.Expand(v, os.Getenv)
		}
		all = append(all, x.expand(v))
	}
	return all
}

// lookUp reads ssh_config, by the ssh program where there is one: it alone
// evaluates Match exec, Include and canonical names as the user knows it.
func (t *Transport) lookUp(ctx context.Context, d destination) (settings, error) {
	binary := t.opts.SSHBinary
	if binary == "" {
		if found, err := exec.LookPath("ssh"); err == nil {
			binary = found
		} else {
			binary = "none"
		}
	}
	if binary == "none" {
		return t.parseConfig(d)
	}
	args := []string{"-G"}
	if t.opts.ConfigFile != "" {
		args = append(args, "-F", t.opts.ConfigFile)
	}
	if d.user != "" {
		args = append(args, "-l", d.user)
	}
	if d.port != 0 {
		args = append(args, "-p", strconv.Itoa(d.port))
	}
	cmd := exec.CommandContext(ctx, binary, append(args, "--", d.address)...) //nolint:gosec // the user's own ssh
	stdout, stderr := &capped{limit: 256 << 10}, &capped{limit: 4 << 10}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A child of Match exec may keep the pipes open after ssh was killed.
	cmd.WaitDelay = waitDelay
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if text := bytes.TrimSpace(stderr.bytes()); len(text) > 0 {
			return nil, errors.New(oneLine(string(text)))
		}
		return nil, fmt.Errorf("ssh -G: %w", err)
	}
	values := settings{}
	for line := range strings.SplitSeq(string(stdout.bytes()), "\n") {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			values[key] = append(values[key], value)
		}
	}
	return values, nil
}

// fallbackKeys are what parseConfig looks for; true marks those of which every
// value counts.
var fallbackKeys = map[string]bool{
	"HostName": false, "User": false, "Port": false, "IdentityFile": true, "CertificateFile": true,
	"IdentitiesOnly": false, "IdentityAgent": false, "UserKnownHostsFile": false,
	"GlobalKnownHostsFile": false, "HashKnownHosts": false, "HostKeyAlias": false,
	"ProxyJump": false, "ProxyCommand": false,
}

// parseConfig reads the configuration files without an ssh program.
func (t *Transport) parseConfig(d destination) (settings, error) {
	files := []string{t.opts.ConfigFile}
	if t.opts.ConfigFile == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("finding the home folder: %w", err)
		}
		files = []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"}
	}
	values := settings{}
	for _, file := range files {
		b, err := os.ReadFile(file) //nolint:gosec // the user's own file
		if errors.Is(err, os.ErrNotExist) && t.opts.ConfigFile == "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading ssh_config: %w", err)
		}
		config, err := ssh_config.DecodeBytes(b)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		if err := values.add(config, d.address); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	return values, nil
}

// add takes what a file says about an alias; earlier files win.
func (s settings) add(config *ssh_config.Config, alias string) error {
	for key, several := range fallbackKeys {
		found, err := config.GetAll(alias, key)
		if err != nil {
			return err
		}
		lower := strings.ToLower(key)
		if !several && (len(s[lower]) > 0 || len(found) == 0) {
			continue
		}
		if !several {
			found = found[:1]
		}
		s[lower] = append(s[lower], found...)
	}
	return nil
}

// nodeDestination is the node as the cluster file has it.
func nodeDestination(n remote.Node) destination {
	return destination{
		address: n.Address, user: n.User, port: n.Port,
		keys: n.IdentityFiles, hosts: n.KnownHosts, plain: n.Root != "",
	}
}
