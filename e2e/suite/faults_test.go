package suite_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/novatui/novatui/e2e/suite"
)

// ssh runs a command on a node with OpenSSH's client, as an operator would.
func (w *labWorld) ssh(t *testing.T, node, line string) {
	t.Helper()
	cluster, err := os.ReadFile(filepath.Join(w.dir, "novatui.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`name: ` + node + `, .*port: (\d+)`).FindSubmatch(cluster)
	if port == nil {
		t.Fatalf("no port of %s in %s", node, cluster)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ssh", "-F", "none", "-i", filepath.Join(w.dir, "id_ed25519"), "-p", string(port[1]),
		"-o", "UserKnownHostsFile="+filepath.Join(w.dir, "known_hosts"), "ops@127.0.0.1", line).CombinedOutput() //nolint:gosec // the test's own words
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", node, line, err, out)
	}
}

// asides are data directories that were set aside on a node.
func (w *labWorld) asides(node string) []string {
	found, _ := filepath.Glob(filepath.Join(w.dir, node, "var", "lib", "etcd.novatui-*"))
	var old []string
	for _, path := range found {
		if !strings.Contains(filepath.Base(path), ".new") {
			old = append(old, path)
		}
	}
	return old
}

// TestFaultsAreRefused: a member that was added and never started blocks the
// next change of the membership (41); a quorum that comes back in the middle of
// a restore ends it before anything is stopped (42); env files that name another
// token or another membership block a restore (39). Each refusal changes
// nothing.
func TestFaultsAreRefused(t *testing.T) {
	t.Parallel()
	w := quick(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := w.client("master-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	added, err := c.MemberAddAsLearner(ctx, []string{"https://127.0.0.1:1"})
	for ; err != nil; added, err = c.MemberAddAsLearner(ctx, []string{"https://127.0.0.1:1"}) {
		// etcd takes no change before its members have known each other for 5 s.
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	w.mustBreak(t, "corrupt-db", "master-2")
	named := func(a suite.Answer, guard string) {
		t.Helper()
		if !strings.Contains(string(a.Stderr), guard) {
			t.Errorf("%s is not named: %s", guard, a.Stderr)
		}
	}
	named(refuses(t, w, "plan", "rejoin", "--node", "master-2"), "one-at-a-time")
	if _, err := c.MemberRemove(ctx, added.Member.ID); err != nil {
		t.Fatal(err)
	}

	archive, _, err := w.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.mustBreak(t, "stop", "master-3") // one of three is left
	file := filepath.Join(t.TempDir(), "plan.json")
	override := []string{"--override", "newer-data-exists=newer-data-exists nova-lab"}
	w.mustRun(t, append([]string{"plan", "restore", "--snapshot", archive, "--out", file}, override...)...)
	a := w.Novatui(ctx, []string{"NOVATUI_KILL_AT=step-done:prepare/master-3"}, append([]string{"apply", file, "--confirm", "nova-lab"}, override...)...)
	if a.Exit >= 0 {
		t.Fatalf("apply was not killed: exit %d\n%s", a.Exit, a.Stderr)
	}
	w.ssh(t, "master-3", "systemctl start etcd")
	for !suite.Diagnose(t, w).Quorum.Holds {
		if ctx.Err() != nil {
			t.Fatal("the quorum does not come back")
		}
	}
	if a = w.Novatui(ctx, nil, "resume"); a.Exit == 0 {
		t.Error("the restore went on although the quorum is back")
	}
	named(a, "quorum holds")
	for _, node := range w.nodes {
		if old := w.asides(node); len(old) > 0 {
			t.Errorf("%s: data were set aside: %v", node, old)
		}
	}
	if !suite.Diagnose(t, w).Quorum.Holds {
		t.Error("the quorum did not survive the refusal")
	}

	w.mustBreak(t, "lose-all")
	env := filepath.Join(w.dir, "master-3", "etc", "etcd.env")
	whole, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string][2]string{
		"another token":      {"ETCD_INITIAL_CLUSTER_TOKEN=", "ETCD_INITIAL_CLUSTER_TOKEN=other-"},
		"another membership": {"ETCD_INITIAL_CLUSTER=etcd1=https://127.0.0.1:", "ETCD_INITIAL_CLUSTER=etcd1=https://127.0.0.2:"},
	} {
		changed := strings.Replace(string(whole), edit[0], edit[1], 1)
		if changed == string(whole) {
			t.Fatalf("%s: nothing was changed in\n%s", what, whole)
		}
		if err := os.WriteFile(env, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		named(refuses(t, w, "plan", "restore", "--snapshot", archive), "same-cluster")
	}
}

func (w *labWorld) mustBreak(t *testing.T, fault string, nodes ...string) {
	t.Helper()
	if err := w.Break(t.Context(), fault, nodes...); err != nil {
		t.Fatal(err)
	}
}

func (w *labWorld) mustRun(t *testing.T, args ...string) {
	t.Helper()
	if a := w.Novatui(t.Context(), nil, args...); a.Exit != 0 {
		t.Fatalf("novatui %s: exit %d\n%s", strings.Join(args, " "), a.Exit, a.Stderr)
	}
}

// TestFaultStaleMember: after a salvage a member of the old cluster comes back
// with its old data (38), at the address of a new one, which is also what a peer
// does that connects while a restore goes on (40). The new cluster has another
// identity: it does not let it in, keeps its members and its keys, and the stale
// one serves nobody.
func TestFaultStaleMember(t *testing.T) {
	t.Parallel()
	w := quick(t)
	salvage := named(t, "lose-quorum")
	before := salvage.Break(t, w)
	d := suite.Diagnose(t, w)
	survivor := ""
	for _, m := range d.Members {
		if m.State == "no-quorum" {
			survivor = m.Node
		}
	}
	suite.Apply(t, w, nil, suite.Plan(t, w, d))
	salvage.Proved(t, w, before)
	old := w.asides(survivor)
	if survivor == "" || len(old) != 1 {
		t.Fatalf("survivor %q of %+v, set aside %v", survivor, d.Members, old)
	}
	w.ssh(t, survivor, "systemctl stop etcd")
	data := filepath.Join(w.dir, survivor, "var", "lib", "etcd")
	if err := os.Rename(data, data+".new-cluster"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old[0], data); err != nil {
		t.Fatal(err)
	}
	w.ssh(t, survivor, "systemctl start --no-block etcd")
	other := w.nodes[0]
	if other == survivor {
		other = w.nodes[1]
	}
	c, err := w.client(other)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Put(ctx, "/after-the-salvage", "new"); err != nil {
		t.Fatalf("the new cluster does not write any more: %v", err)
	}
	// The new cluster's log says that it turned the stale member away.
	turnedAway := func() bool {
		d := w.Novatui(ctx, nil, "diagnose", "-o", "json")
		return strings.Contains(string(d.Stdout), "cluster-id-mismatch") || strings.Contains(string(d.Stdout), "cluster ID mismatch")
	}
	for !turnedAway() {
		if ctx.Err() != nil {
			t.Fatal("nobody says that the clusters differ")
		}
	}
	members, err := c.MemberList(ctx)
	if err != nil || len(members.Members) != len(w.nodes) {
		t.Errorf("the members of the new cluster: %+v, %v", members, err)
	}
	stale, err := w.client(survivor)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stale.Close() }()
	short, end := context.WithTimeout(ctx, 3*time.Second)
	defer end()
	if got, err := stale.Get(short, "/after-the-salvage"); err == nil {
		t.Errorf("the stale member serves: %v", got.Kvs)
	}
	if _, err := stale.Put(short, "/stale", "x", clientv3.WithPrevKV()); err == nil {
		t.Error("the stale member takes writes")
	}
	if after := suite.Diagnose(t, w); after.State == "healthy" {
		t.Errorf("diagnose calls it healthy: %s", fmt.Sprint(after))
	}
}
