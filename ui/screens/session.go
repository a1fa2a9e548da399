// Package screens holds the screens of the wizard: connect, diagnose, choose,
// review, execute, report. A screen keeps what it shows, handles messages and
// actions, and renders lines; it never waits. Everything slow goes through
// Session.Do into a tea.Cmd.
package screens

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
)

// Step is a screen's place on the path.
type Step int

// The path.
const (
	StepConnect Step = iota
	StepDiagnose
	StepChoose
	StepReview
	StepExecute
	StepReport
)

// stepIDs are the messages of the path, in its order.
var stepIDs = []string{
	"ui.step.connect", "ui.step.diagnose", "ui.step.choose",
	"ui.step.review", "ui.step.execute", "ui.step.report",
}

// Name is the message of a step.
func (s Step) Name() msg.Msg { return msg.M(stepIDs[s]) }

// Screen is one screen. All methods are called by the root model only.
type Screen interface {
	Step() Step
	// Init is called once, when the screen comes up.
	Init() tea.Cmd
	// Update handles everything but keys; every screen of the stack gets it.
	Update(m tea.Msg) tea.Cmd
	// Press handles an action of Keys.
	Press(p keys.Press) tea.Cmd
	// Lines renders the body: at most h lines of at most w cells.
	Lines(w, h int) []string
	// Keys is what is possible now.
	Keys() keys.Map
	// About is the first sentence of the help.
	About() msg.Msg
	// Coach tells a newcomer what to press next.
	Coach() msg.Msg
	// Place replaces the path in the header; a zero Msg leaves it.
	Place() msg.Msg
}

// Typist is a screen that sometimes takes text instead of actions.
type Typist interface {
	Typing() bool
	Type(k tea.KeyPressMsg) tea.Cmd
	Paste(s string)
}

// Session is what all screens share. It belongs to the program's Update.
type Session struct {
	overlay.Kit
	Back     backend.Backend
	Info     backend.ClusterInfo
	Overlays overlay.Stack

	// Now, After, Do and Send are the world: the clock, a timer as a command,
	// work with the program's context as a command, and a way to report
	// progress from within such work.
	Now   func() time.Time
	After func(d time.Duration, fn func(time.Time) tea.Msg) tea.Cmd
	Do    func(work func(ctx context.Context) tea.Msg) tea.Cmd
	Send  func(tea.Msg)
	// PullEvery is the shortest time between two looks at a run's feed.
	PullEvery time.Duration

	Opened  time.Time   // when the wizard was started: the incident's clock
	Running bool        // a run goes on: the wizard changes things
	Run     backend.Run // that run
	Paused  bool        // it waits for the operator

	Facts      etcdops.Facts
	Verdict    etcdops.Verdict
	Assessed   []backend.Assessed
	HaveFacts  bool
	FactsAt    time.Time
	CollectErr error
	collecting bool
	triedAt    time.Time // the end of the last look, also of a failed one
	// seen is when each node's etcd last answered, and what.
	seen map[string]sighting

	flash   msg.Msg
	flashAt time.Time
	stack   []Screen
}

type sighting struct {
	at       time.Time
	endpoint etcdops.EndpointFacts
}

// refreshEvery is how old facts get on a screen that shows them before they
// are collected again.
const refreshEvery = 10 * time.Second

// Messages that cross screens.
type (
	// Tick comes once a second.
	Tick struct{ At time.Time }
	// FactsCollected is the answer of Backend.Collect.
	FactsCollected struct {
		Facts    etcdops.Facts
		Verdict  etcdops.Verdict
		Assessed []backend.Assessed
		Err      error
	}
	// Saved says where a file was written.
	Saved struct {
		Path string
		Err  error
	}
)

// Top is the screen that is shown.
func (s *Session) Top() Screen { return s.stack[len(s.stack)-1] }

// Stack is every screen, the shown one last.
func (s *Session) Stack() []Screen { return s.stack }

// Push shows a screen on top.
func (s *Session) Push(sc Screen) tea.Cmd {
	s.stack = append(s.stack, sc)
	return sc.Init()
}

// Pop goes back one screen; the first one stays.
func (s *Session) Pop() {
	if len(s.stack) > 1 {
		s.stack = s.stack[:len(s.stack)-1]
	}
}

// BackTo takes off screens until the one of a step is on top, if there is one.
func (s *Session) BackTo(step Step) {
	for i := len(s.stack) - 1; i >= 0; i-- {
		if s.stack[i].Step() == step {
			s.stack = s.stack[:i+1]
			return
		}
	}
}

// Flash shows a sentence in the footer for a while.
func (s *Session) Flash(m msg.Msg) { s.flash, s.flashAt = m, s.Now() }

// flashFor is how long a flash stays.
const flashFor = 8 * time.Second

// Flashing is the sentence to show in the footer now.
func (s *Session) Flashing() (msg.Msg, bool) {
	return s.flash, !s.flash.Zero() && s.Now().Sub(s.flashAt) < flashFor
}

// Collect looks at the cluster again, unless that is being done already.
func (s *Session) Collect() tea.Cmd {
	if s.collecting {
		return nil
	}
	s.collecting = true
	return s.Do(func(ctx context.Context) tea.Msg {
		f, v, a, err := s.Back.Collect(ctx)
		return FactsCollected{Facts: f, Verdict: v, Assessed: a, Err: err}
	})
}

// Collecting reports whether a look is under way.
func (s *Session) Collecting() bool { return s.collecting }

// Refresh collects again when what is shown has become old.
func (s *Session) Refresh() tea.Cmd {
	if s.Running || s.Now().Sub(s.triedAt) < refreshEvery {
		return nil
	}
	return s.Collect()
}

// Apply takes new facts. A failed look keeps the old ones, with their age.
func (s *Session) Apply(m FactsCollected) {
	s.collecting = false
	s.CollectErr = m.Err
	s.triedAt = s.Now()
	if m.Err != nil {
		return
	}
	s.Facts, s.Verdict, s.Assessed = m.Facts, m.Verdict, m.Assessed
	s.HaveFacts, s.FactsAt = true, s.Now()
	s.see(m.Facts)
}

// Forget makes what was judged void: a run has changed the cluster, and the
// old judgement must not be shown as the present one.
func (s *Session) Forget() {
	s.HaveFacts = false
	s.Verdict, s.Assessed = etcdops.Verdict{}, nil
}

// see remembers when each endpoint last answered.
func (s *Session) see(f etcdops.Facts) {
	if s.seen == nil {
		s.seen = map[string]sighting{}
	}
	for _, n := range f.Nodes {
		if n.Endpoint.Answers {
			s.seen[n.Node] = sighting{at: s.Now(), endpoint: n.Endpoint}
		}
	}
}

// Save writes a file through the Backend and flashes its path.
func (s *Session) Save(name string, content func() ([]byte, error)) tea.Cmd {
	return s.Do(func(ctx context.Context) tea.Msg {
		b, err := content()
		if err != nil {
			return Saved{Err: err}
		}
		path, err := s.Back.Save(ctx, name, b)
		return Saved{Path: path, Err: err}
	})
}

// Open shows an overlay that the operator asked for.
func (s *Session) Open(o overlay.Overlay) { s.Overlays.Open(o) }

// NodeNames lists the cluster's nodes.
func (s *Session) NodeNames() []string {
	names := make([]string, len(s.Info.Nodes))
	for i, n := range s.Info.Nodes {
		names[i] = n.Name
	}
	return names
}

// address of a node.
func (s *Session) address(node string) string {
	for _, n := range s.Info.Nodes {
		if n.Name == node {
			return n.Address
		}
	}
	return ""
}

// memberName is how a node's member is called, or else the node itself.
func (s *Session) memberName(node string) string {
	if m, ok := s.Facts.MemberOf(node); ok && m.Name != "" {
		return m.Name
	}
	if n, ok := s.Facts.NodeByName(node); ok && n.Env.Name() != "" {
		return n.Env.Name()
	}
	return node
}

// errText is an error for the screen: its developer's text, which stays as it
// is, behind a sentence in the operator's language.
func errText(err error) msg.Msg {
	if errors.Is(err, context.DeadlineExceeded) {
		return msg.M("ui.error.timeout", "error", err.Error())
	}
	return msg.M("ui.error.plain", "error", err.Error())
}
