package etcdops

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// The builders, used on real etcd in the order in which the procedures use
// them. What needs systemd is tested with the lab.

func hosts(t testing.TB, f Facts) map[string]Host {
	t.Helper()
	m := map[string]Host{}
	for _, n := range f.Nodes {
		h, err := f.Host(n.Node)
		if err != nil {
			t.Fatal(err)
		}
		m[n.Node] = h
	}
	return m
}

func TestRejoinWithTheBuilders(t *testing.T) {
	c := newCluster(t, 3)
	col := c.collector()
	f, err := col.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hs := hosts(t, f)
	broken, helper := hs["master-3"], hs["master-1"]
	m, _ := f.MemberOf("master-3")
	endpoints := append(append([]string{}, helper.ClientURLs()...), hs["master-2"].ClientURLs()...)
	c.kill("master-3")

	cmd, err := helper.MemberList(endpoints)
	members, perr := ParseMemberList([]byte(c.run("master-1", cmd, err)))
	if perr != nil || len(members) != 3 || members[0].ID == "" || len(members[0].PeerURLs) != 1 {
		t.Fatalf("member list %+v, %v", members, perr)
	}
	cmd, err = helper.MemberRemove(endpoints, m.ID)
	if cmd.Effect != remote.Destroy {
		t.Error("removing a member cannot be taken back")
	}
	c.run("master-1", cmd, err)
	cmd, err = broken.MoveAside(broken.Facts.Data, "20261103-140314")
	c.run("master-3", cmd, err)

	// etcd refuses a change right after another for some seconds.
	cmd, err = helper.MemberAdd(endpoints, m.Name, m.PeerURLs, helper.Facts.Versions.CanLearner())
	if err != nil {
		t.Fatal(err)
	}
	var out string
	eventually(t, "member add", func() error {
		res, err := c.conns["master-1"].Run(t.Context(), cmd, remote.Streams{})
		out = string(res.Stdout)
		return firstErr(err, res.Check("master-1", cmd))
	})
	added, err := ParseMemberAdd([]byte(out), m.Name)
	if err != nil || !added.Member.Learner || added.Member.ID == m.ID || len(added.Members) != 3 {
		t.Fatalf("member add: %+v, %v", added, err)
	}
	if strings.Count(added.InitialCluster, "=") != 3 || !strings.Contains(added.InitialCluster, m.Name+"="+m.PeerURLs[0]) {
		t.Fatalf("initial cluster %q", added.InitialCluster)
	}
	cmd, err = broken.SetEnv(map[string]string{
		"ETCD_INITIAL_CLUSTER_STATE": "existing", "ETCD_INITIAL_CLUSTER": added.InitialCluster,
	}, "20261103-140314")
	c.run("master-3", cmd, err)
	cmd, err = broken.MakeDir(broken.Facts.Data.Actual(), broken.DataOwner())
	c.run("master-3", cmd, err)
	c.start("master-3")

	cmd, err = helper.MemberPromote(endpoints, added.Member.ID)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "promotion", func() error {
		res, err := c.conns["master-1"].Run(t.Context(), cmd, remote.Streams{})
		return firstErr(err, res.Check("master-1", cmd))
	})
	c.waitHealthy("master-3")
	f, err = col.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := f.MemberOf("master-3")
	n, _ := f.NodeByName("master-3")
	if again.ID != added.Member.ID || again.Learner || n.Endpoint.Hash == "" || n.Endpoint.Hash != f.Nodes[0].Endpoint.Hash ||
		len(n.Asides) != 1 || n.Data.Mode != "0700" {
		t.Errorf("after the rejoin: %+v, %+v, asides %v", again, n.Endpoint, n.Asides)
	}
}

func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func TestRestoreWithTheBuilders(t *testing.T) {
	const tag = "20261103-140314"
	c := newCluster(t, 3)
	for i := range 20 {
		if out, err := c.ctl("master-1", "put", fmt.Sprintf("/registry/%d", i), "v"); err != nil {
			t.Fatal(out, err)
		}
	}
	f := c.collect()
	hs := hosts(t, f)
	h := hs["master-1"]

	// A backup with the vendor's name; inspected plain and as an archive.
	name := SnapshotNameFor("5.1.1", "1.27.11", time.Date(2024, 6, 14, 8, 15, 38, 0, time.UTC))
	snapshot := h.Path("/tmp/" + name)
	cmd, err := h.SnapshotSave(h.ClientURLs()[0], snapshot)
	c.run("master-1", cmd, err)
	s, err := h.InspectSnapshot(t.Context(), c.conns["master-1"], snapshot, tag)
	if err != nil || !s.Sound() || s.Info.Revision != 21 || s.Info.TotalKeys != 20 ||
		s.Name == nil || s.Name.NovaVersion != "5.1.1" || s.Plain != snapshot {
		t.Fatalf("inspected %+v, %v", s, err)
	}
	if again, err := h.InspectSnapshot(t.Context(), c.conns["master-1"], snapshot, tag); err != nil || again.SHA256 != s.SHA256 {
		t.Fatalf("looking at the snapshot changed it: %+v, %v", again, err)
	}
	archive(t, snapshot+".tar.gz", entry{"opt/backup/" + name, '0', read(t, snapshot)})
	packed, err := h.InspectSnapshot(t.Context(), c.conns["master-1"], snapshot+".tar.gz", tag)
	if err != nil || !packed.Sound() || packed.SHA256 != s.SHA256 || packed.PathSHA256 == s.SHA256 ||
		packed.Plain != filepath.Join(h.RunDir(tag+"-look"), name) {
		t.Fatalf("inspected %+v, %v", packed, err)
	}
	if left, err := filepath.Glob(h.RunDir("*-look")); err != nil || len(left) > 0 {
		t.Errorf("looking at an archive left %v, %v", left, err)
	}
	bad := []byte(read(t, snapshot))
	bad[len(bad)/2] ^= 1
	write(t, h.Path("/tmp/bad.db"), string(bad))
	if b, err := h.InspectSnapshot(t.Context(), c.conns["master-1"], h.Path("/tmp/bad.db"), tag); err != nil || b.Hash != HashBad || b.Sound() {
		t.Errorf("a flipped bit: %+v, %v", b, err)
	}
	if f := c.collect(); len(f.Nodes[0].Snapshots) != 3 || len(f.Nodes[0].Runs) != 0 {
		t.Errorf("snapshots %+v, runs %v", f.Nodes[0].Snapshots, f.Nodes[0].Runs)
	}

	for _, n := range c.nodes {
		c.kill(n.Name)
	}
	text := read(t, snapshot)
	for _, n := range c.nodes {
		h := hs[n.Name]
		cmd, err := h.MakeRunDir(tag)
		c.run(n.Name, cmd, err)
		file := filepath.Join(h.RunDir(tag), "restore.db")
		cmd, err = h.PutFile(file, fmt.Sprint(len(text)), s.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.conns[n.Name].Run(t.Context(), cmd, remote.Streams{Stdin: strings.NewReader(text)})
		if err = firstErr(err, res.Check(n.Name, cmd)); err != nil {
			t.Fatal(err)
		}
		cmd, err = h.MoveAside(h.Facts.Data, tag)
		c.run(n.Name, cmd, err)
		restore := Restore{
			Snapshot: file, Name: h.Facts.Env.Name(), PeerURLs: h.Facts.Env.PeerURLs(),
			InitialCluster: h.Facts.Env.InitialCluster(), Token: "k8s_etcd-" + tag, Bump: DefaultBump, Tag: tag,
		}
		// Sound, but not the snapshot that was meant.
		restore.Sum = strings.Repeat("0", 64)
		cmd, err = h.RestoreSnapshot(restore)
		if err != nil {
			t.Fatal(err)
		}
		other, err := c.conns[n.Name].Run(t.Context(), cmd, remote.Streams{})
		if err != nil || other.Exit != 1 || !strings.Contains(string(other.Stderr), s.SHA256) {
			t.Fatalf("another snapshot than meant: status %d, %v: %s", other.Exit, err, other.Stderr)
		}
		cmd, err = h.PlaceRestored(h.Facts.Data, tag)
		if err != nil {
			t.Fatal(err)
		}
		if other, err = c.conns[n.Name].Run(t.Context(), cmd, remote.Streams{}); err != nil || other.Exit != ExitRefused {
			t.Fatalf("it can be put in place: status %d, %v", other.Exit, err)
		}
		// The right end behind other content: the tool finds it out.
		restore.Sum, restore.EtcdSum = s.SHA256, s.EtcdSum
		flipped := []byte(text)
		flipped[len(flipped)/2] ^= 1
		write(t, file, string(flipped))
		cmd, err = h.RestoreSnapshot(restore)
		if err != nil {
			t.Fatal(err)
		}
		if other, err = c.conns[n.Name].Run(t.Context(), cmd, remote.Streams{}); err != nil || other.Exit != 1 {
			t.Fatalf("a flipped bit: status %d, %v: %s", other.Exit, err, other.Stderr)
		}
		flipped = []byte(text)
		flipped[len(flipped)-1] ^= 1
		write(t, file, string(flipped))
		if other, err = c.conns[n.Name].Run(t.Context(), cmd, remote.Streams{}); err != nil || other.Exit != 1 ||
			!strings.Contains(string(other.Stderr), "at the end") {
			t.Fatalf("another end: status %d, %v: %s", other.Exit, err, other.Stderr)
		}
		write(t, file, text)
		if n.Name == "master-2" {
			restore.EtcdSum = "" // the whole file is read
		}
		cmd, err = h.RestoreSnapshot(restore)
		for _, want := range []string{"restored", "already"} {
			if out := c.run(n.Name, cmd, err); ScriptResult([]byte(out)) != want {
				t.Fatalf("%s: %s, want %s", n.Name, out, want)
			}
		}
		if _, err := os.Stat(h.Facts.Data.Path); !os.IsNotExist(err) {
			t.Fatalf("the final directory is there before its time: %v", err)
		}
		cmd, err = h.PlaceRestored(h.Facts.Data, tag)
		c.run(n.Name, cmd, err)
		cmd, err = h.SetEnv(map[string]string{
			"ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_INITIAL_CLUSTER_TOKEN": "k8s_etcd-" + tag,
		}, tag)
		c.run(n.Name, cmd, err)
		c.start(n.Name)
	}
	for _, n := range c.nodes {
		c.waitHealthy(n.Name)
	}
	after := c.collect()
	for i, n := range after.Nodes {
		e := n.Endpoint
		if !e.Healthy || e.ClusterID == f.Nodes[i].Endpoint.ClusterID || e.Revision != 21+DefaultBump || e.Hash == "" ||
			e.Hash != after.Nodes[0].Endpoint.Hash || n.Data.Mode != "0700" || n.Data.Owner != f.Nodes[i].Data.Owner {
			t.Errorf("%s after the restore: %+v %+v", n.Node, e, n.Data)
		}
	}
	if out, err := c.ctl("master-2", "get", "/registry/7", "--print-value-only"); err != nil || strings.TrimSpace(out) != "v" {
		t.Errorf("a key of the snapshot: %q, %v", out, err)
	}
}

func TestRestoreKeepsAFailedTry(t *testing.T) {
	c := newCluster(t, 1)
	h := hosts(t, c.collect())["master-1"]
	c.kill("master-1")
	write(t, h.Path("/tmp/no.db"), strings.Repeat("x", 1024))
	cmd, err := h.RestoreSnapshot(Restore{
		Snapshot: h.Path("/tmp/no.db"), Name: "etcd1", PeerURLs: h.Facts.Env.PeerURLs(),
		InitialCluster: h.Facts.Env.InitialCluster(), Token: "t", Tag: "t",
	})
	if err != nil {
		t.Fatal(err)
	}
	before := listing(t, h.Facts.Data.Path)
	for range 2 {
		res, err := c.conns["master-1"].Run(t.Context(), cmd, remote.Streams{})
		if err != nil || res.Exit != 1 {
			t.Fatalf("status %d, %v: %s", res.Exit, err, res.Stderr)
		}
	}
	if got := listing(t, h.Facts.Data.Path); len(got) != len(before) {
		t.Errorf("the data directory was touched: %d entries instead of %d", len(got), len(before))
	}
}

func TestSalvageWithTheBuilders(t *testing.T) {
	const tag = "20261103-140315"
	c := newCluster(t, 3)
	for i := range 10 {
		if out, err := c.ctl("master-1", "put", fmt.Sprintf("/registry/%d", i), "v"); err != nil {
			t.Fatal(out, err)
		}
	}
	h := hosts(t, c.collect())["master-2"]
	cmd, err := h.MakeRunDir(tag)
	c.run("master-2", cmd, err)
	copyData, err := h.CopyData(tag)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.conns["master-2"].Run(t.Context(), copyData, remote.Streams{})
	if err != nil || res.Exit != ExitRefused {
		t.Fatalf("copying under a running member: status %d, %v", res.Exit, err)
	}
	for _, n := range c.nodes {
		c.kill(n.Name)
	}
	before := listing(t, h.Facts.Data.Path)
	for _, want := range []string{"copied", "already"} {
		if out := c.run("master-2", copyData, nil); ScriptResult([]byte(out)) != want {
			t.Fatalf("%s, want %s", out, want)
		}
	}
	ports := freePorts(t, 2)
	file := filepath.Join(h.RunDir(tag), "salvaged.db")
	cmd, err = h.SalvageSnapshot(tag, file, ports[0], ports[1], 2*time.Minute)
	c.run("master-2", cmd, err)
	s, err := h.InspectSnapshot(t.Context(), c.conns["master-2"], file, tag)
	if err != nil || !s.Sound() || s.Info.TotalKeys != 10 {
		t.Errorf("salvaged %+v, %v", s, err)
	}
	after := listing(t, h.Facts.Data.Path)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s of the original changed", name)
		}
	}
	if f := c.collect(); len(f.Nodes[1].Running) != 0 {
		t.Errorf("still running: %+v", f.Nodes[1].Running)
	}
}

func TestBuildersRefuseNonsense(t *testing.T) {
	h := Host{Config: Config{EnvFile: "/etc/etcd.env", BinDir: "/opt/etcd"}, Facts: NodeFacts{
		Versions: ToolVersions{Etcdutl: "3.6.1"}, Data: DirFacts{Path: "/var/lib/etcd"},
	}}
	urls := []string{"https://10.0.0.1:2379"}
	restore := Restore{
		Snapshot: "/tmp/s.db", Name: "a", PeerURLs: []string{"https://10.0.0.1:2380"}, Token: "t", Tag: "t",
		InitialCluster: "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380",
	}
	if _, err := h.RestoreSnapshot(restore); err != nil {
		t.Error(err)
	}
	wrong := restore
	wrong.PeerURLs = []string{"https://10.0.0.9:2380"}
	for what, fn := range map[string]func() (remote.Command, error){
		"no endpoint":       func() (remote.Command, error) { return h.MemberList(nil) },
		"endpoint of shell": func() (remote.Command, error) { return h.MemberList([]string{"https://a:1;reboot"}) },
		"member id":         func() (remote.Command, error) { return h.MemberRemove(urls, "etcd2") },
		"member name":       func() (remote.Command, error) { return h.MemberAdd(urls, "a=b", urls, false) },
		"option as a name":  func() (remote.Command, error) { return h.MemberAdd(urls, "--x", urls, false) },
		"etc":               func() (remote.Command, error) { return h.MoveAside(DirFacts{Path: "/etc/kubernetes"}, "t") },
		"link to etc": func() (remote.Command, error) {
			return h.MoveAside(DirFacts{Path: "/var/lib/etcd", Real: "/usr/lib"}, "t")
		},
		"tag":            func() (remote.Command, error) { return h.MoveAside(h.Facts.Data, "../x") },
		"env name":       func() (remote.Command, error) { return h.SetEnv(map[string]string{"A B": "x"}, "t") },
		"env newline":    func() (remote.Command, error) { return h.SetEnv(map[string]string{"A": "x\nB=y"}, "t") },
		"sum":            func() (remote.Command, error) { return h.PutFile("/tmp/x/y", "3", "abc") },
		"size":           func() (remote.Command, error) { return h.PutFile("/tmp/x/y", "-3", strings.Repeat("a", 64)) },
		"relative":       func() (remote.Command, error) { return h.CheckSnapshot("s.db") },
		"wrong peer URL": func() (remote.Command, error) { return h.RestoreSnapshot(wrong) },
		"sum of restore": func() (remote.Command, error) { r := restore; r.Sum = "abc"; return h.RestoreSnapshot(r) },
		"sum skipped": func() (remote.Command, error) {
			r := restore
			r.EtcdSum, r.SkipHashCheck = strings.Repeat("a", 64), true
			return h.RestoreSnapshot(r)
		},
		"no sum":      func() (remote.Command, error) { return h.UnpackReceived("/tmp/x/y", 1, "") },
		"revision":    func() (remote.Command, error) { return h.Compact(urls, "-1") },
		"equal ports": func() (remote.Command, error) { return h.SalvageSnapshot("t", "/tmp/s.db", 5000, 5000, time.Minute) },
	} {
		if c, err := fn(); err == nil {
			t.Errorf("%s: taken: %s", what, c.Line())
		}
	}
	for _, fn := range []func() (remote.Command, error){
		func() (remote.Command, error) { return h.MemberPromote(urls, "@{id}") },
		func() (remote.Command, error) { return h.SetEnv(map[string]string{"A": "@{cluster}"}, "t") },
		func() (remote.Command, error) { return h.PutFile("/tmp/x/y", "@{size}", "@{sum}") },
	} {
		if _, err := fn(); err != nil {
			t.Errorf("a slot was refused: %v", err)
		}
	}
}
