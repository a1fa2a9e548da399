package lab

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestFaults injects every fault into a lab of its own and looks at what an
// operator on the node would see.
func TestFaults(t *testing.T) {
	const journal = "journalctl -u etcd --no-pager -o cat"
	for _, tc := range []struct {
		fault  string
		nodes  []string // broken by default
		check  func(t *testing.T, l *Lab)
		journl []string // in the journal of every broken node
		sub    []string // possible sub states
	}{
		{fault: "stop", nodes: []string{"master-2"}, sub: []string{subDead}, journl: []string{"Stopped etcd.service - etcd."}},
		{
			fault: "kill-loop", nodes: []string{"master-2"}, sub: []string{subFailed},
			journl: []string{"code=killed, status=9/KILL", "Start request repeated too quickly.", "Failed with result 'signal'."},
			check: func(t *testing.T, l *Lab) {
				c := dial(t, l, "master-2")
				expect(t, c, "systemctl is-failed etcd", 0, "failed")
				expect(t, c, "systemctl show -p RestartUSec --value etcd", 0, "2s\n")
				expect(t, c, "systemctl reset-failed etcd && systemctl start etcd", 0)
				eventually(t, l, "healthy again", healthy(l.NodeNames()...))
			},
		},
		{
			fault: "hang", nodes: []string{"master-2"}, sub: []string{subRunning},
			check: func(t *testing.T, l *Lab) {
				n := status(t, l)["master-2"]
				if n.Etcd.Answers || n.Unit.Active != "active" {
					t.Errorf("hanging member: %+v %+v", n.Unit, n.Etcd)
				}
				expect(t, dial(t, l, "master-2"), "systemctl restart etcd.service", 0)
				eventually(t, l, "healthy again", healthy(l.NodeNames()...))
			},
		},
		{
			fault: "corrupt-db", nodes: []string{"master-2"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"failed to open database", "invalid database", "code=exited, status=2/INVALIDARGUMENT", "Failed with result 'exit-code'."},
		},
		{
			fault: "corrupt-wal", nodes: []string{"master-2"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"crc mismatch"},
		},
		{
			fault: "wipe-data", nodes: []string{"master-2"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"has already been bootstrapped"},
		},
		{
			fault: "stale-data", nodes: []string{"master-2"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"tocommit(", "is out of range"},
		},
		{
			fault: "lose-quorum", nodes: []string{"master-2", "master-3"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"has already been bootstrapped"},
			check: func(t *testing.T, l *Lab) {
				n := status(t, l)["master-1"]
				if n.Unit.Sub != subRunning || n.Etcd.Healthy || !n.Etcd.Answers || n.Etcd.HasLeader {
					t.Errorf("survivor: %+v %+v", n.Unit, n.Etcd)
				}
			},
		},
		{
			fault: "lose-all", nodes: []string{"master-1", "master-2", "master-3"}, sub: []string{subAutoRestart, subStart},
			journl: []string{"failed to open database"},
		},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			l := newLab(t, Options{Keys: 600})
			if err := l.Break(testContext(t), tc.fault); err != nil {
				t.Fatal(err)
			}
			broken := map[string]bool{}
			nodes := status(t, l)
			for _, name := range tc.nodes {
				broken[name] = true
				n := nodes[name]
				if !strings.Contains(" "+strings.Join(tc.sub, " ")+" ", " "+n.Unit.Sub+" ") {
					t.Errorf("%s is %s (%s), want %v", name, n.Unit.Active, n.Unit.Sub, tc.sub)
				}
				if len(n.Faults) != 1 || n.Faults[0].Name != tc.fault {
					t.Errorf("%s: faults %v", name, n.Faults)
				}
				if n.Etcd.Healthy {
					t.Errorf("%s is healthy", name)
				}
				if len(tc.journl) > 0 {
					expect(t, dial(t, l, name), journal, 0, tc.journl...)
				}
			}
			if len(tc.nodes) == 1 {
				for _, name := range l.NodeNames() {
					if !broken[name] && !nodes[name].Etcd.Healthy {
						t.Errorf("%s is not healthy: %+v", name, nodes[name].Etcd)
					}
				}
			}
			if tc.check != nil {
				tc.check(t, l)
			}
		})
	}
}

func TestBreakRefusesNonsense(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	ctx := testContext(t)
	for _, tc := range []struct {
		fault string
		nodes []string
		want  error
	}{
		{"frobnicate", nil, ErrUnknownFault},
		{"stop", []string{"master-9"}, ErrBadNodes},
		{"stop", []string{"master-1", "master-1"}, ErrBadNodes},
		{"lose-quorum", []string{"master-1"}, ErrBadNodes},
		{"lose-quorum", []string{"master-1", "master-2", "master-3"}, ErrBadNodes},
		{"lose-all", []string{"master-1"}, ErrBadNodes},
	} {
		if err := l.Break(ctx, tc.fault, tc.nodes...); !errors.Is(err, tc.want) {
			t.Errorf("break %s %v: %v, want %v", tc.fault, tc.nodes, err, tc.want)
		}
	}
	for name, n := range status(t, l) {
		if !n.Etcd.Healthy || len(n.Faults) != 0 {
			t.Errorf("%s was touched: %+v %v", name, n.Etcd, n.Faults)
		}
	}
}

// TestBreakTheLeader makes sure that the faults that depend on who leads work
// for a leader too.
func TestBreakTheLeader(t *testing.T) {
	l := newLab(t, Options{Keys: 200})
	leader := ""
	for name, n := range status(t, l) {
		if n.Etcd.Leader {
			leader = name
		}
	}
	if err := l.Break(testContext(t), "stale-data", leader); err != nil {
		t.Fatal(err)
	}
	expect(t, dial(t, l, leader), "journalctl -u etcd -o cat", 0, "is out of range")
}

// TestFaultsAreListed keeps names, texts and defaults together.
func TestFaultsAreListed(t *testing.T) {
	for _, lang := range []string{"en", "ru"} {
		b, err := os.ReadFile("../assets/locales/" + lang + "/lab.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Faults() {
			if !strings.Contains(string(b), f.Description.ID+":") {
				t.Errorf("%s: no text %s", lang, f.Description.ID)
			}
			if len(f.Nodes) == 0 {
				t.Errorf("%s has no default nodes", f.Name)
			}
		}
	}
}

// TestHangingLeader: when Break returns, the others have a leader again.
func TestHangingLeader(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	leader := ""
	for name, n := range status(t, l) {
		if n.Etcd.Leader {
			leader = name
		}
	}
	if err := l.Break(testContext(t), "hang", leader); err != nil {
		t.Fatal(err)
	}
	nodes := status(t, l)
	for name, n := range nodes {
		if (name == leader) == n.Etcd.Healthy {
			t.Errorf("%s hangs: %s", leader, describe(nodes))
		}
	}
}
