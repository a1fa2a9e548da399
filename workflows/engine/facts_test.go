package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func TestGuardsSeeFreshFacts(t *testing.T) {
	l := newLocal(t)
	var collected, seen atomic.Int32
	guard := Guard{ID: "g", Check: func() Finding {
		seen.Store(collected.Load())
		return Finding{Result: Pass}
	}}
	now := time.Now()
	step := func(id string, effect remote.Effect) Step {
		s := evident("n1", id, effect, id)
		s.Guards = []Guard{guard}
		return s
	}
	age := step("old", remote.Change)
	do := age.Do
	age.Do = func(ctx context.Context, x *Exec) error { return do(ctx, x) }
	b := NewPlan("demo", "nova-test", "lab", testTag, now).FactsAt(now).
		Refresh(func(context.Context, []string) error { collected.Add(1); return nil }).
		Stage("a", msg.Raw("A"), step("young", remote.Change)).
		Stage("b", msg.Raw("B"), step("destroys", remote.Destroy)).
		Stage("c", msg.Raw("C"), age)
	o := options(l, build(t, b))
	var clock atomic.Int64
	clock.Store(now.UnixNano())
	o.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	var facts []string
	o.OnEvent = func(e Event) {
		switch e.Type {
		case GuardChecked:
			facts = append(facts, fmt.Sprintf("%s:%d", e.Step, seen.Load()))
		case StageDone:
			clock.Add(int64(time.Millisecond))
			if e.Stage == "b" {
				clock.Add(int64(FreshFor + time.Second))
			}
		default:
		}
	}
	if _, res := run(t, o); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	if got := strings.Join(facts, " "); got != "young:0 destroys:1 old:2" {
		t.Errorf("guards saw the facts of collection %s", got)
	}
}

// TestOnlyTheStagesNodesAreLookedAt: what destroys on one node looks at that
// machine anew, until what is known of the others is too old.
func TestOnlyTheStagesNodesAreLookedAt(t *testing.T) {
	l := newLocal(t)
	now := time.Now()
	var clock atomic.Int64
	clock.Store(now.UnixNano())
	var looked []string
	b := NewPlan("demo", "nova-test", "lab", testTag, now).FactsAt(now).
		Refresh(func(_ context.Context, nodes []string) error {
			looked = append(looked, fmt.Sprint(nodes))
			return nil
		}).
		Stage("a", msg.Raw("A"), evident("n2", "a", remote.Destroy, "a")).
		Stage("b", msg.Raw("B"), evident("n1", "b1", remote.Destroy, "b1"), evident("n3", "b3", remote.Destroy, "b3")).
		Stage("c", msg.Raw("C"), evident("n2", "c", remote.Destroy, "c"))
	o := options(l, build(t, b))
	o.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	o.OnEvent = func(e Event) {
		if e.Type == StageStarted {
			clock.Add(int64(time.Millisecond))
		}
		if e.Type == StageDone && e.Stage == "b" {
			clock.Add(int64(FreshFor))
		}
	}
	if _, res := run(t, o); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	got := strings.Join(looked, " ")
	if !strings.HasPrefix(got, "[n2] [n1 n3]") || !strings.HasSuffix(got, " []") {
		t.Errorf("looked at %s", got)
	}
}

// TestAStageLooksOnce: steps that destroy on three nodes at once rest on one
// collecting, the next step of a node on one of its own, and so does a step that
// came to its guards long after it began.
func TestAStageLooksOnce(t *testing.T) {
	l := newLocal(t)
	var looked atomic.Int32
	all, probed := make(chan struct{}), atomic.Int32{}
	var steps []Step
	for _, node := range []string{"n1", "n2", "n3"} {
		first := evident(node, "first/"+node, remote.Destroy, "first")
		probe := first.Probe
		first.Probe = func(ctx context.Context, x *Exec) (Probed, error) {
			if probed.Add(1) == 3 {
				close(all)
			}
			<-all // no step looks before all have begun
			return probe(ctx, x)
		}
		steps = append(steps, first)
	}
	steps = append(steps, evident("n1", "second/n1", remote.Destroy, "second"))
	b := testBuilder("demo").FactsAt(time.Now()).
		Refresh(func(context.Context, []string) error { looked.Add(1); return nil }).
		Stage("a", msg.Raw("A"), steps...)
	if _, res := run(t, options(l, build(t, b))); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	if looked.Load() != 2 {
		t.Errorf("looked %d times instead of once for the three and once for the second", looked.Load())
	}

	looked.Store(0)
	clock := atomic.Int64{}
	clock.Store(time.Now().UnixNano())
	slow := evident("n2", "slow", remote.Destroy, "slow")
	probe, waited := slow.Probe, make(chan struct{})
	slow.Probe = func(ctx context.Context, x *Exec) (Probed, error) {
		<-waited
		clock.Add(int64(shareFor + time.Second))
		return probe(ctx, x)
	}
	quick := evident("n1", "quick", remote.Destroy, "quick")
	do := quick.Do
	quick.Do = func(ctx context.Context, x *Exec) error { defer close(waited); return do(ctx, x) }
	b = testBuilder("demo").FactsAt(time.Unix(0, clock.Load())).
		Refresh(func(context.Context, []string) error { looked.Add(1); return nil }).
		Stage("a", msg.Raw("A"), quick, slow)
	o := options(l, build(t, b))
	o.Now = func() time.Time { return time.Unix(0, clock.Add(1)) }
	if _, res := run(t, o); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	if looked.Load() != 2 {
		t.Errorf("looked %d times: the slow step must look for itself", looked.Load())
	}
}

func TestGuardsAndRefreshNeverMeet(t *testing.T) {
	l := newLocal(t)
	var refreshing atomic.Int32
	guard := Guard{ID: "g", Check: func() Finding {
		for began := time.Now(); time.Since(began) < time.Millisecond; runtime.Gosched() {
			if refreshing.Load() != 0 {
				t.Error("a guard looks at facts that are being collected")
				break
			}
		}
		return Finding{Result: Pass}
	}}
	var steps []Step
	for _, node := range []string{"n1", "n2", "n3"} {
		for i := range 8 {
			id := fmt.Sprintf("%d/%s", i, node)
			s := evident(node, id, remote.Destroy, id)
			s.Guards = []Guard{guard, guard, guard, guard}
			s.Do = func(ctx context.Context, x *Exec) error { return x.Refresh(ctx) }
			s.Verify = func(context.Context, *Exec) error { return nil }
			steps = append(steps, s)
		}
	}
	refresh := func(context.Context, []string) error {
		if refreshing.Add(1) > 1 {
			t.Error("facts are collected twice at once")
		}
		for began := time.Now(); time.Since(began) < 4*time.Millisecond; {
			runtime.Gosched() // long enough for a guard to come by
		}
		refreshing.Add(-1)
		return nil
	}
	b := testBuilder("demo").Refresh(refresh).Stage("a", msg.Raw("A"), steps...)
	if _, res := run(t, options(l, build(t, b))); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
}

func TestFactsThatCannotBeRefreshedStopTheStep(t *testing.T) {
	l := newLocal(t)
	b := testBuilder("demo").FactsAt(time.Now()).
		Refresh(func(context.Context, []string) error { return errors.New("no answer") }).
		Stage("a", msg.Raw("A"), evident("n1", "s", remote.Destroy, "s"))
	_, res := run(t, options(l, build(t, b)))
	if res.Outcome != OutcomeFailed || res.Changed || len(l.evidence(t, "n1")) > 0 {
		t.Errorf("result %+v", res)
	}
}
