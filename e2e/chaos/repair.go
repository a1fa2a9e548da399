package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// Exit statuses of the contract (docs/architecture.md), and -1: by a signal.
const (
	exitDone        = 0
	exitFailed      = 1 // nothing known to have changed
	exitUsage       = 2 // also: there is no run to resume
	exitRefused     = 3 // nothing changed
	exitStopped     = 4
	exitLocked      = 5
	exitUnknown     = 6
	exitInterrupted = 130
	exitKilled      = -1
)

// operator is somebody who goes by the exit statuses.
type operator struct {
	*run
	resume                 bool // next; otherwise begin anew
	refused, waits, locked int
}

// repair does what an operator does until novatui says that the cluster is
// proved healthy or that there is nothing to repair. It tells when; never when
// it did not.
func (x *run) repair(ctx context.Context) time.Time {
	o := &operator{run: x}
	for x.result.Tries-o.locked < mostTries && ctx.Err() == nil {
		if x.s.Patient {
			x.world.Wait()
		}
		args, end := o.next(ctx)
		if end {
			return time.Now()
		}
		if args == nil {
			if o.waits++; o.waits > 40 {
				x.breaks("the end: for 40 looks there was no plan")
				return time.Time{}
			}
			after(time.Second, ctx.Done())
			continue
		}
		a := x.try(ctx, args)
		if a.Exit == exitDone {
			x.result.Outcome = "proved"
			if seen, err := x.atOnce(ctx); err != nil {
				x.breaks("E: novatui said proved, and %v (%+v)", err, seen.members)
			}
			return a.Ended
		}
		if !o.learn(ctx, a) {
			return time.Time{}
		}
	}
	x.breaks("the end: not repaired after %d tries, exits %v", x.result.Tries, x.result.Exits)
	return time.Time{}
}

// next is what to call now; nothing when there is no plan. end: the cluster is
// healthy.
func (o *operator) next(ctx context.Context) (args []string, end bool) {
	args = []string{"resume"}
	if !o.resume {
		plan, end := o.begin(ctx)
		if end {
			o.result.Outcome = "healthy"
			return nil, true
		}
		if plan == "" {
			return nil, false
		}
		args = []string{"apply", plan, "--confirm", o.World.Cluster()}
	}
	if o.locked > 0 && o.seats > 0 {
		args = append(args, "--take-over") // as it says itself
	}
	return args, false
}

// learn draws the conclusions from an exit status; false: there are none.
func (o *operator) learn(ctx context.Context, a Answer) bool {
	switch a.Exit {
	case exitStopped, exitUnknown, exitInterrupted, exitKilled:
		o.resume, o.refused = true, 0
	case exitLocked:
		if o.locked++; o.locked > 20 {
			o.breaks("the end: locked for ever, exits %v", o.result.Exits)
			return false
		}
		after(3*time.Second, ctx.Done())
	case exitUsage:
		if !o.resume {
			o.breaks("E: exit 2: %s", oneLine(a.Stderr))
			return false
		}
		o.resume = false // it never began
	case exitFailed, exitRefused:
		o.world.Wait() // what the operator cannot mend mends itself
		if o.refused++; o.refused > 2 {
			o.resume = false
		}
		after(time.Second, ctx.Done())
	default:
		o.breaks("E: exit %d is not in the contract: %s", a.Exit, oneLine(a.Stderr))
		return false
	}
	return true
}

// atOnce looks at the cluster right after novatui said that it is healthy. When
// a node was hurt meanwhile it may be wrong already.
func (x *run) atOnce(ctx context.Context) (outside, error) {
	o, err := healthy(ctx, x.World, x.clients)
	if err != nil && x.strikes.nodeHurtSince(time.Now().Add(-settleLimit)) {
		x.Log("healthy no more, after a fault of a node: %v", err)
		return o, nil
	}
	return o, err
}

// begin diagnoses and plans. end: the cluster is healthy, there is nothing to
// do. No plan and no end: not now.
func (x *run) begin(ctx context.Context) (plan string, end bool) {
	a := x.call(ctx, "diagnose", "-o", "json")
	var d suite.Diagnosis
	if a.Exit != 0 || json.Unmarshal(a.Stdout, &d) != nil {
		x.Log("diagnose: exit %d: %s", a.Exit, oneLine(a.Stderr))
		return "", false
	}
	x.Log("%s: %s on %v", d.State, d.Recommended.Procedure, d.Recommended.Nodes)
	procedure := d.Recommended.Procedure
	args := []string{"plan", procedure}
	switch procedure {
	case "restart", "rejoin":
		args = append(args, "--node", strings.Join(d.Recommended.Nodes, ","))
	case "restore":
		archive, _, err := x.World.Snapshot(ctx)
		if err != nil {
			x.breaks("the snapshot: %v", err)
			return "", false
		}
		args = append(args, "--snapshot", archive)
	case "salvage":
	default:
		return "", d.State == "healthy"
	}
	if !x.want.exact && (procedure == "restore" || procedure == "salvage") {
		x.breaks("E: %s was recommended for %s", procedure, x.s.Damage.Name)
	}
	plan = filepath.Join(x.Dir, fmt.Sprintf("plan-%d.json", x.result.Tries))
	before := fingerprint(x.World)
	a = x.call(ctx, append(args, "--out", plan)...)
	if a.Exit != 0 {
		x.Log("%v: exit %d: %s", args, a.Exit, oneLine(a.Stderr))
		if diff := differences(before, fingerprint(x.World)); a.Exit == exitRefused && len(diff) > 0 && !x.strikes.nodeHurtSince(time.Now().Add(-settleLimit)) {
			x.breaks("E: the plan was refused, and %v", diff)
		}
		return "", false
	}
	p, err := ReadPlan(plan)
	if err != nil {
		x.breaks("%v", err)
		return "", false
	}
	x.strikes.aim(plan, p)
	return plan, false
}

// call runs novatui for something that only reads.
func (x *run) call(ctx context.Context, args ...string) suite.Answer {
	ctx, cancel := context.WithTimeout(ctx, suite.Limit)
	defer cancel()
	a, err := Watch(x.World.Command(ctx, x.state, nil, args...), nil)
	if err != nil {
		x.Log("%v: %v", args, err)
	}
	if ctx.Err() != nil {
		x.breaks("E: %v took more than %v", args, suite.Limit)
	}
	return suite.Answer{Exit: a.Exit, Stdout: a.Stdout, Stderr: a.Stderr}
}

// try runs apply or resume while the faults strike, and checks promises D and E
// when it has ended.
func (x *run) try(ctx context.Context, args []string) Answer {
	x.result.Tries++
	settled := true
	if n := len(x.result.Exits); n > 0 {
		settled = !slices.Contains([]int{exitKilled, exitUnknown, exitInterrupted}, x.result.Exits[n-1])
	}
	limited, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	before := fingerprint(x.World)
	c := x.World.Command(limited, x.state, x.strikes.environment(), append(args, "-o", "json")...)
	x.strikes.beginTry(limited)
	a, err := Watch(c, x.strikes.on)
	torn := x.strikes.endTry(a)
	if err != nil {
		x.breaks("running novatui: %v", err)
	}
	x.result.Exits = append(x.result.Exits, a.Exit)
	x.Log("%s: exit %d after %.1f s %s", args[0], a.Exit, a.Ended.Sub(a.Began).Seconds(), oneLine(a.Stderr))
	switch {
	case ctx.Err() != nil:
		return a
	case limited.Err() != nil:
		x.breaks("E: %s took more than %v", args[0], tryLimit)
	case strings.Contains(string(a.Stderr), "panic:") || strings.Contains(string(a.Stderr), "fatal error:"):
		x.breaks("E: %s: %s", args[0], oneLine(a.Stderr))
	}
	switch a.Exit {
	case exitFailed, exitUsage, exitRefused, exitLocked:
		// What a novatui that died or was aborted had sent goes on by itself.
		if diff := differences(before, fingerprint(x.World)); len(diff) > 0 && settled && !x.strikes.nodeHurtSince(a.Began) {
			x.breaks("E: %s ended with %d, and %v", args[0], a.Exit, diff)
		}
	}
	x.journalHolds(ctx, a, torn)
	return a
}

// journalHolds checks promise D after a try.
func (x *run) journalHolds(ctx context.Context, a Answer, torn bool) {
	runs, err := journals(x.state)
	if err != nil {
		x.breaks("D: %v", err)
	}
	if len(runs) == 0 {
		return
	}
	j := runs[len(runs)-1]
	for _, b := range claimsHold(ctx, x.World, j, x.clients, torn) {
		x.breaks("%s", b)
	}
	// Killed after its last word, it is done all the same, and there is nothing
	// to resume.
	says, may := j.saysDone(), slices.Contains([]int{exitDone, exitKilled, exitUsage}, a.Exit)
	if !torn && (a.Exit == exitDone && !says || says && !may) {
		x.breaks("D: exit %d, and that the journal says done is %v", a.Exit, says)
	}
}

// oneLine is the end of what a command printed; a data race is told from its
// beginning, where it says who wrote and who read.
func oneLine(b []byte) string {
	text := strings.Join(strings.Fields(string(b)), " ")
	if i := strings.Index(text, "WARNING: DATA RACE"); i >= 0 {
		return text[i:min(len(text), i+2000)]
	}
	if len(text) > 400 {
		text = "…" + text[len(text)-400:]
	}
	return text
}
