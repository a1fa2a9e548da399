//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestRollback: a restore that died when the new cluster was about to start, or
// when it was already healthy, is taken back on machines that are set up in other
// ways than the simplest, and then done again.
func TestRollback(t *testing.T) {
	for i, system := range []struct {
		name    string
		options hosts.Options
		check   func(t *testing.T, h *hosts.Hosts)
	}{
		{"data on a file system of their own", hosts.Options{DataMount: true}, stillMounted},
		{"separate WAL, sudo, a shell that prints", hosts.Options{SeparateWAL: true, Sudo: true, NoisyShell: true}, nil},
		{"etcd is run by a user", hosts.Options{EtcdUser: true}, ownedByEtcd},
	} {
		if i > 0 && !full {
			break
		}
		t.Run(system.name, func(t *testing.T) {
			h, c := start(t, system.options), named(t, "lose-all")
			suite.Record(t, h, "rollback", c.Procedure)
			keys := c.Break(t, h)
			for _, point := range []string{"step-done:env/master-2", "step-done:wait/master-2"} {
				d := suite.Diagnose(t, h)
				file := suite.Plan(t, h, d)
				before := asItIs(t, h)
				a := h.Novatui(t.Context(), []string{"NOVATUI_KILL_AT=" + point}, "apply", file, "--confirm", h.Cluster())
				if a.Exit >= 0 {
					t.Fatalf("apply was not killed at %s: exit %d\n%s", point, a.Exit, a.Stderr)
				}
				a = h.Novatui(t.Context(), nil, "rollback", lastRun(t, h), "--confirm", h.Cluster(),
					"--override", "rollback-writes=rollback-writes "+h.Cluster(),
					"--override", "rollback-serving=rollback-serving "+h.Cluster())
				if a.Exit != done {
					t.Fatalf("rollback after %s: exit %d\n%s\n%s", point, a.Exit, a.Stdout, a.Stderr)
				}
				for node, was := range before {
					if now := asItIs(t, h)[node]; now != was {
						t.Errorf("%s after %s is not as it was:\n%s\nwas\n%s", node, point, now, was)
					}
				}
				if system.check != nil {
					system.check(t, h)
				}
			}
			suite.Apply(t, h, nil, suite.Plan(t, h, suite.Diagnose(t, h)))
			c.Proved(t, h, keys)
			if system.check != nil {
				system.check(t, h)
			}
		})
	}
}

// asItIs is, for each node, every file of the member with its content, owner and
// mode, the env file, and whether the unit may start.
func asItIs(t *testing.T, h *hosts.Hosts) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, node := range h.Nodes() {
		out, err := h.Exec(t.Context(), node, "/bin/sh", "-c", `
			for d in /var/lib/etcd/member /var/lib/etcd-wal /etc/etcd.env; do
				[ ! -e "$d" ] || find "$d" -exec stat -c '%n %U:%G %a' {} + | sort
				[ ! -e "$d" ] || find "$d" -type f -exec sha256sum {} + | sort
			done
			systemctl show -p LoadState -p UnitFileState etcd
			ls /etc/systemd/system/etcd.service.d 2>/dev/null | grep '\.conf$' || :`)
		if err != nil {
			t.Fatal(err)
		}
		all[node] = out
	}
	return all
}

// lastRun is the newest run of a cluster.
func lastRun(t *testing.T, h *hosts.Hosts) string {
	t.Helper()
	a := h.Novatui(t.Context(), nil, "runs", "-o", "json")
	var list struct {
		Runs []struct {
			ID string `json:"id"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(a.Stdout, &list); err != nil || len(list.Runs) == 0 {
		t.Fatalf("runs: exit %d, %v\n%s", a.Exit, err, a.Stderr)
	}
	return list.Runs[0].ID
}
