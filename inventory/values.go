package inventory

import (
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets/msg"
)

// The longest host, user and unit names. They are no part of the patterns: a
// counted repetition of that size costs milliseconds at every start.
const (
	maxHost = 253
	maxUser = 128
	maxUnit = 247
)

var (
	// simpleWord is what a cluster and a node may be called: it is typed by
	// hand to confirm, it names folders, and it starts no option.
	simpleWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	// hostWord covers host names, aliases and IP addresses with a zone.
	hostWord = regexp.MustCompile(`^[A-Za-z0-9:_][A-Za-z0-9._:%-]*$`)
	// userWord has no leading dash and nothing that a shell would read;
	// domain accounts come as DOMAIN\name or name@domain.
	userWord = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.@\\-]*$`)
	jumpWord = regexp.MustCompile(`^(ssh://)?([A-Za-z0-9_.][A-Za-z0-9_.@\\-]*@)?(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(:([0-9]{1,5}))?$`)
	// unitWord is systemd.unit(5)'s alphabet without the slash.
	unitWord = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+$`)
)

func (p *parser) name(n *yaml.Node, key string) string {
	value, ok := p.text(n, key)
	if ok && !simpleWord.MatchString(value) {
		p.fail(follow(n).Line, msg.M("inventory.bad-name", "key", key, "value", shown(value)))
	}
	return value
}

func (p *parser) address(n *yaml.Node) string {
	value, ok := p.text(n, "address")
	if !ok {
		return ""
	}
	return p.checkAddress(follow(n).Line, value)
}

func (p *parser) checkAddress(line int, value string) string {
	if inner, ok := strings.CutPrefix(value, "["); ok {
		value = strings.TrimSuffix(inner, "]")
	}
	switch {
	case strings.Contains(value, "@"):
		p.fail(line, msg.M("inventory.user-in-address", "value", shown(value)))
	case len(value) > maxHost || !hostWord.MatchString(value):
		p.fail(line, msg.M("inventory.bad-address", "value", shown(value)))
	case strings.Count(value, ":") == 1:
		p.fail(line, msg.M("inventory.port-in-address", "value", shown(value)))
	}
	return value
}

func (p *parser) user(n *yaml.Node) string {
	value, ok := p.text(n, "ssh.user")
	if !ok {
		return ""
	}
	return p.checkUser(follow(n).Line, value)
}

func (p *parser) checkUser(line int, value string) string {
	if len(value) > maxUser || !userWord.MatchString(value) {
		p.fail(line, msg.M("inventory.bad-user", "value", shown(value)))
	}
	return value
}

func (p *parser) port(n *yaml.Node) int {
	value, ok := p.text(n, "ssh.port")
	if !ok {
		return 0
	}
	return p.checkPort(follow(n).Line, "ssh.port", value)
}

func (p *parser) checkPort(line int, key, value string) int {
	port, err := strconv.Atoi(value)
	if err != nil || port < 1 || port > 65535 {
		p.fail(line, msg.M("inventory.bad-port", "key", key, "value", shown(value)))
		return 0
	}
	return port
}

func (p *parser) jump(n *yaml.Node) string {
	value, ok := p.text(n, "ssh.jump")
	if !ok || value == "none" {
		return value
	}
	for _, hop := range strings.Split(value, ",") {
		m := jumpWord.FindStringSubmatch(hop)
		bad := m == nil
		if !bad && m[6] != "" {
			port, err := strconv.Atoi(m[6])
			bad = err != nil || port < 1 || port > 65535
		}
		if bad {
			p.fail(follow(n).Line, msg.M("inventory.bad-jump", "value", shown(hop)))
		}
	}
	return value
}

func (p *parser) unit(n *yaml.Node) string {
	value, ok := p.text(n, "etcd.unit")
	if !ok {
		return ""
	}
	if len(value) > maxUnit || !unitWord.MatchString(value) || strings.HasPrefix(value, "-") {
		p.fail(follow(n).Line, msg.M("inventory.bad-unit", "value", shown(value)))
		return value
	}
	if !strings.HasSuffix(value, ".service") {
		value += ".service"
	}
	return value
}

// absolute takes a path on a node. It is compared and joined as text later, so
// it must be written the one way that path.Clean writes it.
func (p *parser) absolute(n *yaml.Node, key string) string {
	value, ok := p.text(n, key)
	if !ok {
		return ""
	}
	clean := path.Clean(value)
	switch line := follow(n).Line; {
	case !strings.HasPrefix(value, "/"):
		p.fail(line, msg.M("inventory.not-absolute", "key", key, "value", shown(value)))
	case clean == "/":
		p.fail(line, msg.M("inventory.slash", "key", key))
	case strings.Contains(value+"/", "/../"):
		p.fail(line, msg.M("inventory.dots", "key", key, "value", shown(value)))
	}
	return clean
}

// paths takes one path or a list of paths on this machine.
func (p *parser) paths(n *yaml.Node, key string) []string {
	items := []*yaml.Node{n}
	if n.Kind != yaml.ScalarNode {
		items = p.list(n, key)
	}
	paths := make([]string, 0, len(items))
	for _, item := range items {
		value, ok := p.text(item, key)
		if !ok {
			continue
		}
		paths = append(paths, p.local(item.Line, key, value))
	}
	return paths
}

func (p *parser) local(line int, key, value string) string {
	rest, tilde := strings.CutPrefix(value, "~")
	switch {
	case tilde && (p.home == "" || rest != "" && rest[0] != '/'):
		p.fail(line, msg.M("inventory.tilde", "key", key, "value", shown(value)))
		return value
	case tilde:
		return filepath.Join(p.home, rest)
	case filepath.IsAbs(value):
		return filepath.Clean(value)
	}
	return filepath.Join(p.dir, value)
}

func (p *parser) url(n *yaml.Node, key string) string {
	value, ok := p.text(n, key)
	if !ok {
		return ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.ContainsAny(value, " \"'`\\") {
		p.fail(follow(n).Line, msg.M("inventory.bad-url", "key", key, "value", shown(value)))
	}
	return value
}
