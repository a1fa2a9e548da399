package suite_test

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatui/novatui/e2e/suite"
)

// TestFaultPortBusy (37): another process holds a member's client port, as a
// static pod or an etcd that did not end does. diagnose names that, nothing that
// destroys data is planned, a restart that is ordered all the same stops and says
// so, and once the port is free the same run ends proved.
func TestFaultPortBusy(t *testing.T) {
	t.Parallel()
	w := quick(t)
	const node = "master-2"
	restart := suite.Case{Fault: "stop", Nodes: []int{1}}
	before := restart.Break(t, w)
	env, err := w.env(node)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(env["ETCD_ADVERTISE_CLIENT_URLS"])
	if err != nil {
		t.Fatal(err)
	}
	holder, err := net.Listen("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close() }() // closed below, unless the test failed
	w.ssh(t, node, "systemctl start --no-block etcd")
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	for named := false; !named; {
		for _, c := range suite.Diagnose(t, w).Causes {
			named = named || c.ID == "port-in-use" && c.Node == node
		}
		if ctx.Err() != nil {
			t.Fatalf("the port is not named: %+v", suite.Diagnose(t, w))
		}
	}
	if d := suite.Diagnose(t, w); d.Recommended.Procedure == "rejoin" || d.Recommended.Procedure == "restore" {
		t.Errorf("recommended: %+v", d.Recommended)
	}
	refuses(t, w, "plan", "rejoin", "--node", node)
	file := filepath.Join(t.TempDir(), "plan.json")
	w.mustRun(t, "plan", "restart", "--node", node, "--out", file)
	if a := w.Novatui(ctx, nil, "apply", file, "--confirm", w.Cluster()); a.Exit != 4 || !strings.Contains(string(a.Stderr), "does not stay up") {
		t.Errorf("apply: exit %d, want 4\n%s", a.Exit, a.Stderr)
	}
	if old := w.asides(node); len(old) > 0 {
		t.Errorf("data were set aside: %v", old)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	// As when systemd has given up: nobody but resume starts it again.
	w.ssh(t, node, "systemctl stop etcd")
	w.mustRun(t, "resume")
	restart.Proved(t, w, before)
}
