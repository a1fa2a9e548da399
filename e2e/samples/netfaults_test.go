//go:build e2e && linux

package samples

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	netWhy    = "the data are sound; the members do not reach each other"
	configWhy = "the data are sound; etcd was told something that it does not take"
)

// unplug takes a member's cable out, or puts it in.
func (m *member) unplug(out bool) {
	state := "up"
	if out {
		state = "down"
	}
	tool(m.t, "ip", "-n", hub, "link", "set", cable(m.index), state)
}

var netScenarios = []scenario{
	{name: "port-client", title: "The client port is taken", cause: "port-in-use", remedy: "fix-cause-then-restart", why: soundWhy,
		how: "three members; one restarted while another process listened on its client port", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.5.35", "3.7.3"}, look: docker,
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { listen(l.t, m.space(), m.ip+":2379") }))
		}},
	{name: "port-peer", title: "The peer port is taken", cause: "port-in-use", remedy: "fix-cause-then-restart", why: soundWhy,
		how: "three members; one restarted while another process listened on its peer port", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { listen(l.t, m.space(), m.ip+":2380") }))
		}},
	{name: "address-absent", title: "The machine does not have the address", cause: "listen-addr-absent", remedy: "fix-cause-then-restart", why: soundWhy,
		how: "three members; one restarted after its machine's address had been changed", versions: all34, look: journal, unit: "activating (auto-restart)",
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				tool(l.t, "ip", "-n", m.space(), "addr", "del", m.ip+"/24", "dev", "eth0")
				tool(l.t, "ip", "-n", m.space(), "addr", "add", l.prefix+"99/24", "dev", "eth0")
			}))
		}},
	{name: "dns-start", title: "A name in initial-cluster does not exist", cause: "dns", remedy: "fix-cause-then-restart", why: "nothing was written yet; the names have to resolve",
		how: "three new members named by host names; the DNS server answers that there is no such name", versions: all34, look: cri,
		do: func(l *lab) shot {
			m := named(l, 3)
			m.start()
			m.says("no such host")
			time.Sleep(3 * time.Second)
			return shot{bad: m, log: m.output(), down: 3, total: 3}
		}},
	{name: "dns-down", title: "The DNS server does not answer when a member starts again", cause: "dns", remedy: "fix-cause-then-restart", why: "the data are sound; the names of the peers do not resolve",
		how: "three members named by host names in /etc/hosts; one restarted without them while the DNS server answers SERVFAIL", versions: []string{"3.5.35", "3.7.3"}, look: journal, unit: "active (running)",
		do: func(l *lab) shot {
			file := filepath.Join(l.dir, "hosts")
			text := "127.0.0.1 localhost\n"
			for _, m := range l.members {
				text += m.ip + " " + m.name + ".etcd.kube.internal\n"
			}
			must(l.t, os.WriteFile(file, []byte(text), 0o644))
			named(l, 2)
			for _, m := range l.members {
				m.wrap = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/hosts && shift && exec "$@"`,
					filepath.Join(l.dir, "resolv.conf"), file}
			}
			l.startAll()
			l.members[0].put(60, 300)
			m := l.members[1]
			m.stop()
			must(l.t, os.WriteFile(filepath.Join(l.dir, "hosts.none"), []byte("127.0.0.1 localhost\n"), 0o644))
			m.wrap[len(m.wrap)-1] = filepath.Join(l.dir, "hosts.none")
			m.start()
			m.says("server misbehaving")
			time.Sleep(8 * time.Second)
			return shot{bad: m, log: m.output(), down: 1, total: 3}
		}},
	{name: "partition", title: "A member's cable is out", cause: "network-partition", remedy: "fix-cause-then-restart", why: netWhy, unit: "active (running)", look: journal,
		how: "three members; the network cable of one taken out; log of that one, peer's log of another", versions: all34,
		do: func(l *lab) shot {
			l.startAll()
			l.lead(1)
			l.members[0].put(60, 300)
			m, peer := l.members[1], l.members[0]
			mark := peer.mark()
			m.unplug(true)
			time.Sleep(16 * time.Second)
			return shot{bad: m, log: m.output(), peer: peer, peers: peer.since(mark), down: 1, total: 3,
				ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "partition-no-route", title: "No route to the peers", cause: "network-partition", remedy: "fix-cause-then-restart", why: netWhy, unit: "active (running)", look: cut,
		how: "three members; one's routes to both others made unreachable", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			m := l.members[1]
			for _, o := range l.others(m) {
				tool(l.t, "ip", "-n", m.space(), "route", "add", "unreachable", o.ip+"/32")
			}
			time.Sleep(16 * time.Second)
			return shot{bad: m, log: m.output(), peer: l.members[2], peers: lastOf(l.members[2].output(), 10), down: 1, total: 3}
		}},
	{name: "partition-one-link", title: "Two members do not reach each other, both reach the third", cause: "network-partition", remedy: "fix-cause-then-restart", why: netWhy, unit: "active (running)",
		how: "three members; packets between the first two dropped by blackhole routes, the third reaches both and leads", versions: []string{"3.4", "3.6.16"}, look: compose, awkward: "nobody is down",
		do: func(l *lab) shot {
			l.startAll()
			l.lead(2)
			l.members[0].put(60, 300)
			m := l.members[1]
			tool(l.t, "ip", "-n", m.space(), "route", "add", "blackhole", l.members[0].ip+"/32")
			tool(l.t, "ip", "-n", l.members[0].space(), "route", "add", "blackhole", m.ip+"/32")
			time.Sleep(16 * time.Second)
			return shot{bad: m, log: m.output(), down: 0, total: 3}
		}},
	{name: "nospace", title: "etcd's quota is used up", cause: "nospace-alarm", remedy: "fix-cause-then-restart", why: "the data are sound: compact, defragment, disarm (or raise the quota)", unit: "active (running)",
		how: "three members with --quota-backend-bytes=16777216, written to until the alarm", versions: all34, look: journal,
		do: func(l *lab) shot {
			for _, m := range l.members {
				m.flags["quota-backend-bytes"] = "16777216"
			}
			l.startAll()
			m := l.members[1]
			if err := m.tryPut(1000, 100000); err == nil {
				l.t.Fatal("the quota was never reached")
			}
			for deadline := time.Now().Add(wait); !strings.Contains(m.ctl("alarm", "list"), "NOSPACE"); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					l.t.Fatal("no alarm")
				}
			}
			return shot{bad: m, log: m.output(), down: 0, total: 3,
				ctl: []string{m.ctl("alarm", "list"), m.ctl("put", "k", "v"), l.ctl(l.members, "endpoint", "status", "-w", "table")}}
		}},
}

// named gives the members host names for their peer URLs and a resolver that
// answers with a code; it returns member 2.
func named(l *lab, code int) *member {
	nameServer(l.t, l.prefix+"1", code)
	file := filepath.Join(l.dir, "resolv.conf")
	must(l.t, os.WriteFile(file, []byte("nameserver "+l.prefix+"1\n"), 0o644))
	var initial []string
	for _, m := range l.members {
		url := m.scheme + "://" + m.name + ".etcd.kube.internal:2380"
		m.flags["initial-advertise-peer-urls"] = url
		initial = append(initial, m.name+"="+url)
		m.wrap = []string{"unshare", "--mount", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}
	}
	for _, m := range l.members {
		m.flags["initial-cluster"] = strings.Join(initial, ",")
	}
	return l.members[1]
}
