package chaos

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// strikes are the faults of a run on their way.
type strikes struct {
	run *run
	ctx context.Context // of the try under way

	mu      sync.Mutex
	all     []*strike
	stageOf map[string]int
	plan    string    // its file
	id      string    // of the run under way
	killed  bool      // by a strike, in this try
	lost    bool      // the operator's machine is to be lost when it has
	torn    bool      // the journal is to be torn when the process has ended
	hurt    time.Time // when the last fault of a node was over; the future while one lasts
	begun   time.Time // when the first fault struck
}

// strike is one fault, aimed at a step of the plan.
type strike struct {
	Fault
	step   string
	stage  int
	coming bool // its moment came, in this try
	struck bool
}

// steady is far away: a fault of a node lasts.
const steady = 24 * time.Hour

func newStrikes(x *run) *strikes {
	s := &strikes{run: x, stageOf: map[string]int{}}
	for _, f := range x.s.Faults {
		s.all = append(s.all, &strike{Fault: f})
	}
	return s
}

// aim finds the steps of a plan that the faults are meant for.
func (s *strikes) aim(file string, p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = file
	steps := p.steps()
	clear(s.stageOf)
	for _, step := range steps {
		s.stageOf[step.id] = step.stage
	}
	for _, f := range s.all {
		at := steps[int(f.Place*float64(len(steps)))]
		if f.Kind == KillBoundary && f.Event == "step-intent" && at.effect == "read" {
			f.Event = "step-done" // a step that only reads may have no intent
		}
		if !f.struck {
			f.step, f.stage = at.id, at.stage
		}
	}
}

// environment makes novatui kill itself at a boundary.
func (s *strikes) environment() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		if f.Kind == KillBoundary && !f.struck {
			f.coming = true
			return []string{"NOVATUI_KILL_AT=" + f.Event + ":" + f.step}
		}
	}
	return nil
}

func (s *strikes) beginTry(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.killed, s.torn, s.lost = ctx, false, false, false
}

// on is called with every event of the process.
func (s *strikes) on(e Event, p *os.Process, beside *sync.WaitGroup, ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Run != "" {
		s.id = e.Run
	}
	stage, known := s.stageOf[e.Step]
	for _, f := range s.all {
		if f.struck || f.coming || f.Kind == KillBoundary || !known {
			continue
		}
		now := e.Step == f.step && (e.Type == f.Event || f.Event == "command" && e.Type == "value")
		if !now && stage <= f.stage {
			continue
		}
		f.coming = true
		group := beside
		if !f.hitsOperator() {
			group = &s.run.world
		}
		group.Go(func() { s.strike(f, p, ended) })
	}
}

// strike waits for the fault's moment and strikes.
func (s *strikes) strike(f *strike, p *os.Process, ended <-chan struct{}) {
	s.mu.Lock()
	ctx := s.ctx
	s.mu.Unlock()
	if f.hitsOperator() {
		if !after(f.After, ended, ctx.Done()) {
			return // over before: it is for the next try
		}
	} else {
		ctx = context.WithoutCancel(ctx)
		after(f.After)
	}
	s.note(f)
	s.run.Log("%s at %s %s", f.Kind, f.Event, f.step)
	switch f.Kind {
	case KillMiddle, TornJournal, MachineLost:
		_ = p.Kill() // it may have ended by itself
	case Freeze:
		_ = p.Signal(syscall.SIGSTOP)
		after(f.Lasts, ctx.Done())
		_ = p.Signal(syscall.SIGCONT)
	case Terminate:
		signal(f, p, syscall.SIGTERM, ended)
	case Hangup:
		signal(f, p, syscall.SIGHUP, ended)
	case Interrupt:
		signal(f, p, syscall.SIGINT, ended)
	case Second:
		s.secondOne(ctx, f, ended)
	default:
		s.onNode(ctx, f)
	}
}

// note remembers that a fault struck.
func (s *strikes) note(f *strike) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.struck = true
	s.torn = s.torn || f.Kind == TornJournal
	s.lost = s.lost || f.Kind == MachineLost
	s.killed = s.killed || f.Kind == TornJournal || f.Kind == MachineLost || f.Kind == KillMiddle
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
}

func signal(f *strike, p *os.Process, sig os.Signal, ended <-chan struct{}) {
	_ = p.Signal(sig)
	if f.Twice > 0 && after(f.Twice, ended) {
		_ = p.Signal(sig)
	}
}

func (s *strikes) onNode(ctx context.Context, f *strike) {
	hurts := slices.Contains(ofNode, f.Kind)
	if hurts {
		s.setHurt(time.Now().Add(steady))
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := s.run.World.Strike(ctx, f.Fault); err != nil {
		s.run.Log("%s: %v", f.Kind, err)
	}
	if hurts {
		s.setHurt(time.Now())
	}
}

func (s *strikes) setHurt(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurt = t
}

// nodeHurtSince reports whether a fault of a node was under way since then.
func (s *strikes) nodeHurtSince(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hurt.After(t)
}

// first is when the first fault struck.
func (s *strikes) first() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// secondOne tries to resume, or to apply the same plan, beside the first one. As
// long as that one lives it must get nothing.
func (s *strikes) secondOne(ctx context.Context, f *strike, ended <-chan struct{}) {
	s.mu.Lock()
	args := []string{"resume", s.id}
	if f.Twice > 0 {
		args = []string{"apply", s.plan, "--confirm", s.run.World.Cluster()}
	}
	s.mu.Unlock()
	where, state := "this machine", s.run.state
	if f.Lasts.Milliseconds()%2 == 0 {
		where, state = "another machine", filepath.Join(s.run.Dir, "elsewhere")
	}
	a, err := Watch(s.run.World.Command(ctx, state, nil, append(args, "-o", "json")...), nil)
	if err != nil {
		s.run.Log("the second one: %v", err)
	}
	s.run.Log("the second one, %s on %s: exit %d %s", args[0], where, a.Exit, oneLine(a.Stderr))
	select {
	case <-ended:
		return // the first is gone: what it did was right
	default:
	}
	switch a.Exit {
	case exitLocked, exitUsage, exitRefused, exitFailed:
	default:
		s.run.breaks("C: a second novatui ended with %d while the first one held the cluster: %s", a.Exit, oneLine(a.Stderr))
	}
}

// endTry takes stock when the process has ended. It reports whether the journal
// was torn.
func (s *strikes) endTry(a Answer) (torn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.all {
		if f.Kind == KillBoundary && f.coming && !f.struck && a.Exit == exitKilled && !s.killed {
			s.boundary(f, a.Ended)
		}
		f.coming = f.coming && f.struck
	}
	if s.lost && a.Exit == exitKilled {
		s.run.elsewhere()
	}
	if !s.torn || s.lost || a.Exit != exitKilled {
		return false
	}
	cut := 0
	for _, f := range s.all {
		if f.Kind == TornJournal && f.Twice > 0 {
			cut = int(f.Twice.Milliseconds())%30 + 1
		}
	}
	if err := tear(s.run.state, cut); err != nil {
		s.run.Log("tearing the journal: %v", err)
	}
	return true
}

// boundary notes that novatui killed itself where it was told to.
func (s *strikes) boundary(f *strike, at time.Time) {
	f.struck = true
	if s.begun.IsZero() {
		s.begun = at
	}
	s.run.Log("%s at %s %s", f.Kind, f.Event, f.step)
}

// report is how each fault came out.
func (s *strikes) report() []Struck {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Struck{}
	for _, f := range s.all {
		all = append(all, Struck{Kind: f.Kind, At: f.Event + ":" + f.step, Struck: f.struck})
	}
	return all
}
