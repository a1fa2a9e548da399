package diagnosis

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A scenario breaks a real member in one way and returns it: its output is the
// sample. how is written into the sample file, for the reader of testdata.
type scenario struct {
	name, how string
	want      string // the cause id that this member's log shows
	live      bool   // cheap enough to be broken anew in every test run
	rootOnly  bool
	do        func(t *testing.T) *realMember
}

var scenarios = []scenario{
	{name: "healthy", how: "one of three members, started and left alone", want: "", live: true,
		do: func(t *testing.T) *realMember { return threeMembers(t).members[1] }},
	{name: "stopped", how: "SIGTERM to a healthy member of three", want: "stopped-by-supervisor", live: true,
		do: func(t *testing.T) *realMember {
			m := threeMembers(t).members[1]
			m.stop(syscall.SIGTERM)
			return m
		}},
	{name: "killed", how: "SIGKILL to a healthy member of three", want: "unknown", live: true,
		do: func(t *testing.T) *realMember {
			m := threeMembers(t).members[1]
			m.stop(syscall.SIGKILL)
			return m
		}},
	{name: "corrupt-db", how: "8 KiB of rubbish at the start of member/snap/db", want: "db-corrupt", live: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				overwrite(t, m.path("member", "snap", "db"), 0, rubbish(8<<10))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "truncated-db", how: "member/snap/db truncated to 60 KiB, not a multiple of what its meta page says", want: "db-corrupt",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 3, "http")
			c.startAll()
			c.put(c.members[0], 0, 600, 2000)
			m := c.members[1]
			m.stop(syscall.SIGTERM)
			must(t, os.Truncate(m.path("member", "snap", "db"), 60<<10))
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "rubbish-pages-db", how: "all pages of member/snap/db but the two meta pages overwritten with rubbish", want: "db-corrupt",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				info, err := os.Stat(m.path("member", "snap", "db"))
				must(t, err)
				page := int64(os.Getpagesize())
				overwrite(t, m.path("member", "snap", "db"), 2*page, rubbish(int(info.Size()-2*page)))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "empty-db", how: "member/snap/db truncated to 0 bytes, WAL complete from the first entry", want: "",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				must(t, os.Truncate(m.path("member", "snap", "db"), 0))
			})
			m.waitReady()
			return m
		}},
	{name: "missing-db-after-snapshot", how: "member/snap/db removed after the member had taken raft snapshots (snapshot-count 50)", want: "snap-missing",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 3, "http")
			for _, m := range c.members {
				m.args = append(m.args, "--snapshot-count=50")
			}
			c.startAll()
			c.put(c.members[0], 0, 400, 100)
			m := c.members[1]
			m.stop(syscall.SIGTERM)
			remove(t, m.path("member", "snap", "db"))
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "corrupt-wal", how: "rubbish over 4 KiB in the middle of the written part of the WAL", want: "wal-corrupt", live: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				overwrite(t, m.walFiles()[0], 2048, rubbish(4096))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "corrupt-wal-start", how: "rubbish over the first 512 bytes of the WAL", want: "wal-corrupt",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				overwrite(t, m.walFiles()[0], 0, rubbish(512))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "flipped-bit-wal", how: "one bit flipped in an entry in the middle of the WAL", want: "wal-corrupt",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				b, err := os.ReadFile(m.walFiles()[0])
				must(t, err)
				at := strings.Index(string(b), "vvvvvvvv")
				overwrite(t, m.walFiles()[0], int64(at), []byte{b[at] ^ 1})
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "empty-wal", how: "the WAL file truncated to 0 bytes", want: "wal-corrupt",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				must(t, os.Truncate(m.walFiles()[0], 0))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "wipe-data", how: "data directory emptied, initial-cluster-state new", want: "already-bootstrapped", live: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) { remove(t, m.path("member")) })
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "wipe-wal", how: "member/wal removed, initial-cluster-state new", want: "already-bootstrapped",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) { remove(t, m.path("member", "wal")) })
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "wipe-data-existing", how: "data directory of a follower emptied, initial-cluster-state existing, no remove and add", want: "raft-lost-log", live: true,
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.follower()
			m.stop(syscall.SIGTERM)
			remove(t, m.path("member"))
			m.state = "existing"
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "stale-data", how: "an older copy of the data directory put back after 100 more writes", want: "raft-lost-log", live: true,
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.follower()
			m.stop(syscall.SIGTERM)
			old := filepath.Join(filepath.Dir(m.dir), "old")
			copyTree(t, m.dir, old)
			m.start()
			m.waitReady()
			c.put(c.other(m), 50, 150, 100)
			m.stop(syscall.SIGTERM)
			remove(t, m.dir)
			must(t, os.Rename(old, m.dir))
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "removed", how: "member remove of a running member, which then was started again on its data", want: "removed-member",
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.follower()
			c.removeMember(c.other(m), m)
			m.waitExit(20 * time.Second)
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "removed-while-down", how: "member remove of a stopped member, which then was started on its old data", want: "removed-member",
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.follower()
			m.stop(syscall.SIGTERM)
			c.removeMember(c.other(m), m)
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "initial-cluster-count", how: "empty member started as existing with an initial-cluster of two of the three members", want: "initial-cluster-mismatch",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(c *realCluster, m *realMember) {
				remove(t, m.path("member"))
				m.state = "existing"
				m.initial = c.members[0].name + "=" + c.members[0].peerURL() + "," + m.name + "=" + m.peerURL()
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "initial-cluster-lacks-self", how: "initial-cluster without the member's own name", want: "initial-cluster-mismatch",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(c *realCluster, m *realMember) {
				remove(t, m.path("member"))
				m.initial = c.members[0].name + "=" + c.members[0].peerURL()
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "initial-cluster-other-url", how: "initial-cluster names the member with another peer URL than it advertises", want: "initial-cluster-mismatch",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				remove(t, m.path("member"))
				m.initial = strings.Replace(m.initial, m.peerURL(), "http://127.0.0.1:1", 1)
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "no-peers-to-join", how: "empty member started as existing while both other members are stopped", want: "",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(c *realCluster, m *realMember) {
				c.members[0].stop(syscall.SIGTERM)
				c.members[2].stop(syscall.SIGTERM)
				remove(t, m.path("member"))
				m.state = "existing"
			})
			m.waitExit(30 * time.Second)
			return m
		}},
	{name: "no-quorum-waiting", how: "one member started again on sound data while both others are stopped", want: "", live: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(c *realCluster, _ *realMember) {
				c.members[0].stop(syscall.SIGTERM)
				c.members[2].stop(syscall.SIGTERM)
			})
			m.waitOutput("is starting a new election", 20*time.Second)
			time.Sleep(2 * time.Second)
			return m
		}},
	{name: "survivor-without-quorum", how: "a running member whose two peers were killed", want: "",
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.members[1]
			c.members[0].stop(syscall.SIGKILL)
			c.members[2].stop(syscall.SIGKILL)
			m.waitOutput("is starting a new election", 20*time.Second)
			time.Sleep(6 * time.Second) // the prober speaks every five seconds
			return m
		}},
	{name: "port-in-use", how: "the client port held by another process", want: "port-in-use", live: true,
		do: func(t *testing.T) *realMember {
			var l net.Listener
			m := downOne(t, func(_ *realCluster, m *realMember) {
				var err error
				l, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(m.client))
				must(t, err)
			})
			m.waitExit(20 * time.Second)
			_ = l.Close()
			return m
		}},
	{name: "listen-address-absent", how: "listen-peer-urls on an address that the host does not have", want: "listen-addr-absent",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				m.args = append(m.args, "--listen-peer-urls=http://203.0.113.9:2380")
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "name-does-not-resolve", how: "initial-advertise-peer-urls with a host name that has no address", want: "dns",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 1, "http")
			m := c.members[0]
			url := "http://etcd1.nova.invalid:" + strconv.Itoa(m.peer)
			m.initial = "etcd1=http://127.0.0.1:" + strconv.Itoa(m.peer)
			m.args = append(m.args, "--initial-advertise-peer-urls="+url)
			m.start()
			m.waitOutput("failed to resolve", 20*time.Second)
			return m
		}},
	{name: "permission", how: "data directory owned by root, mode 0700, etcd run as nobody", want: "permission", rootOnly: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				m.cred = &syscall.Credential{Uid: 65534, Gid: 65534}
				for d := filepath.Dir(m.dir); len(d) > len(os.TempDir()); d = filepath.Dir(d) {
					must(t, os.Chmod(d, 0o755))
				}
				exe, err := os.Executable()
				must(t, err)
				for d := filepath.Dir(exe); len(d) > len(os.TempDir()); d = filepath.Dir(d) {
					must(t, os.Chmod(d, 0o755))
				}
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "permission-db", how: "only member/snap/db owned by root with mode 0600, the rest and etcd by nobody", want: "permission", rootOnly: true,
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(_ *realCluster, m *realMember) {
				m.cred = &syscall.Credential{Uid: 65534, Gid: 65534}
				for d := filepath.Dir(m.dir); len(d) > len(os.TempDir()); d = filepath.Dir(d) {
					must(t, os.Chmod(d, 0o755))
				}
				exe, err := os.Executable()
				must(t, err)
				for d := filepath.Dir(exe); len(d) > len(os.TempDir()); d = filepath.Dir(d) {
					must(t, os.Chmod(d, 0o755))
				}
				must(t, filepath.Walk(m.dir, func(p string, _ os.FileInfo, err error) error {
					if err != nil || strings.HasSuffix(p, "/db") {
						return err
					}
					return os.Chown(p, 65534, 65534)
				}))
			})
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "disk-full-at-start", how: "data directory on a tmpfs, filled while the member was down, then the member started and written to", want: "disk-full", rootOnly: true,
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 3, "http")
			m := c.members[1]
			smallDisk(t, m.dir)
			c.startAll()
			c.put(c.members[0], 0, 50, 200)
			m.stop(syscall.SIGTERM)
			fill(t, m.path("filler"))
			m.start()
			m.waitReady()
			c.put(c.members[0], 0, 3000, 20000)
			m.waitExit(30 * time.Second)
			return m
		}},
	{name: "disk-full-while-running", how: "file system of the data directory (tmpfs) filled under a running member, then writes", want: "disk-full", rootOnly: true,
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 3, "http")
			m := c.members[1]
			smallDisk(t, m.dir)
			c.startAll()
			fill(t, m.path("filler"))
			c.put(c.members[0], 0, 3000, 20000)
			m.waitExit(30 * time.Second)
			return m
		}},
	{name: "lock-held", how: "a second etcd process on the same data directory", want: "lock-held",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 2, "http")
			a, b := c.members[0], c.members[1]
			a.initial, b.initial = "etcd1="+a.peerURL(), "etcd2="+b.peerURL()
			a.start()
			a.waitReady()
			b.dir = a.dir
			b.start()
			b.waitOutput("flocked by another process", 30*time.Second)
			return b
		}},
	{name: "unknown-flag", how: "--experimental-initial-corrupt-check, which 3.7 no longer has", want: "bad-config",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 1, "http")
			m := c.members[0]
			m.args = append(m.args, "--experimental-initial-corrupt-check=true")
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "bad-state", how: "--initial-cluster-state=exiting", want: "bad-config",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 1, "http")
			m := c.members[0]
			m.state = "exiting"
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "bad-election-timeout", how: "--election-timeout=100 with --heartbeat-interval=50", want: "bad-config",
		do: func(t *testing.T) *realMember {
			c := newRealCluster(t, 1, "http")
			m := c.members[0]
			m.args = append(m.args, "--election-timeout=100")
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "cert-expired", how: "mutual TLS between peers; etcd2 restarted with a peer certificate that ran out an hour ago; log of etcd2", want: "cert-expired",
		do: func(t *testing.T) *realMember { return tlsFault(t, -47*time.Hour, -time.Hour, local) }},
	{name: "cert-not-yet-valid", how: "mutual TLS between peers; etcd2 restarted with a peer certificate that is valid from tomorrow; log of etcd2", want: "cert-expired",
		do: func(t *testing.T) *realMember { return tlsFault(t, 20*time.Hour, 40*time.Hour, local) }},
	{name: "cert-wrong-address", how: "mutual TLS between peers; etcd2's peer certificate is for another address; log of etcd2", want: "cert-bad",
		do: func(t *testing.T) *realMember { return tlsFault(t, -time.Hour, 40*time.Hour, net.IPv4(203, 0, 113, 9)) }},
	{name: "cert-other-ca", how: "mutual TLS between peers; etcd2's peer certificate and CA file are of another authority; log of etcd2", want: "cert-bad",
		do: func(t *testing.T) *realMember { return tlsFault(t, 0, 0, nil) }},
	{name: "cert-missing", how: "the peer certificate file does not exist", want: "cert-bad",
		do: func(t *testing.T) *realMember {
			c := tlsCluster(t)
			m := c.members[1]
			m.stop(syscall.SIGTERM)
			must(t, os.Remove(m.tls.cert))
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "cert-key-mismatch", how: "the peer key belongs to another certificate", want: "cert-bad",
		do: func(t *testing.T) *realMember {
			c := tlsCluster(t)
			m := c.members[1]
			m.stop(syscall.SIGTERM)
			m.tls.key = c.members[0].tls.key
			m.start()
			m.waitExit(20 * time.Second)
			return m
		}},
	{name: "other-cluster-id", how: "etcd2 wiped and bootstrapped alone under the same peer URL with another token; log of etcd2", want: "cluster-id-mismatch",
		do: func(t *testing.T) *realMember {
			c := threeMembers(t)
			m := c.members[1]
			m.stop(syscall.SIGTERM)
			remove(t, m.path("member"))
			m.initial, m.token = m.name+"="+m.peerURL(), "another"
			m.start()
			m.waitReady()
			c.members[0].waitOutput("cluster ID mismatch", 20*time.Second)
			time.Sleep(time.Second)
			return m
		}},
	{name: "data-inconsistent-at-start", how: "one value changed in member/snap/db with bbolt while the member was down, started with feature gate InitialCorruptCheck", want: "data-inconsistent",
		do: func(t *testing.T) *realMember {
			m := downOne(t, func(c *realCluster, m *realMember) {
				db, err := bolt.Open(m.path("member", "snap", "db"), 0o600, nil)
				must(t, err)
				must(t, db.Update(func(tx *bolt.Tx) error {
					b := tx.Bucket([]byte("key"))
					k, v := b.Cursor().First()
					changed := []byte(strings.Replace(string(v), "vvvv", "vvvw", 1))
					return b.Put(append([]byte(nil), k...), changed)
				}))
				must(t, db.Close())
				m.args = append(m.args, "--feature-gates=InitialCorruptCheck=true")
			})
			m.waitExit(20 * time.Second)
			return m
		}},
}
