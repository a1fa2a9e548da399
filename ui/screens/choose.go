package screens

import (
	"context"
	"slices"
	"sort"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// Choose offers the procedures, the best first, with what speaks against each.
type Choose struct {
	s    *Session
	at   int
	pane int // 0 procedures, 1 nodes, 2 snapshots

	picked map[etcdops.Procedure]map[string]bool // nodes chosen by the operator
	nodeAt int

	snapshots []etcdops.SnapshotFile
	snapErr   error
	snapDone  bool
	snapAt    int

	planning int // number of the request under way, 0 for none
	asked    int
}

type (
	planned struct {
		n    int
		plan engine.Plan
		err  error
		req  backend.PlanRequest
	}
	snapshotsListed struct {
		files []etcdops.SnapshotFile
		err   error
	}
)

// NewChoose makes the screen.
func NewChoose(s *Session) *Choose {
	return &Choose{s: s, picked: map[etcdops.Procedure]map[string]bool{}}
}

// Step implements Screen.
func (c *Choose) Step() Step { return StepChoose }

// About implements Screen.
func (c *Choose) About() msg.Msg { return msg.M("ui.choose.about") }

// Place implements Screen.
func (c *Choose) Place() msg.Msg { return msg.Msg{} }

// Init implements Screen.
func (c *Choose) Init() tea.Cmd {
	return c.s.Do(func(ctx context.Context) tea.Msg {
		files, err := c.s.Back.Snapshots(ctx)
		return snapshotsListed{files: files, err: err}
	})
}

// Update implements Screen.
func (c *Choose) Update(m tea.Msg) tea.Cmd {
	switch m := m.(type) {
	case Tick:
		if c.s.Top() == Screen(c) && c.planning == 0 {
			return c.s.Refresh()
		}
	case snapshotsListed:
		c.snapDone, c.snapErr, c.snapshots = true, m.err, m.files
		sort.SliceStable(c.snapshots, func(i, j int) bool {
			return snapshotTime(c.snapshots[i]).After(snapshotTime(c.snapshots[j]))
		})
	case planned:
		if m.n != c.planning {
			return nil // the operator has gone on to something else
		}
		c.planning = 0
		if m.err != nil {
			c.s.Open(refusal(c.s, msg.M("ui.choose.plan-failed", "procedure", procedureName(m.req.Procedure)), m.err))
			return nil
		}
		return c.s.Push(NewReview(c.s, m.plan, m.req))
	}
	return nil
}

// options are the assessed procedures: the recommended one first, then what
// may be done, then the rest. A recommendation that is no procedure of ours
// (fix the cause) is put in front.
func (c *Choose) options() []backend.Assessed {
	r := c.s.Verdict.Recommended
	list := slices.Clone(c.s.Assessed)
	rank := func(a backend.Assessed) int {
		switch {
		case a.Procedure == r.Procedure:
			return 0
		case a.Verdict == backend.Allowed:
			return 1
		case a.Verdict == backend.Confirm:
			return 2
		}
		return 3
	}
	sort.SliceStable(list, func(i, j int) bool { return rank(list[i]) < rank(list[j]) })
	known := slices.ContainsFunc(list, func(a backend.Assessed) bool { return a.Procedure == r.Procedure })
	if !known && r.Procedure != "" {
		list = append([]backend.Assessed{{Procedure: r.Procedure, Nodes: r.Nodes, Verdict: backend.Allowed, Why: r.Why}}, list...)
	}
	return list
}

func (c *Choose) current() (backend.Assessed, bool) {
	list := c.options()
	if len(list) == 0 {
		return backend.Assessed{}, false
	}
	c.at = max(0, min(c.at, len(list)-1))
	return list[c.at], true
}

// byHand reports whether a procedure is not executed by novatui.
func byHand(p etcdops.Procedure) bool {
	return p == etcdops.ProcedureNone || p == etcdops.ProcedureFixCause
}

// choosesNodes reports whether a procedure acts on chosen nodes, not on all.
func choosesNodes(p etcdops.Procedure) bool {
	return p != etcdops.ProcedureRestore && p != etcdops.ProcedureSalvage && !byHand(p)
}

// nodes are the nodes that the procedure would act on.
func (c *Choose) nodes(a backend.Assessed) []string {
	picked, ok := c.picked[a.Procedure]
	if !ok {
		return a.Nodes
	}
	var out []string
	for _, n := range c.s.NodeNames() {
		if picked[n] {
			out = append(out, n)
		}
	}
	return out
}

// toggle takes a node in or out; a rejoin is for one node at a time.
func (c *Choose) toggle(a backend.Assessed, node string) {
	on := slices.Contains(c.nodes(a), node)
	picked := map[string]bool{}
	if a.Procedure != etcdops.ProcedureRejoin {
		for _, n := range c.nodes(a) {
			picked[n] = true
		}
	}
	picked[node] = !on
	c.picked[a.Procedure] = picked
}

// panes are what can be moved between for a procedure.
func (c *Choose) panes(a backend.Assessed) []int {
	switch {
	case byHand(a.Procedure):
		return []int{0}
	case a.Procedure == etcdops.ProcedureRestore && len(c.snapshots) > 0:
		return []int{0, 2}
	case choosesNodes(a.Procedure):
		return []int{0, 1}
	}
	return []int{0}
}

// Keys implements Screen.
func (c *Choose) Keys() keys.Map {
	a, ok := c.current()
	back := keys.Binding{Action: keys.Back, Help: "ui.key.back", Foot: true}
	if !ok {
		return keys.Map{back}
	}
	enter := "ui.key.toreview"
	switch {
	case byHand(a.Procedure):
		enter = "ui.key.evidence"
	case a.Verdict == backend.Blocked:
		enter = "ui.key.whyblocked"
	}
	m := keys.Map{{Action: keys.Enter, Help: enter, Foot: true}}
	if len(c.panes(a)) > 1 {
		help := "ui.key.nodes"
		if a.Procedure == etcdops.ProcedureRestore {
			help = "ui.key.snapshots"
		}
		m = append(m, keys.Binding{Action: keys.NextPane, Help: help, Foot: true})
	}
	if c.pane == 1 {
		m = append(m, keys.Binding{Action: keys.Toggle, Help: "ui.key.toggle", Foot: true})
	}
	return append(m,
		keys.Binding{Action: keys.Guards, Help: "ui.key.guards", Foot: true},
		keys.Binding{Action: keys.Runbook, Help: "ui.key.runbook", Foot: true}, back,
		keys.Binding{Action: keys.Evidence, Help: "ui.key.evidence"},
		keys.Binding{Action: keys.Again, Help: "ui.key.lookagain"},
		keys.Binding{Action: keys.Pick, Help: "ui.key.pickitem"},
		keys.Binding{Action: keys.Up, Quiet: true}, keys.Binding{Action: keys.Down, Quiet: true},
		keys.Binding{Action: keys.Right, Quiet: true}, keys.Binding{Action: keys.Left, Quiet: true},
		keys.Binding{Action: keys.PrevPane, Quiet: true},
	)
}

// Press implements Screen.
func (c *Choose) Press(p keys.Press) tea.Cmd {
	a, ok := c.current()
	if p.Action == keys.Back {
		return c.back()
	}
	if !ok {
		return nil
	}
	switch p.Action {
	case keys.Up, keys.Down:
		c.move(p.Action == keys.Down)
	case keys.NextPane, keys.PrevPane:
		c.nextPane(a)
	case keys.Left:
		c.pane = 0
	case keys.Pick:
		c.pick(a, p.Digit-1)
	case keys.Toggle:
		if c.pane == 1 {
			c.toggle(a, c.s.NodeNames()[c.nodeAt])
		}
	case keys.Guards:
		c.s.Open(c.guards(a))
	case keys.Runbook:
		c.s.Open(c.s.runbook(a.Procedure))
	case keys.Evidence:
		c.s.Open(c.causes())
	case keys.Again:
		return tea.Batch(c.s.Collect(), c.Init())
	case keys.Enter, keys.Right:
		return c.enter(a)
	}
	return nil
}

func (c *Choose) back() tea.Cmd {
	if c.pane != 0 {
		c.pane = 0
		return nil
	}
	c.planning = 0
	c.s.Pop()
	return nil
}

func (c *Choose) nextPane(a backend.Assessed) {
	panes := c.panes(a)
	c.pane = panes[(slices.Index(panes, c.pane)+1)%len(panes)]
}

func (c *Choose) move(down bool) {
	step := -1
	if down {
		step = 1
	}
	bounded := func(at, n int) int { return max(0, min(at+step, n-1)) }
	switch c.pane {
	case 0:
		c.at = bounded(c.at, len(c.options()))
	case 1:
		c.nodeAt = bounded(c.nodeAt, len(c.s.Info.Nodes))
	case 2:
		c.snapAt = bounded(c.snapAt, len(c.snapshots))
	}
}

func (c *Choose) pick(a backend.Assessed, i int) {
	switch {
	case c.pane == 0 && i < len(c.options()):
		c.at = i
	case c.pane == 1 && i < len(c.s.Info.Nodes):
		c.nodeAt = i
		c.toggle(a, c.s.NodeNames()[i])
	case c.pane == 2 && i < len(c.snapshots):
		c.snapAt = i
	}
}

func (c *Choose) enter(a backend.Assessed) tea.Cmd {
	switch {
	case c.planning != 0:
		return nil
	case byHand(a.Procedure):
		c.s.Open(c.causes())
		return nil
	case a.Verdict == backend.Blocked:
		c.s.Open(c.guards(a))
		return nil
	case a.Procedure == etcdops.ProcedureRestore && len(c.snapshots) == 0:
		c.s.Flash(msg.M("ui.choose.nosnapshot"))
		return nil
	case a.Procedure == etcdops.ProcedureRestore && c.pane == 0:
		c.pane = 2 // the snapshot is chosen in sight, never by default alone
		return nil
	}
	req := backend.PlanRequest{Procedure: a.Procedure, Nodes: c.nodes(a)}
	if choosesNodes(a.Procedure) && len(req.Nodes) == 0 {
		c.pane = 1
		c.s.Flash(msg.M("ui.choose.nonode"))
		return nil
	}
	if a.Procedure == etcdops.ProcedureRestore {
		snap := c.snapshots[c.snapAt]
		req.Snapshot, req.SnapshotNode = snap.Path, snap.Node
	}
	c.asked++
	c.planning = c.asked
	n := c.asked
	return c.s.Do(func(ctx context.Context) tea.Msg {
		plan, err := c.s.Back.Plan(ctx, req)
		return planned{n: n, plan: plan, err: err, req: req}
	})
}

// guards opens one procedure with all its guards.
func (c *Choose) guards(a backend.Assessed) overlay.Overlay {
	return overlay.NewViewer(c.s.Kit, msg.M("ui.guards.of", "procedure", procedureName(a.Procedure)), func(w int) []string {
		return c.s.withGrounds(c.s.assessment(a, w), a.Nodes, w)
	})
}

// causes opens everything that is wrong, with what to do about it.
func (c *Choose) causes() overlay.Overlay {
	return overlay.NewViewer(c.s.Kit, msg.M("ui.causes.title"), func(w int) []string {
		out := c.s.groundsOf(nil, w)
		if len(out) == 0 {
			return c.s.para(theme.Plain, msg.M("ui.causes.none"), w, 3)
		}
		return out
	})
}
