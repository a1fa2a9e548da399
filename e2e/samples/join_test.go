//go:build e2e && linux

package samples

import (
	"fmt"
	"strings"
	"time"
)

const removedWhy = "the member was removed from the cluster: it has to be added anew and start empty"

var joinScenarios = []scenario{
	{name: "removed-running", title: "Member removed while it ran", cause: "removed-member", remedy: "rejoin", why: removedWhy, look: journal,
		how: "three members; member remove of a running one, which then was started again on its data", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			out := m.remove(l.members[0])
			m.ended()
			m.start()
			m.ended()
			return shot{bad: m, log: m.all(), down: 1, total: 3, ctl: []string{out, l.members[0].ctl("member", "list")}}
		}},
	{name: "removed-down", title: "Member removed while it was down", cause: "removed-member", remedy: "rejoin", why: removedWhy,
		how: "three members; member remove of a stopped one, which then was started on its old data", versions: []string{"3.5.35", "3.7.3"}, boxes: []string{"3.6.16", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			m.stop()
			out := m.remove(l.members[0])
			m.start()
			m.ended()
			return shot{bad: m, log: m.output(), down: 1, total: 3, ctl: []string{out}}
		}},
	{name: "other-token", title: "An emptied member bootstrapped another cluster", cause: "cluster-id-mismatch", remedy: "rejoin",
		why: "the member is alone in a cluster of its own: its data must go, and it must be added to the real one", unit: "active (running)", look: journal,
		how: "three members; one emptied and started with state new, another token and only itself in initial-cluster", versions: all34,
		do: func(l *lab) shot {
			l.startAll()
			m, peer := l.members[1], l.members[0]
			m.stop()
			l.removeAll(m.path("member"))
			m.flags["initial-cluster"], m.flags["initial-cluster-token"] = l.initial(m), "other"
			mark := peer.mark()
			m.start()
			m.ready()
			peer.says("cluster ID mismatch")
			time.Sleep(4 * time.Second) // one more round of the peers' streams
			return shot{bad: m, log: m.output(), peer: peer, peers: peer.since(mark), down: 1, total: 3,
				ctl: []string{m.ctl("endpoint", "status", "-w", "json"), peer.ctl("endpoint", "status", "-w", "json")}}
		}},
	{name: "other-cluster-peers", title: "An emptied member bootstraps with its peers under another token", cause: "cluster-id-mismatch", remedy: "fix-cause-then-restart",
		also: []string{"bad-config"}, why: "the token differs from the cluster's: no log and no key was ever written under it; with the right token and state the member can join",
		how: "three members; a fourth added with member add, and started with state new and another token", versions: []string{"3.5.35", "3.6.16"}, nodes: 4,
		do: func(l *lab) shot {
			m := l.members[3]
			l.members = l.members[:3]
			for _, x := range l.members {
				x.flags["initial-cluster"] = l.initial(l.members...)
			}
			l.startAll()
			time.Sleep(5 * time.Second) // etcd refuses a change within 5 s of the start
			out := l.members[0].ctl("member", "add", m.name, "--peer-urls="+m.peerURL())
			m.flags["initial-cluster-token"] = "other"
			m.start()
			m.says("cluster ID mismatch", "cluster-id-mismatch")
			time.Sleep(5 * time.Second) // several rounds of it
			return shot{bad: m, log: m.output(), down: 1, total: 4, ctl: []string{out}}
		}},
	{name: "bootstrapped-wiped", title: "An emptied member bootstraps again", cause: "already-bootstrapped", remedy: "rejoin",
		why: "its data are gone and the others know it: remove it, add it, start it as existing",
		how: "three members; one's data directory emptied, state still new, started", versions: all34, boxes: []string{"3.7.3"},
		do: func(l *lab) shot {
			return diedAsked(broken(l, func(m *member) { l.removeAll(m.path("member")) }))
		}},
	{name: "bootstrapped-no-wal", title: "A member without its WAL bootstraps again", cause: "already-bootstrapped", also: []string{"wal-corrupt"}, remedy: "rejoin",
		why: "without its WAL the member takes itself for new", awkward: "the database is still there", look: compose,
		how: "three members; member/wal removed while the member was stopped, state still new", versions: []string{"3.4", "3.5.35"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { l.removeAll(m.path("member", "wal")) }))
		}},
	{name: "stale-initial-cluster", title: "A new member's list lacks a member", cause: "initial-cluster-mismatch", remedy: "fix-cause-then-restart",
		why: "the member was properly added and holds no data yet: only its list is wrong", look: cut,
		how: "three members; one removed, emptied and added, then started as existing with an initial-cluster that lacks the third", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.5.35"},
		do: func(l *lab) shot {
			m := rejoining(l)
			m.flags["initial-cluster"] = l.initial(l.members[0], m)
			m.start()
			return died(m)
		}},
	{name: "initial-cluster-lacks-self", title: "The list lacks the member's own name", cause: "initial-cluster-mismatch", remedy: "fix-cause-then-restart",
		why: "the member was properly added and holds no data yet: only its list is wrong", look: cri,
		how: "three members; one removed, emptied and added, then started as existing with an initial-cluster that does not name it", versions: []string{"3.5.35"},
		do: func(l *lab) shot {
			m := rejoining(l)
			m.flags["initial-cluster"] = l.initial(l.members[0], l.members[2])
			m.start()
			return died(m)
		}},
	{name: "initial-cluster-other-url", title: "The list has another URL for the member than it advertises", cause: "initial-cluster-mismatch", remedy: "fix-cause-then-restart",
		why: "the member was properly added and holds no data yet: only its list is wrong",
		how: "three members; one removed, emptied and added, then started as existing with port 2381 for itself in initial-cluster", versions: []string{"3.7.3"},
		do: func(l *lab) shot {
			m := rejoining(l)
			m.flags["initial-cluster"] = strings.Replace(l.initial(l.members...), m.peerURL(), m.scheme+"://"+m.ip+":2381", 1)
			m.start()
			return died(m)
		}},
	{name: "promotion-not-kept", title: "A cluster grown by learners goes from 3.5.19 to 3.6", cause: "known-bug", remedy: "fix-cause-then-restart",
		also: []string{"version-mismatch"}, why: "3.5.19 and earlier do not write promotions where 3.6 reads them: the data are sound, the last 3.5 release mends it",
		how: "one member of 3.5.19; two more added as learners, started and promoted; one of the three stopped and started with 3.6.16", versions: []string{"3.5.19"},
		do: func(l *lab) shot {
			first := l.members[0]
			first.flags["initial-cluster"] = l.initial(first)
			first.start()
			first.ready()
			for i, m := range l.members[1:] {
				l.asked(first, "added to cluster", "member", "add", m.name, "--learner", "--peer-urls="+m.peerURL())
				m.flags["initial-cluster"], m.flags["initial-cluster-state"] = l.initial(l.members[:i+2]...), "existing"
				m.start()
				l.asked(first, "promoted in cluster", "member", "promote", fmt.Sprintf("%x", m.id(first)))
			}
			m := l.members[1]
			m.ready()
			m.stop()
			m.bin = binaries(l.t, "3.6.16")
			m.start()
			return died(m)
		}},
}

// asked has a member's etcdctl ask until it answers so: etcd refuses a change of
// the membership for some seconds after a start, and a promotion until the
// learner has caught up.
func (l *lab) asked(m *member, answer string, args ...string) {
	l.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(time.Second) {
		out := m.ctl(args...)
		if strings.Contains(out, answer) {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%v: %s", args, out)
		}
	}
}

// rejoining removes, empties and adds member 2, as a rejoin does.
func rejoining(l *lab) *member {
	l.startAll()
	m := l.members[1]
	m.stop()
	m.remove(l.members[0])
	l.removeAll(m.path("member"))
	l.asked(l.members[0], "added to cluster", "member", "add", m.name, "--peer-urls="+m.peerURL())
	m.flags["initial-cluster-state"] = "existing"
	return m
}
