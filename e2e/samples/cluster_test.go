//go:build e2e && linux

package samples

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

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
				ls = append(ls, "$ ls -lA /var/lib/etcd # on "+o.name+"\n"+strings.TrimSpace(tool(l.t, "ls", "-lA", o.dir)))
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
}
