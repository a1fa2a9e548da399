package workflows

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// noSite is for plans that ask nothing while they are made.
type noSite struct {
	Site
	found []Inspected
}

func (s noSite) Inspect(_ context.Context, _ etcdops.Facts, node, path string, _ []Inspected) (Inspected, error) {
	for _, i := range s.found {
		if i.Node == node && i.Path == path {
			return i, nil
		}
	}
	return Inspected{}, errors.New("no such file")
}

const archive = "/tmp/etcd_snapshot_nova-v6.0.1_k8s-v1.27.11_2026-11-03_120000.db.tar.gz"

func goodSnapshot(node string) Inspected {
	return Inspected{
		Node: node, Path: archive, Archive: true, SizeBytes: 1 << 20, SHA256: strings.Repeat("a", 64),
		ContentBytes: 20 << 20, ContentSHA256: strings.Repeat("b", 64), Hash: etcdops.HashOK, Revision: 900, TotalKeys: 800, Version: "3.7.0",
		PeerURLs: []string{"https://10.0.0.7:2380", "https://10.0.0.2:2380"},
	}
}

func mustBuild(t *testing.T, site Site, f etcdops.Facts, v etcdops.Verdict, r Request) engine.Plan {
	t.Helper()
	r.Tag = "20261103-140314"
	p, err := Build(context.Background(), site, f, v, r)
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return p
}

func blocks(p engine.Plan) (final, typed []string) {
	for _, g := range p.Guards {
		switch {
		case g.Result == engine.Block && g.Override == "":
			final = append(final, g.ID)
		case g.Result == engine.Block && !g.Overridden:
			typed = append(typed, g.ID)
		}
	}
	return final, typed
}

func TestRejoinOfABrokenMember(t *testing.T) {
	f, v := factsOf(3)
	down(&f, &v, 1, brokenDB)
	p := mustBuild(t, noSite{}, f, v, Request{Procedure: etcdops.ProcedureRejoin, Nodes: []string{"master-2"}})
	if final, typed := blocks(p); len(final)+len(typed) > 0 {
		t.Fatalf("blocked by %v %v", final, typed)
	}
	var stages []string
	for _, s := range p.Stages {
		stages = append(stages, s.ID)
	}
	want := []string{"way-back", "copy", "stop", "remove", "aside", "add", "env", "start", "promote", "prove"}
	if !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	if p.NoReturnStage != "remove" || !p.Destroys() {
		t.Errorf("no way back after %q, destroys %t", p.NoReturnStage, p.Destroys())
	}
	// A follower is asked, not the leader.
	if _, step := p.Step("snapshot/master-3"); step == nil {
		t.Error("the snapshot does not come from the healthy follower master-3")
	}
}

// TestUnsafeRequestsAreBlocked is procedures.md §4, rule by rule.
func TestUnsafeRequestsAreBlocked(t *testing.T) {
	outside := etcdops.Cause{ID: "cert-expired", Confidence: etcdops.Certain, Outside: true}
	for _, c := range []struct {
		name  string
		n     int
		spoil func(f *etcdops.Facts, v *etcdops.Verdict)
		r     Request
		final string // guard that blocks without override
		typed string // guard that blocks until its phrase is typed
	}{
		{"rejoin of a healthy member", 3, nil, rejoinOf("master-2"), "remove-healthy", ""},
		{"rejoin with quorum lost", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			down(f, v, 2, brokenDB)
		}, rejoinOf("master-2"), "quorum-holds-remove", ""},
		{"rejoin where the rest would be too few", 2, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
		}, rejoinOf("master-2"), "quorum-holds-remove", ""},
		{"rejoin while another member is joining", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Members = append(f.Members, etcdops.Member{ID: "ff", PeerURLs: []string{"https://10.0.0.9:2380"}})
		}, rejoinOf("master-2"), "one-at-a-time", ""},
		{"rejoin while the certificate is the cause", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, outside)
		}, rejoinOf("master-2"), "", "cause-outside-data"},
		{"rejoin without proof of bad data", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, etcdops.Cause{})
		}, rejoinOf("master-2"), "", "data-cause"},
		{"data directory /", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Nodes[1].Env.Values["ETCD_DATA_DIR"], f.Nodes[1].Data.Path = "/", "/"
		}, rejoinOf("master-2"), "data-dir-sane", ""},
		{"data directory with a newline", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Nodes[1].Env.Values["ETCD_DATA_DIR"], f.Nodes[1].Data.Path = "/var/lib/etcd/a\nb", "/var/lib/etcd/a\nb"
		}, rejoinOf("master-2"), "data-dir-sane", ""},
		{"no room for the new data", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Nodes[1].Data.FreeBytes = 1 << 20
		}, rejoinOf("master-2"), "space", ""},
		{"the env file names another member", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Nodes[1].Env.Values["ETCD_NAME"] = "etcd3"
		}, rejoinOf("master-2"), "identity", ""},
		{"an expired certificate on the node", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			f.Nodes[1].Certs = []etcdops.CertFacts{{Path: "/x.pem", NotAfter: f.CollectedAt.AddDate(0, 0, -1)}}
		}, rejoinOf("master-2"), "certs-valid", ""},
		{"restart of a healthy member", 3, nil, restartOf("master-1"), "member-down", ""},
		{"restart of a member without its log", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, etcdops.Cause{})
			f.Nodes[1].Data.Exists, f.Nodes[1].WAL.HasWAL = false, false
		}, restartOf("master-2"), "log-gone", ""},
		{"restore while quorum holds", 3, nil, restoreFrom("master-1"), "", "restore-while-quorum"},
		{"restore over newer live data", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			down(f, v, 1, brokenDB)
			down(f, v, 2, brokenDB)
		}, restoreFrom("master-1"), "", "newer-data-exists"},
		{"restore with an unreachable host", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			loseAll(f, v)
			f.Nodes[2].Reachable = false
		}, restoreFrom("master-1"), "hosts-reachable", ""},
		{"restore where the env files differ", 3, func(f *etcdops.Facts, v *etcdops.Verdict) {
			loseAll(f, v)
			f.Nodes[2].Env.Values["ETCD_INITIAL_CLUSTER_TOKEN"] = "other"
		}, restoreFrom("master-1"), "same-cluster", ""},
		{"salvage while quorum holds", 3, nil, Request{Procedure: etcdops.ProcedureSalvage}, "survivor", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, v := factsOf(c.n)
			if c.spoil != nil {
				c.spoil(&f, &v)
			}
			p := mustBuild(t, noSite{found: []Inspected{goodSnapshot("master-1")}}, f, v, c.r)
			final, typed := blocks(p)
			if c.final != "" && !slices.Contains(final, c.final) {
				t.Errorf("%s does not block for good; blocks are %v and %v", c.final, final, typed)
			}
			if c.typed != "" && !slices.Contains(typed, c.typed) {
				t.Errorf("%s does not ask for its phrase; blocks are %v and %v", c.typed, final, typed)
			}
			if c.final != "" && len(p.Stages) > 0 {
				t.Error("a plan that is blocked for good has stages")
			}
		})
	}
}

func rejoinOf(node string) Request {
	return Request{Procedure: etcdops.ProcedureRejoin, Nodes: []string{node}}
}

func restartOf(nodes ...string) Request {
	return Request{Procedure: etcdops.ProcedureRestart, Nodes: nodes}
}

func restoreFrom(node string) Request {
	return Request{Procedure: etcdops.ProcedureRestore, Snapshots: []SnapshotRef{{Node: node, Path: archive}}}
}

func loseAll(f *etcdops.Facts, v *etcdops.Verdict) {
	for i := range f.Nodes {
		down(f, v, i, brokenDB)
	}
}

func TestBadSnapshotsAreBlocked(t *testing.T) {
	for name, c := range map[string]struct {
		spoil        func(*Inspected)
		final, typed string
	}{
		"bit-flipped":       {func(i *Inspected) { i.Hash = etcdops.HashBad }, "snapshot-sound", ""},
		"truncated":         {func(i *Inspected) { i.Hash = etcdops.HashMissing }, "snapshot-sound", ""},
		"a copied database": {func(i *Inspected) { i.Hash, i.CopiedDB = etcdops.HashMissing, true }, "", "snapshot-sound"},
		"without keys":      {func(i *Inspected) { i.TotalKeys = 0 }, "snapshot-sound", ""},
		"unreadable":        {func(i *Inspected) { i.Error = "not a database" }, "snapshot-sound", ""},
		"another cluster's": {func(i *Inspected) { i.PeerURLs = []string{"https://10.0.1.2:2380"} }, "", "snapshot-ours"},
		"of a newer etcd":   {func(i *Inspected) { i.Version = "3.8.0" }, "", "snapshot-fits"},
	} {
		t.Run(name, func(t *testing.T) {
			f, v := factsOf(3)
			loseAll(&f, &v)
			bad := goodSnapshot("master-1")
			c.spoil(&bad)
			p := mustBuild(t, noSite{found: []Inspected{bad}}, f, v, restoreFrom("master-1"))
			final, typed := blocks(p)
			if c.final != "" && !slices.Contains(final, c.final) || c.typed != "" && !slices.Contains(typed, c.typed) {
				t.Errorf("blocks are %v and %v", final, typed)
			}
		})
	}
}

func TestThreeDifferentSnapshotsAreBlocked(t *testing.T) {
	f, v := factsOf(3)
	loseAll(&f, &v)
	site := noSite{}
	r := Request{Procedure: etcdops.ProcedureRestore}
	for i, n := range f.Nodes {
		s := goodSnapshot(n.Node)
		s.ContentSHA256 = strings.Repeat(string(rune('b'+i)), 64)
		site.found = append(site.found, s)
		f.Nodes[i].Snapshots = []etcdops.SnapshotFile{{Node: n.Node, Path: archive}}
		r.Snapshots = append(r.Snapshots, SnapshotRef{Node: n.Node, Path: archive})
	}
	p := mustBuild(t, site, f, v, r)
	if final, _ := blocks(p); !slices.Contains(final, "snapshot-same") {
		t.Errorf("three named snapshots: blocks are %v", final)
	}
	// The same path on all nodes, not said which one is meant.
	r.Snapshots = []SnapshotRef{{Path: archive}}
	p = mustBuild(t, site, f, v, r)
	if final, _ := blocks(p); !slices.Contains(final, "snapshot-same") {
		t.Errorf("one path, three contents: blocks are %v", final)
	}
}

func TestOverrideMustBeTypedExactly(t *testing.T) {
	f, v := factsOf(3)
	down(&f, &v, 1, etcdops.Cause{})
	r := rejoinOf("master-2")
	for phrase, want := range map[string]bool{
		"data-cause nova-test": true, "data-cause": false, "yes": false, "": false, "data-cause nova-prod": false,
	} {
		r.Overrides = map[string]string{"data-cause": phrase}
		_, typed := blocks(mustBuild(t, noSite{}, f, v, r))
		if overridden := !slices.Contains(typed, "data-cause"); overridden != want {
			t.Errorf("phrase %q overrides: %t, want %t", phrase, overridden, want)
		}
	}
}

func TestRestoreTouchesNothingBeforeTheCopyIsReady(t *testing.T) {
	f, v := factsOf(3)
	loseAll(&f, &v)
	p := mustBuild(t, noSite{found: []Inspected{goodSnapshot("master-1")}}, f, v, restoreFrom("master-1"))
	if final, typed := blocks(p); len(final)+len(typed) > 0 {
		t.Fatalf("blocked by %v %v", final, typed)
	}
	order := map[string]int{}
	for i, s := range p.Stages {
		order[s.ID] = i
	}
	var first []string
	for _, step := range p.Stages[0].Steps {
		first = append(first, step.ID)
	}
	want := []string{"verify/master-1", "prepare/master-1", "distribute/master-2", "prepare/master-2", "distribute/master-3", "prepare/master-3"}
	if !slices.Equal(first, want) {
		t.Errorf("the first stage is %v", first)
	}
	if !(order["prepare"] < order["stop"] &&
		order["stopped"] < order["aside"] && order["aside"] < order["place"] && order["env"] < order["start"]) {
		t.Errorf("the stages are in the wrong order: %v", order)
	}
	for _, s := range p.Stages {
		for _, step := range s.Steps {
			for _, c := range step.Commands {
				if slices.ContainsFunc(c.Command.Argv, func(a string) bool { return a == "rm" || strings.Contains(a, "rm -rf") }) {
					t.Errorf("step %s deletes: %s", step.ID, c.Command.Line())
				}
			}
		}
	}
	_, prepare := p.Step("prepare/master-2")
	line := prepare.Commands[0].Command.Line()
	for _, want := range []string{"--bump-revision=1000000000", "--mark-compacted", "--initial-cluster-token=k8s_etcd-novatui-20261103-140314", "--name=etcd2"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is missing in %s", want, line)
		}
	}
}

func TestPlanIsTheSameWhenBuiltAgain(t *testing.T) {
	f, v := factsOf(5)
	down(&f, &v, 3, brokenDB)
	p := mustBuild(t, noSite{}, f, v, rejoinOf("master-4"))
	again, err := Rebuild(noSite{}, p)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash != p.Hash {
		t.Error("the rebuilt plan has another hash")
	}
	if _, err := Reapply(context.Background(), noSite{}, f, v, p, nil); err != nil {
		t.Errorf("applied on the same facts: %v", err)
	}
	down(&f, &v, 4, brokenDB)
	if _, err := Reapply(context.Background(), noSite{}, f, v, p, nil); !errors.Is(err, engine.ErrPlanStale) {
		t.Errorf("applied after another member fell: %v, want ErrPlanStale", err)
	}
}

// TestEveryStepOfEveryProcedure: what changes has a probe and a verification,
// and says why it is there and what its failure means.
func TestEveryStepOfEveryProcedure(t *testing.T) {
	for name, make := range map[string]func() engine.Plan{
		"rejoin": func() engine.Plan {
			f, v := factsOf(3)
			down(&f, &v, 1, brokenDB)
			return mustBuild(t, noSite{}, f, v, rejoinOf("master-2"))
		},
		"restart without quorum": func() engine.Plan {
			f, v := factsOf(3)
			down(&f, &v, 1, etcdops.Cause{})
			down(&f, &v, 2, etcdops.Cause{})
			return mustBuild(t, noSite{}, f, v, restartOf("master-2", "master-3"))
		},
		"restore": func() engine.Plan {
			f, v := factsOf(3)
			loseAll(&f, &v)
			return mustBuild(t, noSite{found: []Inspected{goodSnapshot("master-1")}}, f, v, restoreFrom("master-1"))
		},
		"salvage": func() engine.Plan {
			f, v := factsOf(3)
			down(&f, &v, 1, brokenDB)
			down(&f, &v, 2, brokenDB)
			return mustBuild(t, noSite{}, f, v, Request{Procedure: etcdops.ProcedureSalvage})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := make()
			if final, _ := blocks(p); len(final) > 0 || len(p.Stages) == 0 {
				t.Fatalf("blocked by %v, %d stages", final, len(p.Stages))
			}
			for _, s := range p.Stages {
				for _, step := range s.Steps {
					if step.Title.Zero() || step.Why.Zero() || step.IfItFails.Zero() {
						t.Errorf("step %s has no title, why or what a failure means", step.ID)
					}
					if step.Effect != remote.Read && (step.Probe == nil || step.Verify == nil) {
						t.Errorf("step %s changes something without probe or verification", step.ID)
					}
				}
			}
		})
	}
}
