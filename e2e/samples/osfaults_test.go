//go:build e2e && linux

package samples

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	soundWhy = "the data are sound; what is in the way lies outside them"
	diskWhy  = "the data are sound; the file system is full"
)

var osScenarios = []scenario{
	{name: "disk-full-running", title: "File system full under a running member", cause: "disk-full", remedy: "fix-cause-then-restart", why: diskWhy,
		how: "three members; one's data directory on a tmpfs of 150 MB, filled by a file while it ran, then writes", versions: all34, look: journal, unit: "activating (auto-restart)",
		do: func(l *lab) shot {
			m := l.members[1]
			m.smallDisk(150)
			l.startAll()
			m.fill()
			l.lead(0)
			must(l.t, l.members[0].tryPut(3000, 20000))
			m.ended()
			return shot{bad: m, log: m.output(), down: 1, total: 3, ctl: []string{m.df()}}
		}},
	{name: "disk-full-start", title: "File system full at the start", cause: "disk-full", remedy: "fix-cause-then-restart", why: diskWhy,
		how: "three members; one's data directory on a tmpfs, filled by a file and by writes until it died, then started again on the full disk; log of that start", versions: []string{"3.4", "3.5.35", "3.6.16", "3.7.3"}, awkward: "the full disk is named in an error field only",
		do: func(l *lab) shot {
			m := l.members[1]
			m.smallDisk(150)
			l.startAll()
			l.lead(0)
			must(l.t, l.members[0].tryPut(50, 200))
			m.fill()
			must(l.t, l.members[0].tryPut(2500, 20000))
			m.ended()
			m.start() // what it says when it comes up on the full disk
			m.ended()
			return shot{bad: m, log: m.output(), down: 1, total: 3}
		}},
	{name: "disk-full-new", title: "A new member's disk is full", cause: "disk-full", remedy: "fix-cause-then-restart", why: diskWhy, look: cri, nodes: 1,
		how: "one member with an empty data directory on a full tmpfs, started", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			m := l.members[0]
			m.smallDisk(8)
			m.fill()
			m.start()
			return died(m)
		}},
	{name: "disk-full-grown", title: "The database has grown until the file system was full", cause: "disk-full", remedy: "fix-cause-then-restart", why: diskWhy, nodes: 1, look: docker,
		how: "one member on a tmpfs of 100 MB, written to until nothing was left", versions: []string{"3.5.35"},
		do: func(l *lab) shot {
			m := l.members[0]
			m.smallDisk(100)
			m.start()
			m.ready()
			_ = m.tryPut(3000, 20000)
			m.ended()
			return died(m)
		}},
	{name: "permission-dir", title: "The data directory belongs to root", cause: "permission", remedy: "fix-cause-then-restart", why: soundWhy,
		how: "three members; one restarted as another user than the owner of its data directory", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.7.3"}, look: journal,
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				if m.box != nil {
					m.box.user = "nobody"
					return
				}
				m.nobody()
			}))
		}},
	{name: "permission-db", title: "Only the database belongs to root", cause: "permission", remedy: "fix-cause-then-restart", why: soundWhy, awkward: "reads as failed to open database",
		how: "three members; one restarted as another user, who owns all of the data directory but member/snap/db", versions: all34,
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				m.nobody()
				m.own(65534, "/db")
			}))
		}},
	{name: "permission-wal", title: "A restored WAL belongs to root", cause: "permission", remedy: "fix-cause-then-restart", why: soundWhy, look: cri,
		how: "three members; one restarted as another user, who owns all of the data directory but the WAL files", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) {
				m.nobody()
				m.own(65534, ".wal")
			}))
		}},
	{name: "fd-limit", title: "Too many open files", cause: "fd-limit", remedy: "fix-cause-then-restart", why: soundWhy, unit: "active (running)",
		how: "three members; one started with a limit of 160 open files, then 200 connections to its peer port", versions: all34, look: journal,
		do: func(l *lab) shot {
			m := l.members[1]
			m.wrap = []string{"prlimit", "--nofile=160:160"}
			l.startAll()
			var open []net.Conn
			for range 200 {
				_ = inSpace(hub, func() error {
					c, err := net.DialTimeout("tcp4", m.ip+":2380", time.Second)
					if err == nil {
						open = append(open, c)
					}
					return err
				})
			}
			m.says("too many open files")
			l.members[0].put(20, 10)
			time.Sleep(6 * time.Second)
			got := m.output()
			for _, c := range open {
				_ = c.Close()
			}
			return shot{bad: m, log: got, down: 0, total: 3}
		}},
	{name: "fd-limit-start", title: "Too few files allowed to start", cause: "fd-limit", remedy: "fix-cause-then-restart", why: soundWhy, look: docker,
		how: "three members; one restarted with a limit of 64 open files", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return died(broken(l, func(m *member) { m.wrap = []string{"prlimit", "--nofile=64:64"} }))
		}},
	{name: "lock-db", title: "Another process holds the database's lock", cause: "lock-held", remedy: "fix-cause-then-restart", why: "the data are sound; the holder of the lock has to go",
		how: "three members; member/snap/db of a stopped one locked by another process, then started", versions: all34, look: cri, unit: "Running (0/1 ready)",
		do: func(l *lab) shot {
			m := broken(l, func(m *member) {
				f, err := os.Open(m.db())
				must(l.t, err)
				l.t.Cleanup(func() { _ = f.Close() })
				must(l.t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
			})
			m.says("another etcd process is using", "flocked by another process")
			return shot{bad: m, log: m.output(), down: 1, total: 3}
		}},
	{name: "lock-second", title: "A second etcd on the same directory", cause: "lock-held", remedy: "fix-cause-then-restart", why: "the data are sound; two etcd were started on them", nodes: 2,
		how: "a second etcd with other ports on the data directory of a running one", versions: []string{"3.5.35", "3.6.16"}, look: compose,
		do: func(l *lab) shot {
			first, m := l.members[0], l.members[1]
			first.flags["initial-cluster"] = l.initial(first)
			m.flags["initial-cluster"] = l.initial(m)
			l.members = l.members[:1]
			first.start()
			first.ready()
			m.flags["data-dir"] = first.dir
			m.start()
			m.says("another etcd process is using", "flocked by another process")
			return shot{bad: m, log: m.output(), down: 1, total: 1}
		}},
	{name: "slow-disk", title: "A disk of some writes a second", cause: "slow-disk", remedy: "fix-cause-then-restart", why: "the data are sound and every write waits for the disk", unit: "active (running)",
		how: "three members; the leader's data directory on a disk limited to 2 writes a second by its cgroup, while clients write", versions: all34, look: journal,
		do: func(l *lab) shot {
			m := l.members[1]
			slow := m.throttled()
			l.startAll()
			l.lead(1)
			slow(2)
			for range 6 {
				putFor(m, 4*time.Second)
			}
			out := m.ctl("--command-timeout=3s", "put", "k", "v")
			got := m.output()
			slow(100000)
			return shot{bad: m, log: got, down: 0, total: 3, ctl: []string{out}}
		}},
	{name: "slow-disk-single", title: "The only member's disk is slow", cause: "slow-disk", remedy: "fix-cause-then-restart", why: "the data are sound and every write waits for the disk", unit: "Up 3 minutes", nodes: 1,
		how: "one member whose disk does 4 writes a second by its cgroup, while clients write", versions: []string{"3.5.35", "3.7.3"}, look: docker,
		do: func(l *lab) shot {
			m := l.members[0]
			slow := m.throttled()
			l.startAll()
			slow(4)
			for range 4 {
				putFor(m, 4*time.Second)
			}
			got := m.output()
			slow(100000)
			return shot{bad: m, log: got, down: 0, total: 1}
		}},
	{name: "oom", title: "Killed by the kernel for its memory", cause: "oom-killed", remedy: "fix-cause-then-restart", why: "the data are sound; the memory limit is too low", look: journal, unit: "failed (oom-kill)",
		how: "three members; one in a memory cgroup of 40 MB, written to until the kernel killed it; the kernel's lines are those of the journal", versions: []string{"3.4", "3.5.35", "3.6.16", "3.7.3"},
		do: func(l *lab) shot {
			m := l.members[1]
			m.group = "/sys/fs/cgroup/memory/nvs-oom"
			must(l.t, os.MkdirAll(m.group, 0o755))
			l.t.Cleanup(func() { m.kill(); _ = os.Remove(m.group) })
			must(l.t, os.WriteFile(filepath.Join(m.group, "memory.limit_in_bytes"), []byte("41943040"), 0))
			l.startAll()
			began := time.Now().Truncate(time.Second)
			l.lead(0)
			must(l.t, l.members[0].tryPut(2000, 100000))
			m.ended()
			got := m.output()
			for i := range got {
				got[i] = line{text: shows(got[i:i+1], journal, m.name)[0]}
			}
			return shot{bad: m, raw: true, log: append(got, kernel(l, m.name, began)...), down: 1, total: 3}
		}},
	{name: "sigterm", title: "Stopped with SIGTERM", cause: "stopped-by-supervisor", remedy: "restart", why: "etcd stopped because it was told to; its data are sound",
		how: "three members; SIGTERM to one", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.5.35", "3.7.3"}, look: cri, unit: "exited (0)",
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			m := l.members[1]
			time.Sleep(2 * time.Second)
			m.stop()
			return shot{bad: m, log: m.output(), peer: l.members[0], peers: lastOf(l.members[0].output(), 12), down: 1, total: 3}
		}},
	{name: "stop-timeout", title: "Stopped by systemd with SIGKILL", cause: "stopped-by-supervisor", remedy: "restart", why: "systemd was told to stop etcd and lost its patience; the data are sound",
		how: "three members; systemctl stop of a unit whose TimeoutStopSec ran out (KillSignal=SIGWINCH)", boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			m := l.members[1]
			m.box.unit = "KillSignal=SIGWINCH\nTimeoutStopSec=3s\n"
			l.startAll()
			l.members[0].put(60, 300)
			m.stop()
			return shot{bad: m, log: m.output(), down: 1, total: 3}
		}},
	{name: "start-timeout", title: "systemd ends etcd because it has no quorum in time", cause: "quorum-lost", also: []string{"stopped-by-supervisor"}, remedy: "restart", awkward: "systemd's timeout is loud, and only a consequence",
		why: "the two others are stopped and sound: all have to be started together",
		how: "three members; all stopped in order, one started alone with TimeoutStartSec=8s", boxes: []string{"3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			m := l.members[1]
			m.box.unit = "TimeoutStartSec=8s\n"
			l.startAll()
			l.members[0].put(60, 300)
			m.stop()
			l.members[0].stop()
			l.members[2].stop()
			m.start()
			m.says("start operation timed out")
			m.ended()
			return shot{bad: m, log: m.output(), down: 3, total: 3}
		}},
	{name: "power-cut", title: "Power cut, then up again by itself", cause: "host-crash", remedy: "none", why: "the machine lost its power and came back; etcd cut off the record that was being written and serves",
		how: "three members; the machine of one switched off without warning, the start of a record that was never acknowledged left at the end of its WAL, switched on again", boxes: all34,
		do: func(l *lab) shot {
			m := l.members[1]
			l.startAll()
			l.members[0].put(60, 300)
			m.box.off()
			m.halfWritten()
			m.start()
			m.ready()
			return shot{bad: m, log: sinceBoot(m.output()), down: 0, total: 3}
		}},
	{name: "power-cut-lied", title: "After a power cut the last acknowledged record is gone", cause: "raft-lost-log", also: []string{"host-crash"}, remedy: "rejoin",
		why: "the disk had said that the record was written: the member forgot what it had acknowledged, and has to be made anew", awkward: "etcd repairs the WAL, says so, and dies of it",
		how: "three members; the machine of one switched off without warning, the last sectors of its WAL zeroed, switched on again", boxes: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			m := l.members[1]
			l.startAll()
			l.lead(0)
			l.members[0].put(60, 300)
			m.box.off()
			m.tear()
			m.start()
			m.ended()
			return shot{bad: m, log: sinceBoot(m.output()), down: 1, total: 3}
		}},
	{name: "power-cut-off", title: "The machine came back and etcd is not enabled", cause: "host-crash", remedy: "restart", why: "the machine was switched off and on; nothing starts the unit, its data are sound",
		how: "three members; the machine of one switched off without warning and on again; the unit is not enabled", boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			m := l.members[1]
			l.startAll()
			l.members[0].put(60, 300)
			peer := l.members[0]
			mark := peer.mark()
			m.box.off()
			time.Sleep(6 * time.Second)
			m.box.boot()
			boots := m.box.run("journalctl", "--list-boots", "--no-pager")
			enabled, _ := m.box.try("systemctl", "is-enabled", "etcd") // disabled is an exit status of 1
			return shot{bad: m, log: m.output(), peer: peer, peers: peer.since(mark), down: 1, total: 3,
				ctl: []string{"$ journalctl --list-boots\n" + strings.TrimSpace(boots), "$ systemctl is-enabled etcd\n" + strings.TrimSpace(enabled)}}
		}},
	{name: "killed-cut", title: "Killed, and nobody says by whom", cause: "unknown", remedy: "unsafe-to-act", why: "the log ends in the middle of normal work, and nothing says why nor whether the others hold",
		how: "three members; SIGKILL to one; only its own lines are kept, not the exit status", versions: []string{"3.4", "3.6.16"}, look: cut,
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			m := l.members[1]
			m.crash()
			return shot{bad: m, log: m.output(), down: 1, total: 3}
		}},
	{name: "banner-only", title: "Only the first lines of a start are left", cause: "unknown", remedy: "unsafe-to-act", why: "the part of the log that names the fault was not kept",
		how: "three members; one's database broken; only the first 6 lines of its start are kept", versions: []string{"3.5.35"}, look: journal, unit: "failed (exit-code)",
		do: func(l *lab) shot {
			s := died(broken(l, func(m *member) { l.overwrite(m.db(), 0, rubbish(8<<10)) }))
			s.log = s.log[:6] // the start of a start, the same in every run
			return s
		}},
}
