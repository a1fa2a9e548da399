//go:build e2e && linux

package samples

import (
	"context"
	"net"
	"path/filepath"
	"time"
)

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
