//go:build e2e && linux

package samples

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/novatui/novatui/e2e/hosts"
)

// lab is a cluster in the making.
type lab struct {
	t       *testing.T
	version string
	inBox   bool // member 2 runs under systemd
	dir     string
	prefix  string
	ca      *authority
	admin   pair
	members []*member
}

// hostNames are what the machines of a sample are called; which set is drawn
// by the sample's name.
var hostNames = [][]string{
	{"etcd-1", "etcd-2", "etcd-3", "etcd-4"}, {"master-1", "master-2", "master-3", "master-4"},
	{"cp-a", "cp-b", "cp-c", "cp-d"}, {"kube-m1", "kube-m2", "kube-m3", "kube-m4"},
	{"infra0", "infra1", "infra2", "infra3"}, {"n1", "n2", "n3", "n4"},
}

// newLab lays the network and the members' settings; it starts nothing. tls
// makes peers and clients speak it.
func newLab(t *testing.T, version string, n int, tls, inBox bool) *lab {
	t.Helper()
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.Name()))
	sum := h.Sum32()
	l := &lab{t: t, version: version, inBox: inBox, prefix: fmt.Sprintf("10.%d.%d.", 20+sum%60, sum/60%250)}
	bin := binaries(t, version)
	var err error
	l.dir, err = os.MkdirTemp("/var/lib", "nvs-") // a booted Debian mounts its own /tmp
	must(t, err)
	must(t, os.Chmod(l.dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(l.dir) })
	layNetwork(t, l.prefix, n)
	scheme := "http"
	if tls {
		scheme = "https"
		l.ca = newAuthority(t, filepath.Join(l.dir, "pki"), "ca", -1000*time.Hour, 80000*time.Hour)
		l.admin = l.ca.issue("admin", wish{})
	}
	names := hostNames[sum%uint32(len(hostNames))]
	for i := range n {
		m := &member{lab: l, index: i, name: names[i], ip: l.prefix + strconv.Itoa(11+i), bin: bin, scheme: scheme}
		m.dir = filepath.Join(l.dir, m.name, "etcd")
		must(t, os.MkdirAll(m.dir, 0o700))
		m.flags = map[string]string{
			"name": m.name, "data-dir": m.dir, "initial-cluster-state": "new", "initial-cluster-token": "k8s-etcd",
			"listen-client-urls": m.clientURL(), "advertise-client-urls": m.clientURL(),
			"listen-peer-urls": m.peerURL(), "initial-advertise-peer-urls": m.peerURL(),
		}
		if tls {
			m.secure(l.ca.issue(m.name, wish{addresses: []string{m.ip, "127.0.0.1"}}))
		}
		l.members = append(l.members, m)
		t.Cleanup(m.kill)
	}
	for _, m := range l.members {
		m.flags["initial-cluster"] = l.initial(l.members...)
	}
	if inBox {
		l.members[1].box = newBox(l, l.members[1])
	}
	return l
}

var binaryDirs sync.Map

func binaries(t *testing.T, version string) string {
	t.Helper()
	if d, ok := binaryDirs.Load(version); ok {
		return d.(string)
	}
	d, err := hosts.Binaries(t.Context(), version)
	must(t, err)
	binaryDirs.Store(version, d)
	return d
}

func (l *lab) initial(members ...*member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.name+"="+m.peerURL())
	}
	return strings.Join(all, ",")
}

func (l *lab) startAll() {
	l.t.Helper()
	for _, m := range l.members {
		m.start()
	}
	for _, m := range l.members {
		m.ready()
	}
}

// client talks to one member from the hub.
func (m *member) client() (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: []string{m.clientURL()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, net.JoinHostPort(m.ip, "2379"))
		})},
	}
	if m.scheme == "https" {
		tls, err := clientTLS(m.admin)
		if err != nil {
			return nil, err
		}
		config.TLS = tls
	}
	return clientv3.New(config)
}

// put writes n keys of so many bytes through a member.
func (m *member) put(n, size int) {
	m.t.Helper()
	must(m.t, m.tryPut(n, size))
}

func (m *member) tryPut(n, size int) error {
	c, err := m.client()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	value := strings.Repeat("v", size)
	for i := range n {
		if _, err := c.Put(ctx, fmt.Sprintf("/registry/pods/default/p%05d", i), value); err != nil {
			return err
		}
	}
	return nil
}

// leader is the member that leads.
func (l *lab) leader() *member {
	l.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(100 * time.Millisecond) {
		for _, m := range l.members {
			c, err := m.client()
			must(l.t, err)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := c.Status(ctx, m.clientURL())
			cancel()
			_ = c.Close()
			if err == nil && s.Leader == s.Header.MemberId {
				return m
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatal("no member leads")
		}
	}
}

// lead makes member i the leader.
func (l *lab) lead(i int) {
	l.t.Helper()
	from := l.leader()
	if from.index == i {
		return
	}
	c, err := from.client()
	must(l.t, err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	_, err = c.MoveLeader(ctx, l.members[i].id(from))
	must(l.t, err)
}

// id is the member's id as another knows it.
func (m *member) id(asked *member) uint64 {
	m.t.Helper()
	c, err := asked.client()
	must(m.t, err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	list, err := c.MemberList(ctx)
	must(m.t, err)
	for _, x := range list.Members {
		if len(x.PeerURLs) == 1 && x.PeerURLs[0] == m.peerURL() {
			return x.ID
		}
	}
	m.t.Fatalf("%s is not a member", m.name)
	return 0
}

// remove removes the member through another.
func (m *member) remove(asked *member) string {
	m.t.Helper()
	var out string
	for deadline := time.Now().Add(wait); ; time.Sleep(time.Second) { // refused for 5 s after a start
		out = asked.ctl("member", "remove", fmt.Sprintf("%x", m.id(asked)))
		if strings.Contains(out, "removed from cluster") {
			return out
		}
		if time.Now().After(deadline) {
			m.t.Fatal(out)
		}
	}
}

// ctl runs the version's own etcdctl against the member and gives what was
// typed and what it answered.
func (m *member) ctl(args ...string) string {
	m.t.Helper()
	return m.lab.ctl([]*member{m}, args...)
}

func (l *lab) ctl(members []*member, args ...string) string {
	l.t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.clientURL())
	}
	flags := []string{"--endpoints=" + strings.Join(endpoints, ",")}
	if l.ca != nil {
		flags = append(flags, "--cacert="+l.admin.ca, "--cert="+l.admin.cert, "--key="+l.admin.key)
	}
	return l.program(members[0].bin, "etcdctl", append(flags, args...)...)
}

// program runs etcdctl or etcdutl of a folder in the hub.
func (l *lab) program(bin, name string, args ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=/root"}
	must(l.t, inSpace(hub, c.Start))
	_ = c.Wait() // how it ended is in what it said
	return "$ " + name + " " + strings.Join(args, " ") + "\n" + strings.TrimRight(out.String(), "\n")
}

// minor is the second number of the version.
func (l *lab) minor() int {
	n, _ := strconv.Atoi(strings.Split(l.version, ".")[1])
	return n
}

// others are all members but one.
func (l *lab) others(but *member) []*member {
	var out []*member
	for _, m := range l.members {
		if m != but {
			out = append(out, m)
		}
	}
	return out
}
