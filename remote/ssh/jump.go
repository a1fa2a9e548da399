package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/novatui/novatui/remote"
)

// maxHops bounds a chain of jump hosts; a longer one is a loop.
const maxHops = 8

// chain is the way to a node: the jump hosts in the order in which they are
// passed, the node last. Only the first may have a ProxyCommand.
func (t *Transport) chain(ctx context.Context, n remote.Node) ([]host, error) {
	target, err := t.resolve(ctx, nodeDestination(n))
	if err != nil {
		return nil, err
	}
	like := destination{plain: n.Root != ""}
	switch n.Jump {
	case "":
	case "none":
		target.proxyJump, target.proxyCommand = "", ""
	default:
		target.proxyJump, target.proxyCommand = n.Jump, ""
		// A jump host of the cluster file is subject to the cluster file's
		// keys and known hosts; one of ssh_config to ssh_config.
		like.keys, like.hosts = n.IdentityFiles, n.KnownHosts
	}
	return t.through(ctx, target, like)
}

// through puts the jump hosts of a host before it. As with ssh -J, only the
// first of a list is reached by its own ProxyJump or ProxyCommand.
func (t *Transport) through(ctx context.Context, target host, like destination) ([]host, error) {
	way := []host{target}
	for way[0].proxyJump != "" {
		var hops []host
		for _, spec := range strings.Split(way[0].proxyJump, ",") {
			d, err := parseHop(spec)
			if err != nil {
				return nil, err
			}
			d.plain, d.keys, d.hosts = like.plain, like.keys, like.hosts
			h, err := t.resolve(ctx, d)
			if err != nil {
				return nil, fmt.Errorf("jump host %s: %w", spec, err)
			}
			if len(hops) > 0 {
				h.proxyJump, h.proxyCommand = "", ""
			}
			hops = append(hops, h)
		}
		if way[0].addr() == hops[len(hops)-1].addr() && len(hops) == 1 {
			// Host * with ProxyJump matches the jump host itself too; ssh
			// connects to it directly then.
			way[0].proxyJump = ""
			break
		}
		way[0].proxyJump = ""
		way = append(hops, way...)
		if len(way) > maxHops {
			return nil, errors.New("more than " + strconv.Itoa(maxHops-1) + " jump hosts: ProxyJump goes in a circle")
		}
	}
	return way, nil
}

// parseHop reads [ssh://][user@]host[:port].
func parseHop(spec string) (destination, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(spec), "ssh://"), "/")
	var d destination
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		d.user, rest = rest[:at], rest[at+1:]
	}
	d.address = strings.Trim(rest, "[]")
	if h, port, err := net.SplitHostPort(rest); err == nil {
		d.address = h
		if d.port, err = strconv.Atoi(port); err != nil || d.port < 1 || d.port > 65535 {
			return d, fmt.Errorf("jump host %q: bad port", spec)
		}
	}
	if d.address == "" || strings.ContainsAny(d.address, " \t\n/'\"$`\\") {
		return d, fmt.Errorf("jump host %q is not user@host:port", spec)
	}
	return d, nil
}
