//go:build e2e && linux

package samples

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
			m.says("NOSPACE")
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

// alone starts a whole cluster, ends two members and gives the third.
func alone(l *lab) *member {
	l.startAll()
	l.members[0].put(60, 300)
	m := l.members[1]
	for _, o := range l.others(m) {
		o.crash()
	}
	return m
}

var quorumScenarios = []scenario{
	{name: "quorum-lost", title: "Two of three members were killed", cause: "quorum-lost", remedy: "restart", why: "the two that are down have sound data: start them", unit: "active (running)",
		how: "three members; SIGKILL to two; log of the survivor", versions: all34, look: journal,
		do: func(l *lab) shot {
			m := alone(l)
			time.Sleep(8 * time.Second)
			return shot{bad: m, log: m.output(), down: 2, total: 3,
				ctl: []string{l.ctl(l.members, "endpoint", "health"), m.ctl("--command-timeout=3s", "member", "list")}}
		}},
	{name: "quorum-restarted", title: "One of three started again, alone", cause: "quorum-lost", remedy: "restart", why: "the two that are down have sound data: start them", unit: "activating (start)",
		how: "three members stopped in order; one started again alone", versions: []string{"3.4", "3.5.35", "3.7.3"}, look: cri,
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			for _, m := range l.members {
				m.stop()
			}
			m := l.members[1]
			m.start()
			time.Sleep(12 * time.Second)
			return shot{bad: m, log: m.output(), down: 3, total: 3, ctl: []string{m.ctl("--command-timeout=3s", "endpoint", "status")}}
		}},
	{name: "quorum-destroyed", title: "Two of three machines lost their disks", cause: "quorum-lost", remedy: "restore", why: "the data of two members are gone for good: what the survivor holds (or a snapshot) makes the new cluster", unit: "active (running)",
		how: "three members; SIGKILL to two and their data directories removed; log of the survivor", versions: []string{"3.5.35", "3.7.3"}, look: journal,
		do: func(l *lab) shot {
			m := alone(l)
			var ls []string
			for _, o := range l.others(m) {
				l.removeAll(o.path("member"))
				ls = append(ls, "$ ssh "+o.name+" ls -A /var/lib/etcd\n")
			}
			time.Sleep(8 * time.Second)
			return shot{bad: m, log: m.output(), down: 2, total: 3, ctl: append(ls, m.ctl("--command-timeout=3s", "member", "list"))}
		}},
	{name: "guard-add", title: "A member is added while another is down", cause: "no-quorum-safe-guard", remedy: "fix-cause-then-restart", why: "etcd refuses to grow while a member is down; repair or remove that one first", unit: "active (running)",
		how: "three members, one killed; member add of a fourth; log of a member that refused", versions: all34, look: journal,
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			l.members[2].crash()
			time.Sleep(6 * time.Second)
			m := l.members[0]
			mark := m.mark()
			out := m.ctl("member", "add", "spare", "--peer-urls="+m.scheme+"://"+l.prefix+"14:2380")
			return shot{bad: m, log: m.since(mark), down: 1, total: 3, ctl: []string{out, l.ctl(l.members[:2], "endpoint", "health")}}
		}},
	{name: "guard-remove", title: "A healthy member is removed while another is down", cause: "no-quorum-safe-guard", remedy: "fix-cause-then-restart", why: "etcd refuses to shrink below quorum; repair or remove the one that is down", unit: "active (running)",
		how: "three members, one killed; member remove of a healthy one; log of the member that refused", versions: []string{"3.4", "3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			l.members[2].crash()
			time.Sleep(6 * time.Second)
			m := l.members[0]
			mark := m.mark()
			out := m.ctl("member", "remove", fmt.Sprintf("%x", l.members[1].id(m)))
			return shot{bad: m, log: m.since(mark), down: 1, total: 3, ctl: []string{out, m.ctl("member", "list", "-w", "table")}}
		}},
	{name: "learner-too-many", title: "A second learner is added", cause: "learner-behind", remedy: "fix-cause-then-restart", why: "one learner at a time: promote (or remove) the one that is there first", unit: "active (running)",
		how: "three members; member add --learner twice; log of the leader", versions: all34,
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			time.Sleep(5 * time.Second)
			m := l.members[0]
			mark := m.mark()
			m.ctl("member", "add", "spare1", "--learner", "--peer-urls="+m.scheme+"://"+l.prefix+"14:2380")
			time.Sleep(5 * time.Second)
			out := m.ctl("member", "add", "spare2", "--learner", "--peer-urls="+m.scheme+"://"+l.prefix+"15:2380")
			return shot{bad: m, log: m.since(mark), down: 0, total: 4, ctl: []string{out, m.ctl("member", "list")}}
		}},
	{name: "learner-promote", title: "A learner that is not in sync is promoted", cause: "learner-behind", remedy: "wait", why: "the learner runs and catches up; promote it then", unit: "active (running)", nodes: 4,
		how: "three members; a fourth added as a learner and stopped (SIGSTOP) while 6000 keys were written, promoted at once; log of the leader", versions: []string{"3.4", "3.5.35", "3.6.16", "3.7.3"}, look: journal,
		do: func(l *lab) shot {
			learner := l.members[3]
			l.members = l.members[:3]
			for _, x := range l.members {
				x.flags["initial-cluster"] = l.initial(l.members...)
			}
			l.startAll()
			l.lead(0)
			m := l.members[0]
			time.Sleep(5 * time.Second)
			m.ctl("member", "add", learner.name, "--learner", "--peer-urls="+learner.peerURL())
			learner.flags["initial-cluster-state"] = "existing"
			learner.start()
			learner.says("ready to serve client requests", "serving insecure client requests")
			m.put(100, 100)
			learner.signal(syscall.SIGSTOP)
			m.put(6000, 100)
			mark := m.mark()
			out := m.ctl("member", "promote", fmt.Sprintf("%x", learner.id(m)))
			list := m.ctl("member", "list", "-w", "table")
			learner.signal(syscall.SIGCONT)
			return shot{bad: m, log: m.since(mark), peer: learner, peers: learner.output(), down: 0, total: 4, ctl: []string{out, list}}
		}},
	{name: "version-newer-data", title: "An older etcd on newer data", cause: "version-mismatch", remedy: "fix-cause-then-restart", why: "the data are sound; the binary is too old for them: put the right one back", look: journal, unit: "activating (auto-restart)",
		how: "three members of the next minor version; one restarted with the version given here", versions: []string{"3.4", "3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			next := map[string]string{"3.4": "3.5.35", "3.5.35": "3.6.16", "3.6.16": "3.7.3"}[l.version]
			m := l.members[1]
			old := m.bin
			for _, x := range l.members {
				x.bin = binaries(l.t, next)
				x.flags["snapshot-count"] = "50"
			}
			l.startAll()
			l.members[0].put(200, 300)
			time.Sleep(5 * time.Second) // the cluster version is agreed after some seconds
			m.stop()
			m.bin = old
			m.start()
			return died(m)
		}},
	{name: "version-old-member", title: "A new member is too old for the cluster", cause: "version-mismatch", remedy: "fix-cause-then-restart", why: "nothing was written yet; the member needs the cluster's version", nodes: 4,
		how: "three members two minor versions newer; a fourth added and started with the version given here", versions: []string{"3.4", "3.5.35"}, look: cri,
		do: func(l *lab) shot {
			next := map[string]string{"3.4": "3.6.16", "3.5.35": "3.7.3"}[l.version]
			m := l.members[3]
			l.members = l.members[:3]
			for _, x := range l.members {
				x.bin = binaries(l.t, next)
				x.flags["initial-cluster"] = l.initial(l.members...)
			}
			l.startAll()
			time.Sleep(6 * time.Second)
			l.members[0].ctl("member", "add", m.name, "--peer-urls="+m.peerURL())
			m.flags["initial-cluster-state"] = "existing"
			m.start()
			m.ended()
			return shot{bad: m, log: m.output(), down: 1, total: 4, ctl: []string{l.members[0].ctl("version")}}
		}},
	{name: "version-downgrade", title: "Downgraded straight by two minor versions", cause: "version-mismatch", remedy: "fix-cause-then-restart", why: "the data are sound; the binary is too old for them: put the right one back", nodes: 1, look: docker, unit: "restarting",
		how: "one member two minor versions newer, with raft snapshots; restarted with the version given here", versions: []string{"3.4", "3.5.35"},
		do: func(l *lab) shot {
			next := map[string]string{"3.4": "3.6.16", "3.5.35": "3.7.3"}[l.version]
			m := l.members[0]
			old := m.bin
			m.bin = binaries(l.t, next)
			m.flags["snapshot-count"] = "50"
			l.startAll()
			m.put(200, 300)
			time.Sleep(5 * time.Second)
			m.stop()
			m.bin = old
			m.start()
			return died(m)
		}},
	{name: "known-bug-promote", title: "A learner that never started was promoted", cause: "known-bug", also: []string{"quorum-lost"}, remedy: "fix-cause-then-restart", nodes: 2, unit: "active (running)",
		why:     "etcd before 3.4.24 promotes a learner that never started (fixed in 3.4.24 and 3.5.7) and then has two voters of which one is there; starting that one brings quorum back, the data are sound",
		awkward: "reads as lost quorum", how: "one member; member add --learner, member promote of it without starting it", versions: []string{"3.4"}, look: journal,
		do: func(l *lab) shot {
			m, learner := l.members[0], l.members[1]
			l.members = l.members[:1]
			m.flags["initial-cluster"] = l.initial(m)
			l.startAll()
			m.put(60, 300)
			time.Sleep(5 * time.Second)
			add := m.ctl("member", "add", learner.name, "--learner", "--peer-urls="+learner.peerURL())
			promote := m.ctl("member", "promote", fmt.Sprintf("%x", learner.id(m)))
			time.Sleep(8 * time.Second)
			return shot{bad: m, log: m.output(), down: 1, total: 2, ctl: []string{add, promote, m.ctl("--command-timeout=3s", "member", "list"), m.ctl("--command-timeout=3s", "put", "k", "v")}}
		}},
}

// configured starts member 2 of a whole cluster with another setting.
func configured(l *lab, change func(m *member)) shot {
	return died(broken(l, change))
}

var configScenarios = []scenario{
	{name: "config-flag", title: "A flag that this version does not have", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with --experimental-initial-corrupt-check (3.7), --enable-v2 (3.6) or a misspelt flag", versions: all34, look: journal, unit: "failed (exit-code)",
		do: func(l *lab) shot {
			return configured(l, func(m *member) {
				m.flags[map[string]string{"3.4": "quota-backend-byes", "3.5.35": "auto-compaction-retentions", "3.6.16": "enable-v2", "3.7.3": "experimental-initial-corrupt-check"}[l.version]] = "true"
			})
		}},
	{name: "config-value", title: "A variable with a value that does not parse", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with ETCD_HEARTBEAT_INTERVAL=100ms", versions: []string{"3.4", "3.5.35"}, boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.env = append(m.env, "ETCD_HEARTBEAT_INTERVAL=100ms") })
		}},
	{name: "config-shadowed", title: "Variable and flag say the same", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: docker,
		how: "three members; one restarted with --name and ETCD_NAME", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.env = append(m.env, "ETCD_NAME=default") })
		}},
	{name: "config-election", title: "Election timeout too near the heartbeat", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: cri,
		how: "three members; one restarted with --heartbeat-interval=500 and --election-timeout=1000", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["heartbeat-interval"], m.flags["election-timeout"] = "500", "1000" })
		}},
	{name: "config-listen-name", title: "A host name where an address is wanted", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with --listen-client-urls=http://etcd.kube.internal:2379", versions: []string{"3.5.35", "3.7.3"}, awkward: "looks like DNS",
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["listen-client-urls"] = "http://etcd.kube.internal:2379" })
		}},
	{name: "config-state", title: "initial-cluster-state misspelt", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: compose,
		how: "three members; one restarted with --initial-cluster-state=exist", versions: []string{"3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["initial-cluster-state"] = "exist" })
		}},
	{name: "config-file", title: "The configuration file does not parse", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: cut, unit: "failed (exit-code)",
		how: "three members; one restarted with a --config-file that has a tab in YAML", versions: []string{"3.4", "3.7.3"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) {
				file := filepath.Join(l.dir, "etcd.conf.yml")
				must(l.t, os.WriteFile(file, []byte("name: etcd-2\ndata-dir:\n\t- /var/lib/etcd\n"), 0o644))
				m.flags = map[string]string{"config-file": file}
			})
		}},
	{name: "config-advertise", title: "Listens for clients and advertises nothing", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted without --advertise-client-urls", versions: []string{"3.6.16"}, look: journal,
		do: func(l *lab) shot {
			return configured(l, func(m *member) { delete(m.flags, "advertise-client-urls") })
		}},
}

// utl is the program that restores in a version.
func (l *lab) utl() string {
	if l.minor() >= 6 {
		return "etcdutl"
	}
	return "etcdctl"
}

// restoring makes a snapshot of one member, has it spoilt and restores it.
func restoring(l *lab, spoil func(file, dir string)) shot {
	m := l.members[0]
	l.startAll()
	m.put(200, 500)
	file, dir := filepath.Join(l.dir, "backup", "snapshot.db"), filepath.Join(l.dir, "restored")
	must(l.t, os.MkdirAll(filepath.Dir(file), 0o755))
	m.ctl("snapshot", "save", file)
	spoil(file, dir)
	m.stop()
	out := l.program(m.bin, l.utl(), "snapshot", "restore", file, "--data-dir="+dir, "--name="+m.name,
		"--initial-cluster="+l.initial(m), "--initial-advertise-peer-urls="+m.peerURL())
	return shot{down: 1, total: 1, ctl: []string{out}}
}

var restoreScenarios = []scenario{
	{name: "snapshot-flipped", title: "A bit of the snapshot flipped", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is not what was saved: take another copy of it", nodes: 1, platform: "unknown",
		how: "snapshot save, one byte in its middle changed, snapshot restore", versions: all34,
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { l.overwrite(file, 9000, []byte{1, 2, 3}) })
		}},
	{name: "snapshot-short", title: "The snapshot's end is missing", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is not what was saved: take another copy of it", nodes: 1,
		how: "snapshot save, truncated by 10000 bytes, snapshot restore", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) {
				info, err := os.Stat(file)
				must(l.t, err)
				must(l.t, os.Truncate(file, info.Size()-10000))
			})
		}},
	{name: "snapshot-copied", title: "A copied database is no snapshot", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file has no hash: it is a copy of member/snap/db", nodes: 1,
		how: "member/snap/db copied, snapshot restore of the copy", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { tool(l.t, "cp", l.members[0].db(), file) })
		}},
	{name: "snapshot-packed", title: "The archive was not unpacked", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is a gzip archive: unpack it first", nodes: 1,
		how: "snapshot save, packed with gzip, snapshot restore of the archive", versions: []string{"3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { tool(l.t, "sh", "-c", `gzip "$0" && mv "$0.gz" "$0"`, file) })
		}},
	{name: "restore-dir-exists", title: "Restore into a directory that is there", cause: "data-dir-exists", remedy: "fix-cause-then-restart", why: "the restore refused to overwrite old data: move them aside", nodes: 1,
		how: "snapshot save, snapshot restore into a directory that has a member in it", versions: all34,
		do: func(l *lab) shot {
			return restoring(l, func(_, dir string) { tool(l.t, "cp", "-r", l.members[0].dir, dir) })
		}},
}

const healthyWhy = "nothing is wrong: every member serves, and what is said passes by itself"

var healthyScenarios = []scenario{
	{name: "healthy-start", title: "A normal start", cause: "healthy", remedy: "none", why: healthyWhy, unit: "active (running)",
		how: "three members started and left alone", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.5.35", "3.7.3"}, look: cri,
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			return shot{bad: m, log: m.output(), down: 0, total: 3, ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "healthy-scanned", title: "A port scanner and TCP health checks", cause: "healthy", remedy: "none", why: "etcd serves; somebody connects without speaking TLS and hangs up", tls: true, unit: "active (running)",
		how: "three members with mutual TLS; connections to 2379 and 2380 that send nothing, HTTP, rubbish, or an SSH greeting", versions: all34, look: journal, awkward: "rejected connection reads as a fault",
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			mark := m.mark()
			for _, words := range []string{"", "GET / HTTP/1.0\r\n\r\n", "\x00\x01\x02\x03rubbish", "SSH-2.0-scan\r\n", ""} {
				for _, port := range []string{"2379", "2380"} {
					c, err := dial(context.Background(), net.JoinHostPort(m.ip, port))
					must(l.t, err)
					_, _ = c.Write([]byte(words))
					time.Sleep(100 * time.Millisecond)
					_ = c.Close()
				}
			}
			c, err := dial(context.Background(), net.JoinHostPort(m.ip, "2379"))
			must(l.t, err)
			_ = tls.Client(c, &tls.Config{ServerName: "etcd"}).Handshake() // does not trust: bad certificate
			_ = c.Close()
			time.Sleep(time.Second)
			return shot{bad: m, log: m.since(mark), down: 0, total: 3, ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "healthy-leader-change", title: "The leader was restarted", cause: "healthy", remedy: "none", why: healthyWhy, unit: "active (running)", look: journal,
		how: "three members; the leader stopped, an election, the leader started again; log of a follower", versions: all34, awkward: "lost connections and elections that are over",
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			l.members[0].put(60, 300)
			m := l.members[1]
			mark := m.mark()
			l.members[0].stop()
			time.Sleep(3 * time.Second)
			l.members[0].start()
			l.members[0].ready()
			time.Sleep(6 * time.Second)
			return shot{bad: m, log: m.since(mark), down: 0, total: 3, ctl: []string{l.ctl(l.members, "endpoint", "status", "-w", "table")}}
		}},
	{name: "healthy-work", title: "Compaction, defragmentation, a snapshot", cause: "healthy", remedy: "none", why: healthyWhy, unit: "active (running)", look: russian,
		how: "three members; 4000 writes, compaction, defragmentation, snapshot save", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			m.put(4000, 300)
			m.ctl("compaction", "3000")
			m.ctl("defrag")
			m.ctl("snapshot", "save", filepath.Join(l.dir, "snapshot.db"))
			time.Sleep(time.Second)
			return shot{bad: m, log: m.output(), down: 0, total: 3, ctl: []string{m.ctl("alarm", "list"), l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "healthy-slow-request", title: "One slow request after a start", cause: "healthy", remedy: "none", why: "one large read took long; disks and peers are well", unit: "Up 2 minutes", look: docker, awkward: "apply request took too long",
		how: "three members with 40000 keys; one restarted and asked for all of them at once", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(400, 100000)
			m := l.members[1]
			m.stop()
			m.start()
			m.ready()
			m.ctl("get", "--prefix", "/registry", "--keys-only")
			m.ctl("get", "--prefix", "/registry")
			return shot{bad: m, log: m.output(), down: 0, total: 3, ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "healthy-repaired", title: "A member that was down is back", cause: "healthy", remedy: "none", why: "the member was down for a while and has caught up; what its peers said meanwhile is over", unit: "active (running)", look: russian,
		how: "three members; one killed, 15 s later started again; log of a peer", versions: []string{"3.4", "3.6.16"}, awkward: "peers were down, and are not",
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			m := l.members[0]
			mark := m.mark()
			l.members[1].crash()
			time.Sleep(15 * time.Second)
			l.members[1].start()
			l.members[1].ready()
			time.Sleep(6 * time.Second)
			return shot{bad: m, log: m.since(mark), down: 0, total: 3, ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
}
