package etcdops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

func TestCollectHealthyCluster(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 5 {
		if out, err := c.ctl("master-1", "put", fmt.Sprintf("/registry/%d", i), "a value nobody must see"); err != nil {
			t.Fatal(out, err)
		}
	}
	c.conns["master-2"].noise = "Last login: today\n*** clock 17 ***\n"
	f := c.collect()
	if f.MembersFrom != FromLinearizable || len(f.Members) != 3 {
		t.Fatalf("members %v from %s", f.Members, f.MembersFrom)
	}
	leaders, hashes := 0, map[string]bool{}
	for i, n := range f.Nodes {
		e := n.Endpoint
		if !n.Reachable || !e.Answers || !e.Healthy || e.Error != "" || len(e.OwnMembers) != 3 {
			t.Errorf("%s: %+v", n.Node, e)
		}
		if e.Version != "3.7.3" || e.Revision != 6 || e.RaftIndex == 0 || e.DBSize == 0 || e.LeaderID == "" {
			t.Errorf("%s: status %+v", n.Node, e)
		}
		if e.IsLeader() {
			leaders++
		}
		hashes[e.Hash] = true
		if f.Members[i].Node != n.Node || f.Members[i].ID != e.MemberID {
			t.Errorf("member %+v stands at node %s with id %s", f.Members[i], n.Node, e.MemberID)
		}
		checkNodeFacts(t, c, n)
	}
	if leaders != 1 || len(hashes) != 1 || hashes[""] || f.HashRevision != 6 {
		t.Errorf("%d leaders, hashes %v at revision %d", leaders, hashes, f.HashRevision)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"PRIVATE KEY", "never shown", "nobody must see"} {
		if strings.Contains(string(b), word) || strings.Contains(fmt.Sprintf("%+v", f), word) {
			t.Errorf("the facts hold %q", word)
		}
	}
}

func checkNodeFacts(t *testing.T, c *cluster, n NodeFacts) {
	t.Helper()
	root := c.node(n.Node).Root
	if n.Host.Hostname != "nova-"+n.Node+".nova.internal" || len(n.Host.MachineID) != 32 || n.Host.UptimeSeconds <= 0 {
		t.Errorf("%s: host %+v", n.Node, n.Host)
	}
	if skew := n.Host.SkewMillis; skew < -2000 || skew > 2000 || n.Host.SkewErrorMillis < 0 {
		t.Errorf("%s: skew %d ± %d ms on the same machine", n.Node, skew, n.Host.SkewErrorMillis)
	}
	if !n.Env.Exists || n.Env.Error != "" || n.Env.State() != "new" || n.Env.Values["ETCDCTL_PASSWORD"] != Masked {
		t.Errorf("%s: env %+v", n.Node, n.Env)
	}
	if v := n.Versions; v.Etcd != "3.7.3" || v.Etcdctl != "3.7.3" || v.Etcdutl != "3.7.3" {
		t.Errorf("%s: versions %+v", n.Node, v)
	}
	d := n.Data
	if d.Path != root+"/var/lib/etcd" || !d.Exists || !d.HasMember || !d.HasDB || !d.HasWAL || d.Mode != "0700" ||
		d.Owner == "" || d.SizeBytes == 0 || d.DBBytes == 0 || d.FreeBytes == 0 || d.Device == "" || d.Error != "" {
		t.Errorf("%s: data %+v", n.Node, d)
	}
	pid := c.procs[n.Node].Process.Pid
	if len(d.Holders) != 1 || d.Holders[0] != pid {
		t.Errorf("%s: held by %v, want %d", n.Node, d.Holders, pid)
	}
	found := false
	for _, p := range n.Running {
		found = found || p.PID == pid && filepath.Base(p.Argv[0]) == "etcd" && !p.StoppedState
	}
	if !found {
		t.Errorf("%s: process %d is not among %+v", n.Node, pid, n.Running)
	}
	if len(n.Ports) != 2 || !n.Ports[0].Listening || !n.Ports[1].Listening || n.Ports[0].Use != "client" {
		t.Errorf("%s: ports %+v", n.Node, n.Ports)
	}
	if len(n.Certs) != 6 {
		t.Fatalf("%s: %d certificates", n.Node, len(n.Certs))
	}
	for _, cert := range n.Certs {
		leaf := cert.Use == "server" || cert.Use == "peer" || cert.Use == "client"
		if cert.Error != "" || cert.NotAfter.IsZero() || cert.Subject == "" ||
			leaf && (cert.KeyMatches == nil || !*cert.KeyMatches || cert.ChainOK == nil || !*cert.ChainOK) {
			t.Errorf("%s: certificate %+v", n.Node, cert)
		}
	}
}

func TestCollectOneDeadMemberIsQuick(t *testing.T) {
	c := newCluster(t, 3)
	c.kill("master-2")
	col := c.collector()
	var f Facts
	for range 2 { // the first builds connections
		var err error
		if f, err = col.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	dead, _ := f.NodeByName("master-2")
	if dead.Endpoint.Answers || !strings.Contains(dead.Endpoint.Error, "refused") || !dead.Reachable ||
		len(dead.Data.Holders) != 0 || dead.Ports[0].Listening {
		t.Errorf("the dead member: %+v", dead.Endpoint)
	}
	if f.MembersFrom != FromLinearizable || len(f.Members) != 3 || f.HashRevision == 0 {
		t.Errorf("members %v from %s, hash at %d", f.Members, f.MembersFrom, f.HashRevision)
	}
	// "refused" and not "no answer within" above is what makes it quick; the
	// time itself depends on who else uses the machine.
	t.Logf("collected in %d ms", f.Took)
	// The cheap version sees it come back.
	c.start("master-2")
	c.waitHealthy("master-2")
	f, err := col.Status(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	back, _ := f.NodeByName("master-2")
	if !back.Endpoint.Healthy || back.Versions.Etcd == "" || f.HashRevision != 0 {
		t.Errorf("after the restart: %+v", back.Endpoint)
	}
	if keys, err := col.CountKeys(t.Context(), back, 0); err != nil || keys != 0 {
		t.Errorf("%d keys, %v", keys, err)
	}
	t.Logf("status in %d ms", f.Took)
}

// TestCollectAwaitsTheElection: in the moments after the leader died the others
// have none; what is collected then must not make them look ill. The election
// takes 2.5 to 5 s here, so that a look falls into it.
func TestCollectAwaitsTheElection(t *testing.T) {
	c := newCluster(t, 3)
	for _, n := range c.nodes {
		c.kill(n.Name)
		file := filepath.Join(n.Root, "etc/etcd.env")
		write(t, file, strings.ReplaceAll(read(t, file), `ETCD_ELECTION_TIMEOUT="500"`, `ETCD_ELECTION_TIMEOUT="2500"`))
	}
	for _, n := range c.nodes {
		c.start(n.Name)
	}
	for _, n := range c.nodes {
		c.waitHealthy(n.Name)
	}
	col := c.collector()
	for range 2 {
		f, err := col.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leader := slices.IndexFunc(f.Nodes, func(n NodeFacts) bool { return n.Endpoint.IsLeader() })
		if leader < 0 {
			t.Fatalf("no leader in %+v", f.Nodes)
		}
		dead := f.Nodes[leader].Node
		c.kill(dead)
		if f, err = col.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		led := 0
		for _, n := range f.Nodes {
			if n.Endpoint.IsLeader() {
				led++
			}
			if n.Node != dead && (!n.Endpoint.Healthy || n.Endpoint.LeaderID == f.Nodes[leader].Endpoint.MemberID) {
				t.Errorf("right after %s died: %s is %+v", dead, n.Node, n.Endpoint)
			}
		}
		if led != 1 {
			t.Errorf("%d leaders", led)
		}
		c.start(dead)
		c.waitHealthy(dead)
	}
}

func TestCollectWithoutQuorum(t *testing.T) {
	c := newCluster(t, 3)
	c.kill("master-2")
	c.kill("master-3")
	// A survivor that runs on still tells its own member list.
	deadline := time.Now().Add(15 * time.Second)
	var f Facts
	for {
		f = c.collect()
		if f.Nodes[0].Endpoint.LeaderID == "" || time.Now().After(deadline) {
			break
		}
	}
	e := f.Nodes[0].Endpoint
	if !e.Answers || e.Healthy || e.LeaderID != "" || f.MembersFrom != FromLocal || len(f.Members) != 3 {
		t.Errorf("members %v from %s, endpoint %+v", f.Members, f.MembersFrom, e)
	}
	// Restarted, its client port is silent; the peer port still tells.
	c.kill("master-1")
	c.start("master-1")
	for time.Now().Before(deadline.Add(15 * time.Second)) {
		if f = c.collect(); f.MembersFrom == FromPeer {
			break
		}
	}
	e = f.Nodes[0].Endpoint
	if e.Answers || !e.PeerAnswers || e.ClusterID == "" || e.MemberID == "" || e.Version != "3.7.3" ||
		f.MembersFrom != FromPeer || len(f.Members) != 3 || f.Members[0].Node != "master-1" {
		t.Errorf("members %v from %s, endpoint %+v", f.Members, f.MembersFrom, e)
	}
	// All dead: the env files are all there is.
	c.kill("master-1")
	f = c.collect()
	if f.MembersFrom != FromEnv || len(f.Members) != 3 || f.Members[2].Node != "master-3" || f.Members[0].ID != "" {
		t.Errorf("members %v from %s", f.Members, f.MembersFrom)
	}
}

func TestCollectUnreachableAndHanging(t *testing.T) {
	c := newCluster(t, 3)
	c.down["master-3"] = fmt.Errorf("dial: %w", remote.ErrUnreachable)
	if err := c.procs["master-2"].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f := c.collect()
	hanging, _ := f.NodeByName("master-2")
	if hanging.Endpoint.Answers || !strings.Contains(hanging.Endpoint.Error, "deadline") {
		t.Errorf("the hanging member: %+v", hanging.Endpoint)
	}
	stopped := false
	for _, p := range hanging.Running {
		stopped = stopped || p.PID == c.procs["master-2"].Process.Pid && p.StoppedState
	}
	if !stopped {
		t.Errorf("no suspended process among %+v", hanging.Running)
	}
	away, _ := f.NodeByName("master-3")
	if away.Reachable || away.ErrorKind != "unreachable" || !away.Endpoint.Healthy || away.Endpoint.Via != "master-1" {
		t.Errorf("the node out of reach: %+v", away)
	}
	t.Logf("collected in %d ms", f.Took)
}

func TestReadyz(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusOK)
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, "ok")
	}))
	defer api.Close()
	n := remote.Node{Name: "n", Root: tree(t, map[string]string{"etc/etcd.env": "ETCD_NAME=x\n"})}
	cfg := Config{EnvFile: "/etc/etcd.env", Readyz: api.URL + "/readyz"}
	col := NewCollector(cfg, []remote.Node{n}, oneConn{&localConn{node: n}})
	ask := func() ReadyzFacts {
		f, err := col.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return f.Nodes[0].Readyz
	}
	if r := ask(); !r.Asked || !r.OK || r.Answer != "ok" {
		t.Errorf("ready: %+v", r)
	}
	status.Store(http.StatusInternalServerError)
	if r := ask(); !r.Asked || r.OK || !strings.HasPrefix(r.Answer, "500") {
		t.Errorf("not ready: %+v", r)
	}
	api.Close()
	if r := ask(); !r.Asked || r.OK {
		t.Errorf("nobody there: %+v", r)
	}
}

func TestCollectRefusesOtherPlatforms(t *testing.T) {
	for _, p := range []string{"kubeadm", "openshift", "solaris"} {
		_, err := NewCollector(Config{Platform: p}, []remote.Node{{Name: "n"}}, &cluster{}).Collect(context.Background())
		if !errors.Is(err, ErrPlatform) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	m := material{client: identity{key: secret("PRIVATE KEY")}}
	b, err := json.Marshal(map[string]any{"k": m.client.key})
	if err != nil {
		t.Fatal(err)
	}
	text := string(b) + fmt.Sprintf("%v %+v %#v %s %q %x", m, m, m, m.client.key, m.client.key, m.client.key)
	if strings.Contains(text, "PRIVATE") || strings.Contains(text, fmt.Sprintf("%x", "PRIVATE")) {
		t.Errorf("a key came out: %s", text)
	}
}
