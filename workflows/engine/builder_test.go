package engine

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func TestBuildRefusesWhatTheLoopCannotRun(t *testing.T) {
	good := func() Step { return evident("n1", "s", remote.Change, "s") }
	for name, c := range map[string]struct {
		alter func(*Step)
		says  string
	}{
		"no probe":        {func(s *Step) { s.Probe = nil }, "must have Probe"},
		"no do":           {func(s *Step) { s.Do = nil }, "must have Probe"},
		"no verify":       {func(s *Step) { s.Verify = nil }, "must have Probe"},
		"no id":           {func(s *Step) { s.ID = "" }, "ID is empty"},
		"no node":         {func(s *Step) { s.Node = "" }, "is no name"},
		"node is a path":  {func(s *Step) { s.Node = "../n1" }, "is no name"},
		"node is hidden":  {func(s *Step) { s.Node = ".n1" }, "is no name"},
		"effect too weak": {func(s *Step) { s.Commands[0].Command.Effect = remote.Destroy }, "effect is change"},
		"no effect":       {func(s *Step) { s.Effect = "" }, "none of read"},
		"check changes":   {func(s *Step) { s.Checks[0].Command.Effect = remote.Change }, "must only read"},
		"no deadline":     {func(s *Step) { s.Commands[0].Command.Timeout = 0 }, "no deadline"},
		"no program":      {func(s *Step) { s.Commands[0].Command.Argv = nil }, "without a program"},
		"reads nothing":   {func(s *Step) { *s = Step{ID: "s", Node: "n1", Effect: remote.Read} }, "neither Do nor Verify"},
		"guard of nobody": {func(s *Step) { s.Guards = []Guard{{ID: "g"}} }, "no check"},
		"secret in argv": {func(s *Step) {
			s.Commands[0].Command = sh(remote.Change, leave, "pass=topsecret")
			s.Commands[0].Command.Secrets = []string{"topsecret"}
		}, "secrets"},
		"program is a slot":   {func(s *Step) { s.Commands[0].Command.Argv = []string{"@{x}"} }, "cannot be a slot"},
		"broken slot":         {func(s *Step) { s.Commands[0].Command.Argv = []string{"a", "@{X Y}"} }, "begins no slot"},
		"slot in a script":    {func(s *Step) { s.Commands[0].Command = sh(remote.Change, "rm @{x}") }, "shell code"},
		"slot in sudo script": {func(s *Step) { s.Commands[0].Command.Argv = []string{"sudo", "bash", "-ec", "rm @{x}"} }, "shell code"},
		"slot in sh's stdin": {func(s *Step) {
			s.Commands[0].Command.Argv, s.Commands[0].Command.Stdin = []string{"sh", "-s"}, "rm @{x}"
		}, "shell code"},
		"not UTF-8": {func(s *Step) { s.Commands[0].Command.Argv = []string{"a", "\xff"} }, "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			c.alter(&s)
			_, err := testBuilder("demo").Stage("a", msg.Raw("A"), s).Build()
			if !errors.Is(err, ErrInvalidPlan) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want one that says %q", err, c.says)
			}
		})
	}
	for name, b := range map[string]*Builder{
		"no step":         testBuilder("demo").Stage("a", msg.Raw("A")),
		"step twice":      testBuilder("demo").Stage("a", msg.Raw("A"), good()).Stage("b", msg.Raw("B"), good()),
		"stage twice":     testBuilder("demo").Stage("a", msg.Raw("A"), good()).Stage("a", msg.Raw("A"), evident("n1", "t", remote.Change, "t")),
		"procedure":       testBuilder("../demo").Stage("a", msg.Raw("A"), good()),
		"tag":             NewPlan("demo", "c", "lab", "../x", time.Now()).Stage("a", msg.Raw("A"), good()),
		"cluster":         NewPlan("demo", "a\nb", "lab", testTag, time.Now()).Stage("a", msg.Raw("A"), good()),
		"no return where": testBuilder("demo").NoReturn("z", msg.Raw("no")).Stage("a", msg.Raw("A"), good()),
		"input":           testBuilder("demo").Input(func() {}).Stage("a", msg.Raw("A"), good()),
	} {
		if _, err := b.Build(); !errors.Is(err, ErrInvalidPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildCollectsWhatTheScreenShows(t *testing.T) {
	p := build(t, demo().Nodes("n3", "n1").Guards(guardThat(Warn, ""), guardThat(Block, "type this")).
		Estimate(90*time.Second).Kept(msg.Raw("kept")).Lost(msg.Raw("lost")).NoReturn("move", msg.Raw("gone")))
	if got := strings.Join(p.Nodes, " "); got != "n3 n1 n2" {
		t.Errorf("nodes %s", got)
	}
	if len(p.Guards) != 2 || p.Guards[0].ID != "test-guard" || p.Guards[0].Title.Zero() || len(p.Blocked()) != 1 {
		t.Errorf("guards %+v", p.Guards)
	}
	if !p.Destroys() || p.Estimate != 90 || p.NoReturnStage != "move" {
		t.Errorf("plan %+v", p)
	}
	if stage, step := p.Step("move/n2"); stage == nil || stage.ID != "move" || step.Node != "n2" {
		t.Error("the step is not found")
	}
}

// TestHashIsTheSameEverywhere pins the hash of a fixed plan: a plan that was
// saved by one process is applied by another, perhaps a later version.
func TestHashIsTheSameEverywhere(t *testing.T) {
	const want = "2861a06471255ef7bdafbf5e90dbbdc034306d8f50ad10124d3eee98d0f78d55"
	if p := build(t, demo()); p.Hash != want {
		t.Errorf("hash %s, want %s", p.Hash, want)
	}
}

func TestHashSurvivesStoring(t *testing.T) {
	p := build(t, demo())
	b, err := EncodePlan(p)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodePlan(b)
	if err != nil || back.Hash != p.Hash {
		t.Fatalf("%s, %v", back.Hash, err)
	}
	if err := CheckFresh(back, p); err != nil {
		t.Error(err)
	}
	for _, change := range []struct{ from, to string }{
		{`"effect": "destroy"`, `"effect": "change"`}, {"move @{member-id}", "move all"},
		{`"cluster": "nova-test"`, `"cluster": "nova-prod"`}, {`"node": "n2"`, `"node": "n3"`},
	} {
		altered := strings.Replace(string(b), change.from, change.to, 1)
		if altered == string(b) {
			t.Fatalf("%s is not in the plan", change.from)
		}
		if _, err := DecodePlan([]byte(altered)); !errors.Is(err, ErrInvalidPlan) {
			t.Errorf("%s → %s was not noticed: %v", change.from, change.to, err)
		}
	}
	if _, err := DecodePlan([]byte(strings.Replace(string(b), "plan/v1", "plan/v2", 1))); !errors.Is(err, ErrInvalidPlan) {
		t.Errorf("another schema: %v", err)
	}
}

func TestHashCoversWhatWouldBeDone(t *testing.T) {
	base := func() *Builder {
		return testBuilder("demo").Stage("a", msg.Raw("A"), evident("n1", "s", remote.Change, "s"))
	}
	with := func(alter func(*Step)) *Builder {
		s := evident("n1", "s", remote.Change, "s")
		alter(&s)
		return testBuilder("demo").Stage("a", msg.Raw("A"), s)
	}
	want := build(t, base()).Hash
	for name, b := range map[string]*Builder{
		"time":  NewPlan("demo", "nova-test", "lab", testTag, time.Now().Add(time.Hour)).Input(map[string]any{"node": "n2"}).Identity("digest").Stage("a", msg.Raw("A"), evident("n1", "s", remote.Change, "s")),
		"words": base().Title(msg.Raw("other")).Estimate(time.Hour).Basis("other"),
		"guard": base().Guards(guardThat(Block, "")),
	} {
		if got := build(t, b).Hash; got != want {
			t.Errorf("%s changed the hash", name)
		}
	}
	for name, b := range map[string]*Builder{
		"procedure": NewPlan("other", "nova-test", "lab", testTag, time.Now()).Input(map[string]any{"node": "n2"}).Identity("digest").Stage("a", msg.Raw("A"), evident("n1", "s", remote.Change, "s")),
		"tag":       NewPlan("demo", "nova-test", "lab", "x", time.Now()).Input(map[string]any{"node": "n2"}).Identity("digest").Stage("a", msg.Raw("A"), evident("n1", "s", remote.Change, "s")),
		"input":     base().Input(map[string]any{"node": "n3"}),
		"identity":  base().Identity("other"),
		"stage":     testBuilder("demo").Stage("b", msg.Raw("A"), evident("n1", "s", remote.Change, "s")),
		"node":      testBuilder("demo").Stage("a", msg.Raw("A"), evident("n2", "s", remote.Change, "s")),
		"step":      with(func(s *Step) { s.ID = "t" }),
		"effect":    with(func(s *Step) { s.Effect = remote.Destroy }),
		"argv":      with(func(s *Step) { s.Commands[0].Command.Argv = []string{"true"} }),
		"env":       with(func(s *Step) { s.Commands[0].Command.Env = []string{"A=b"} }),
		"stdin":     with(func(s *Step) { s.Commands[0].Command.Stdin = "in" }),
		"timeout":   with(func(s *Step) { s.Commands[0].Command.Timeout++ }),
		"one more":  with(func(s *Step) { s.Commands = append(s.Commands, s.Commands[0]) }),
		"check":     with(func(s *Step) { s.Checks = nil }),
	} {
		if got := build(t, b).Hash; got == want {
			t.Errorf("%s did not change the hash", name)
		}
	}
	a, _ := HashOf(Plan{Input: json.RawMessage(`{"a":1,"b":10000000000000000001}`)})
	b, _ := HashOf(Plan{Input: json.RawMessage("{ \"b\": 10000000000000000001,\n\"a\": 1 }")})
	c, _ := HashOf(Plan{Input: json.RawMessage(`{"a":1,"b":10000000000000000002}`)})
	if a != b || a == c {
		t.Error("the hash of the input is not that of its content")
	}
}

func TestAPlanReadFromAFileDoesNotRun(t *testing.T) {
	l := newLocal(t)
	b, err := EncodePlan(build(t, demo()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := DecodePlan(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), options(l, p)); !errors.Is(err, ErrInvalidPlan) {
		t.Errorf("got %v", err)
	}
}

func TestARefusedPlanHasNoStages(t *testing.T) {
	l := newLocal(t)
	p, err := testBuilder("demo").NoReturn("z", msg.Raw("no")).Guards(guardThat(Block, "")).BuildRefused()
	if err != nil || len(p.Guards) != 1 || len(p.Stages) != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := Start(t.Context(), options(l, p)); !errors.Is(err, ErrRefused) || OutcomeOf(err).ExitStatus() != 3 {
		t.Errorf("got %v", err)
	}
	p, err = testBuilder("demo").BuildRefused()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), options(l, p)); !errors.Is(err, ErrInvalidPlan) {
		t.Errorf("got %v", err)
	}
}

func TestGuardsThatProveNothing(t *testing.T) {
	step := evident("n1", "s", remote.Change, "s")
	for name, check := range map[string]func() Finding{
		"panics":     func() Finding { panic("x") },
		"no result":  func() Finding { return Finding{} },
		"overridden": func() Finding { return Finding{Result: Block, Override: "x", Overridden: true} },
	} {
		_, err := testBuilder("demo").Guards(Guard{ID: "g", Check: check}).Stage("a", msg.Raw("A"), step).Build()
		if !errors.Is(err, ErrInvalidPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
