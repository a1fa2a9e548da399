//go:build e2e && linux

package samples

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// scenarios are all of them.
func scenarios() []scenario {
	var all []scenario
	for _, list := range [][]scenario{
		dataScenarios, snapScenarios, logScenarios, joinScenarios, tlsScenarios, osScenarios,
		netScenarios, quorumScenarios, configScenarios, restoreScenarios, healthyScenarios,
	} {
		all = append(all, list...)
	}
	return all
}

// rubbish is n bytes that no etcd file holds.
func rubbish(n int) []byte { return bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, n/4) }

// overwrite puts bytes into a file at an offset.
func (l *lab) overwrite(path string, offset int64, b []byte) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(l.t, err)
	_, err = f.WriteAt(b, offset)
	must(l.t, err)
	must(l.t, f.Close())
}

// wal are the member's WAL files, oldest first.
func (m *member) wal() []string {
	files, err := filepath.Glob(m.path("member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		m.t.Fatalf("no WAL under %s: %v", m.dir, err)
	}
	return files
}

func (l *lab) removeAll(path string) { must(l.t, os.RemoveAll(path)) }

// broken runs a whole cluster, stops member 2, has it broken and starts it.
func broken(l *lab, damage func(m *member)) *member {
	l.startAll()
	l.members[0].put(60, 300)
	m := l.members[min(1, len(l.members)-1)]
	m.stop()
	damage(m)
	m.start()
	return m
}

// died is the shot of a member that did not come up again.
func died(m *member) shot {
	m.ended()
	return shot{log: m.output(), bad: m, down: 1, total: len(m.members)}
}

// diedAsked is the same with what a healthy member says of the cluster.
func diedAsked(m *member) shot {
	s := died(m)
	s.ctl = []string{m.lab.ctl(m.members, "endpoint", "health")}
	return s
}

const (
	dataWhy = "one member's data was destroyed on purpose while the two others went on: it has to be made anew from them"
	allWhy  = "no member was left with sound data: only a snapshot brings the cluster back"
	oneWhy  = "the only member's data was destroyed on purpose: only a snapshot brings it back"
)

var dataScenarios = []scenario{
	{name: "db-head", title: "Start of the database overwritten", cause: "db-corrupt", remedy: "rejoin", why: dataWhy,
		how: "three members; 8 KiB of rubbish over the start of member/snap/db of a stopped member, which then was started", versions: all34, boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			return diedAsked(broken(l, func(m *member) { l.overwrite(m.db(), 0, rubbish(8<<10)) }))
		}},
	{name: "db-pages", title: "All pages of the database overwritten but the first two", cause: "db-corrupt", remedy: "rejoin", why: dataWhy, look: journal,
		how: "three members; everything behind the two meta pages of member/snap/db overwritten while the member was stopped", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				info, err := os.Stat(m.db())
				must(l.t, err)
				l.overwrite(m.db(), 8192, rubbish(int(info.Size()-8192)))
			}))
		}},
	{name: "db-truncated", title: "Database file cut short", cause: "db-corrupt", remedy: "rejoin", why: dataWhy, look: cri,
		how: "three members with 1 MB of keys; member/snap/db truncated to 60 KiB while the member was stopped", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(600, 2000)
			m := l.members[1]
			m.stop()
			must(l.t, os.Truncate(m.db(), 60<<10))
			m.start()
			return died(m)
		}},
	{name: "db-single", title: "The only member's database is broken", cause: "db-corrupt", remedy: "restore", why: oneWhy, look: docker, unit: "restarting",
		how: "one member; 8 KiB of rubbish over the start of member/snap/db", versions: []string{"3.4", "3.5.35"}, nodes: 1,
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { l.overwrite(m.db(), 0, rubbish(8<<10)) }))
		}},
	{name: "db-all", title: "All three databases are broken", cause: "db-corrupt", also: []string{"quorum-lost"}, remedy: "restore", why: allWhy,
		how: "rubbish over the start of member/snap/db of all three members, all stopped; then all were started", versions: []string{"3.6.16"}, look: journal, unit: "activating (auto-restart)",
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			for _, m := range l.members {
				m.stop()
				l.overwrite(m.db(), 0, rubbish(16<<10))
			}
			for _, m := range l.members {
				m.start()
			}
			for _, m := range l.members {
				m.ended()
			}
			return shot{bad: l.members[1], log: l.members[1].output(), peer: l.members[2], peers: l.members[2].output(), down: 3, total: 3,
				ctl: []string{l.ctl(l.members, "endpoint", "health")}}
		}},
	{name: "wal-crc", title: "One bit of the WAL flipped", cause: "wal-corrupt", remedy: "rejoin", why: dataWhy,
		how: "three members; one bit of an entry in the middle of the WAL flipped while the member was stopped", versions: all34, boxes: []string{"3.5.35"},
		do: func(l *lab) shot {
			return diedAsked(broken(l, func(m *member) {
				b, err := os.ReadFile(m.wal()[0])
				must(l.t, err)
				at := bytes.Index(b, []byte("vvvvvvvv"))
				l.overwrite(m.wal()[0], int64(at), []byte{b[at] ^ 1})
			}))
		}},
	{name: "wal-rubbish", title: "4 KiB of the WAL overwritten", cause: "wal-corrupt", remedy: "rejoin", why: dataWhy, look: cut,
		how: "three members; 4 KiB of rubbish in the middle of the WAL", versions: []string{"3.4", "3.7.3"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { l.overwrite(m.wal()[0], 2048, rubbish(4096)) }))
		}},
	{name: "wal-empty", title: "WAL file emptied", cause: "wal-corrupt", remedy: "rejoin", why: dataWhy, look: compose,
		how: "three members; the WAL file truncated to 0 bytes", versions: []string{"3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { must(l.t, os.Truncate(m.wal()[0], 0)) }))
		}},
	{name: "wal-gap", title: "A WAL file in the middle is gone", cause: "wal-corrupt", remedy: "rejoin", why: dataWhy,
		how: "three members, 150 MB written so that there are several WAL files; the second oldest removed while the member was stopped", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(150, 1000000)
			m := l.members[1]
			m.stop()
			must(l.t, os.Remove(m.wal()[1]))
			m.start()
			return died(m)
		}},
	{name: "wal-single", title: "The only member's WAL is broken", cause: "wal-corrupt", remedy: "restore", why: oneWhy, nodes: 1, look: cri,
		how: "one member; one bit of an entry in the middle of the WAL flipped", versions: []string{"3.4", "3.7.3"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				b, err := os.ReadFile(m.wal()[0])
				must(l.t, err)
				at := bytes.Index(b, []byte("vvvvvvvv"))
				l.overwrite(m.wal()[0], int64(at), []byte{b[at] ^ 1})
			}))
		}},
}

// manySnapshots makes raft snapshots come often.
func (l *lab) manySnapshots() {
	for _, m := range l.members {
		m.flags["snapshot-count"] = "50"
	}
}

var snapScenarios = []scenario{
	{name: "snap-db-gone", title: "Database gone after raft snapshots", cause: "snap-missing", remedy: "rejoin", why: dataWhy,
		how: "three members with --snapshot-count=50 and 400 writes; member/snap/db removed while the member was stopped", versions: all34, boxes: []string{"3.7.3"},
		do: func(l *lab) shot {
			l.manySnapshots()
			l.startAll()
			l.members[0].put(400, 100)
			m := l.members[1]
			m.stop()
			must(l.t, os.Remove(m.db()))
			m.start()
			return diedAsked(m)
		}},
	{name: "snap-all", title: "No member has its database", cause: "snap-missing", also: []string{"quorum-lost"}, remedy: "restore", why: allWhy, look: docker, unit: "exited (2)",
		how: "three members with --snapshot-count=50 and 400 writes; member/snap/db of all three removed while they were stopped", versions: []string{"3.5.35"},
		do: func(l *lab) shot {
			l.manySnapshots()
			l.startAll()
			l.members[0].put(400, 100)
			for _, m := range l.members {
				m.stop()
				must(l.t, os.Remove(m.db()))
			}
			for _, m := range l.members {
				m.start()
			}
			for _, m := range l.members {
				m.ended()
			}
			return shot{bad: l.members[1], log: l.members[1].output(), peer: l.members[0], peers: l.members[0].output(), down: 3, total: 3}
		}},
	{name: "snap-single", title: "The only member's database is gone", cause: "snap-missing", remedy: "restore", why: oneWhy, nodes: 1, look: journal,
		how: "one member with --snapshot-count=50 and 400 writes; member/snap/db removed", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			l.manySnapshots()
			l.startAll()
			m := l.members[0]
			m.put(400, 100)
			m.stop()
			must(l.t, os.Remove(m.db()))
			m.start()
			return died(m)
		}},
}

// alter changes one value in a stopped member's database, as no crash would.
func (m *member) alter() {
	db, err := bolt.Open(m.db(), 0o600, &bolt.Options{Timeout: 5 * time.Second})
	must(m.t, err)
	must(m.t, db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		k, v := b.Cursor().First()
		return b.Put(append([]byte(nil), k...), []byte(strings.Replace(string(v), "vvvv", "vvvw", 1)))
	}))
	must(m.t, db.Close())
}

func (l *lab) hashes() string {
	return l.ctl(l.members, "endpoint", "hashkv", "-w", "json")
}

const inconsistentWhy = "one member's data differ from the two others', which agree: that one has to be made anew"

var logScenarios = []scenario{
	{name: "inconsistent-start", title: "Corruption check at the start refuses", cause: "data-inconsistent", remedy: "rejoin", why: inconsistentWhy,
		how: "three members with --snapshot-count=50; one value changed in member/snap/db with bbolt while the member was stopped; started with the initial corruption check", versions: all34,
		do: func(l *lab) shot {
			l.manySnapshots() // without a snapshot etcd 3.4 and 3.5 know no peer to ask before they serve
			return died(broken(l, func(m *member) {
				m.alter()
				if l.minor() >= 6 {
					m.flags["feature-gates"] = "InitialCorruptCheck=true"
				} else {
					m.flags["experimental-initial-corrupt-check"] = "true"
				}
			}))
		}},
	{name: "inconsistent-alarm", title: "Alarm CORRUPT", cause: "data-inconsistent", remedy: "rejoin", why: inconsistentWhy, look: journal, unit: "active (running)",
		how: "three members with the periodic corruption check every 3 s; one value changed in a stopped follower's member/snap/db; log of that follower, peer's log of the leader", versions: all34,
		do: func(l *lab) shot {
			for _, m := range l.members {
				if l.minor() >= 6 {
					m.flags["corrupt-check-time"] = "3s"
				} else {
					m.flags["experimental-corrupt-check-time"] = "3s"
				}
			}
			l.startAll()
			l.lead(0)
			l.members[0].put(60, 300)
			m := l.members[1]
			m.stop()
			m.alter()
			leader := l.leader()
			mark := leader.mark()
			m.start()
			m.ready()
			for deadline := time.Now().Add(wait); !strings.Contains(l.members[2].ctl("alarm", "list"), "CORRUPT"); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					l.t.Fatal("no alarm")
				}
			}
			return shot{bad: m, log: m.output(), peer: leader, peers: leader.since(mark), down: 0, total: 3,
				ctl: []string{leader.ctl("alarm", "list"), l.hashes(), leader.ctl("put", "k", "v")}}
		}},
	{name: "lost-log-wiped", title: "A follower's directory was emptied and it was started as existing", cause: "raft-lost-log", remedy: "rejoin",
		why: "the member kept its id and lost its log: remove it, add it, start it empty",
		how: "three members; a follower's data directory emptied, state set to existing, started without remove and add", versions: all34, boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			l.members[0].put(60, 300)
			m := l.members[1]
			m.stop()
			l.removeAll(m.path("member"))
			m.flags["initial-cluster-state"] = "existing"
			m.start()
			return died(m)
		}},
	{name: "lost-log-old", title: "An older copy of the directory put back", cause: "raft-lost-log", remedy: "rejoin", look: cri,
		why: "the member's log is older than what it had acknowledged: remove it, add it, start it empty",
		how: "three members; a follower's data directory put back from a copy that was 100 writes old", versions: []string{"3.4", "3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			l.lead(0)
			l.members[0].put(60, 300)
			m := l.members[1]
			m.stop()
			old := m.dir + ".old"
			tool(l.t, "cp", "-a", m.dir, old)
			m.start()
			m.ready()
			l.members[0].put(100, 100)
			m.stop()
			l.removeAll(m.dir)
			must(l.t, os.Rename(old, m.dir))
			m.start()
			return died(m)
		}},
}
