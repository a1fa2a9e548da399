package screens

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/workflows/engine"
)

// Connect opens a connection to every node and shows how far each is.
type Connect struct {
	s     *Session
	links []*link
	at    int
	gone  bool // diagnose was opened

	unfinished []engine.RunInfo
	asked      bool // the answer of Unfinished is there
	choice     int  // among the unfinished run's choices
	resuming   bool
	undoing    bool // the plan of a rollback is being made
}

// link is the way to one node.
type link struct {
	node    string
	try     int // counts retries, so that an old answer is not taken for a new
	phase   string
	started time.Time
	took    time.Duration
	done    bool
	err     error
}

type (
	connecting struct {
		node, phase string
		try         int
	}
	connected struct {
		node string
		try  int
		err  error
	}
	unfinishedRuns struct {
		runs []engine.RunInfo
		err  error
	}
	// Started says that a run was begun or resumed, or why not.
	Started struct {
		Run  backend.Run
		Plan engine.Plan
		Err  error
	}
)

// NewConnect makes the first screen.
func NewConnect(s *Session) *Connect {
	c := &Connect{s: s}
	for _, n := range s.Info.Nodes {
		c.links = append(c.links, &link{node: n.Name})
	}
	return c
}

// Step implements Screen.
func (c *Connect) Step() Step { return StepConnect }

// About implements Screen.
func (c *Connect) About() msg.Msg { return msg.M("ui.connect.about") }

// Place implements Screen.
func (c *Connect) Place() msg.Msg { return msg.Msg{} }

// Init implements Screen: all nodes at once.
func (c *Connect) Init() tea.Cmd {
	cmds := []tea.Cmd{c.ask()}
	for _, l := range c.links {
		cmds = append(cmds, c.open(l))
	}
	return tea.Batch(cmds...)
}

// ask asks for the runs that did not end.
func (c *Connect) ask() tea.Cmd {
	return c.s.Do(func(ctx context.Context) tea.Msg {
		runs, err := c.s.Back.Unfinished(ctx)
		return unfinishedRuns{runs: runs, err: err}
	})
}

func (c *Connect) open(l *link) tea.Cmd {
	l.try++
	l.phase, l.err, l.done, l.started = "", nil, false, c.s.Now()
	node, try := l.node, l.try
	return c.s.Do(func(ctx context.Context) tea.Msg {
		err := c.s.Back.Connect(ctx, node, func(phase string) {
			c.s.Send(connecting{node: node, phase: phase, try: try})
		})
		return connected{node: node, try: try, err: err}
	})
}

// Update implements Screen.
func (c *Connect) Update(m tea.Msg) tea.Cmd {
	switch m := m.(type) {
	case connecting:
		if l := c.link(m.node, m.try); l != nil && !l.done {
			l.phase = m.phase
		}
	case connected:
		if l := c.link(m.node, m.try); l != nil {
			l.done, l.err, l.took = true, m.err, c.s.Now().Sub(l.started)
			c.showFirstFailure()
		}
		if ready, _, open := c.count(); open == 0 && ready > 0 && !c.gone {
			// Now the nodes can be asked as well, for runs of other machines.
			c.asked = false
			return c.ask()
		}
		return c.advance()
	case unfinishedRuns:
		c.asked = true
		c.unfinished = m.runs
		if m.err != nil {
			c.s.Flash(msg.M("ui.connect.unfinished-failed", "error", m.err.Error()))
		}
		return c.advance()
	case rollbackPlanned:
		if c.undoing && len(c.unfinished) > 0 && m.run == c.unfinished[0].ID {
			c.undoing = false
			return c.s.reviewRollback(m, func() { c.gone = true })
		}
	case Started:
		if c.resuming {
			c.resuming = false
			return c.begin(m)
		}
	}
	return nil
}

// begin goes from a resumed run to its screen.
func (c *Connect) begin(m Started) tea.Cmd {
	if m.Err != nil {
		c.s.Open(refused(c.s, msg.M("ui.connect.resume-failed"), m.Err, c.resume))
		return nil
	}
	c.gone, c.unfinished = true, nil
	return tea.Batch(c.s.Push(NewDiagnose(c.s)), c.s.Push(NewExecute(c.s, m.Plan, m.Run)))
}

func (c *Connect) link(node string, try int) *link {
	for _, l := range c.links {
		if l.node == node && l.try == try {
			return l
		}
	}
	return nil
}

func (c *Connect) showFirstFailure() {
	if c.links[c.at].err != nil {
		return
	}
	for i, l := range c.links {
		if l.err != nil {
			c.at = i
			return
		}
	}
}

func (c *Connect) count() (ready, failed, open int) {
	for _, l := range c.links {
		switch {
		case !l.done:
			open++
		case l.err != nil:
			failed++
		default:
			ready++
		}
	}
	return ready, failed, open
}

// advance goes on by itself when every node is there and nothing is to be
// decided.
func (c *Connect) advance() tea.Cmd {
	ready, _, _ := c.count()
	if c.gone || !c.asked || ready < len(c.links) || len(c.unfinished) > 0 {
		return nil
	}
	return c.diagnose()
}

func (c *Connect) diagnose() tea.Cmd {
	c.gone = true
	return c.s.Push(NewDiagnose(c.s))
}

// Keys implements Screen.
func (c *Connect) Keys() keys.Map {
	ready, failed, open := c.count()
	var m keys.Map
	switch {
	case len(c.unfinished) > 0 && open == 0 && ready > 0:
		m = append(m, keys.Binding{Action: keys.Enter, Help: "ui.key.choose", Foot: true},
			keys.Binding{Action: keys.Down, Help: "ui.key.next", Foot: true})
	case ready > 0:
		m = append(m, keys.Binding{Action: keys.Enter, Help: "ui.key.goon", Foot: true})
	}
	if failed > 0 {
		m = append(m, keys.Binding{Action: keys.Again, Help: "ui.key.retry", Foot: true},
			keys.Binding{Action: keys.Evidence, Help: "ui.key.details", Foot: true})
	}
	return append(m, keys.Binding{Action: keys.NextPane, Help: "ui.key.node", Foot: failed > 0},
		keys.Binding{Action: keys.Up, Quiet: true}, keys.Binding{Action: keys.Down, Quiet: true},
		keys.Binding{Action: keys.PrevPane, Quiet: true}, keys.Binding{Action: keys.Pick, Help: "ui.key.picknode"})
}

// Press implements Screen.
func (c *Connect) Press(p keys.Press) tea.Cmd {
	n := len(c.links)
	switch p.Action {
	case keys.Up, keys.Down:
		if len(c.unfinished) > 0 {
			c.nextChoice(p.Action == keys.Down)
			return nil
		}
		c.move(p.Action == keys.Down, n)
	case keys.NextPane, keys.PrevPane:
		c.move(p.Action == keys.NextPane, n)
	case keys.Pick:
		if p.Digit <= n {
			c.at = p.Digit - 1
		}
	case keys.Again:
		if l := c.links[c.at]; l.err != nil {
			return c.open(l)
		}
	case keys.Evidence:
		c.details()
	case keys.Enter:
		return c.enter()
	}
	return nil
}

func (c *Connect) move(down bool, n int) {
	if down {
		c.at = (c.at + 1) % n
	} else {
		c.at = (c.at + n - 1) % n
	}
}

func (c *Connect) enter() tea.Cmd {
	ready, _, open := c.count()
	switch {
	case ready == 0 || c.resuming || c.undoing:
		return nil
	case len(c.unfinished) == 0 || c.chosen() == "diagnose":
		return c.diagnose()
	case open > 0:
		return nil
	}
	run := c.unfinished[0]
	if c.chosen() == "rollback" {
		c.undoing = true
		return c.s.planRollback(run.ID)
	}
	c.s.Open(overlay.NewConfirm(c.s.Kit, msg.M("ui.connect.resume-title"), func(w int) []string {
		return text.Wrap(c.s.P.T("ui.connect.resume-text", "what", run.Title), min(w, readable))
	}, nil, func([]string) tea.Cmd { return c.resume() }))
	return nil
}

// resume goes on with the unfinished run.
func (c *Connect) resume() tea.Cmd {
	id := c.unfinished[0].ID
	c.resuming = true
	return c.s.Do(func(ctx context.Context) tea.Msg {
		r, plan, err := c.s.Back.ResumeRun(ctx, id)
		return Started{Run: r, Plan: plan, Err: err}
	})
}

// details opens the error of the chosen node in full.
func (c *Connect) details() {
	l := c.links[c.at]
	if l.err == nil {
		return
	}
	c.s.Open(overlay.NewViewer(c.s.Kit, msg.M("ui.connect.details", "node", l.node), func(w int) []string {
		return c.trouble(l, w, 100)
	}))
}

// Coach implements Screen.
func (c *Connect) Coach() msg.Msg {
	ready, failed, open := c.count()
	switch {
	case open > 0:
		return msg.M("ui.coach.connecting")
	case len(c.unfinished) > 0 && ready > 0:
		return msg.M("ui.coach.unfinished")
	case failed > 0 && ready > 0:
		return msg.M("ui.coach.connect-some")
	case failed > 0:
		return msg.M("ui.coach.connect-none")
	}
	if c.gone {
		return msg.M("ui.coach.connected")
	}
	return msg.M("ui.coach.connecting")
}
