package screens

import (
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/workflows/engine"
)

// Keys implements Screen.
func (e *Execute) Keys() keys.Map {
	var m keys.Map
	if e.ended {
		enter := "ui.key.choose"
		if e.result.Outcome == engine.OutcomeDone {
			enter = "ui.key.toreport"
		}
		m = keys.Map{{Action: keys.Enter, Help: enter, Foot: true}, {Action: keys.Evidence, Help: "ui.key.steps", Foot: true}}
	} else {
		pause := "ui.key.pause"
		if e.paused || e.pausing() {
			pause = "ui.key.continue"
		}
		m = keys.Map{{Action: keys.Pause, Help: pause, Foot: true}}
	}
	zoom := "ui.key.zoom"
	if e.zoom {
		zoom = "ui.key.unzoom"
	}
	m = append(m, keys.Binding{Action: keys.Zoom, Help: zoom, Foot: true}, keys.Binding{Action: keys.NextPane, Help: "ui.key.pane", Foot: true})
	if !e.ended {
		m = append(m, keys.Binding{Action: keys.Evidence, Help: "ui.key.steps", Foot: true},
			keys.Binding{Action: keys.Stop, Help: "ui.key.stop", Foot: true}, keys.Binding{Action: keys.Abort, Help: "ui.key.abort"})
	}
	return append(m,
		keys.Binding{Action: keys.Follow, Help: "ui.key.follow"}, keys.Binding{Action: keys.Search, Help: "ui.key.search"},
		keys.Binding{Action: keys.NextHit, Help: "ui.key.nexthit"}, keys.Binding{Action: keys.PrevHit, Help: "ui.key.prevhit"},
		keys.Binding{Action: keys.SavePane, Help: "ui.key.savepane"}, keys.Binding{Action: keys.Copy, Help: "ui.key.copypane"},
		keys.Binding{Action: keys.Runbook, Help: "ui.key.runbook-stage"}, keys.Binding{Action: keys.Pick, Help: "ui.key.pickpane"},
		keys.Binding{Action: keys.Up, Quiet: true}, keys.Binding{Action: keys.Down, Quiet: true},
		keys.Binding{Action: keys.PageUp, Help: "ui.key.scroll"}, keys.Binding{Action: keys.PageDown, Quiet: true},
		keys.Binding{Action: keys.Home, Quiet: true}, keys.Binding{Action: keys.End, Quiet: true},
		keys.Binding{Action: keys.Left, Quiet: true}, keys.Binding{Action: keys.Right, Quiet: true},
		keys.Binding{Action: keys.PrevPane, Quiet: true}, keys.Binding{Action: keys.Back, Help: "ui.key.back"},
	)
}

// Press implements Screen.
func (e *Execute) Press(p keys.Press) tea.Cmd {
	pane := e.panes[e.nodes[e.at]]
	switch p.Action {
	case keys.NextPane:
		e.at = (e.at + 1) % len(e.nodes)
	case keys.PrevPane:
		e.at = (e.at + len(e.nodes) - 1) % len(e.nodes)
	case keys.Pick:
		if p.Digit <= len(e.nodes) {
			e.at = p.Digit - 1
		}
	case keys.Up, keys.Down:
		e.upDown(p.Action == keys.Down)
	case keys.PageUp:
		pane.Scroll(-pane.Page())
	case keys.PageDown:
		pane.Scroll(pane.Page())
	case keys.Home:
		pane.Home()
	case keys.End:
		pane.Follow(true)
	case keys.Left:
		pane.Sideways(-8)
	case keys.Right:
		pane.Sideways(8)
	case keys.Follow:
		pane.Follow(!pane.Following())
	case keys.Zoom:
		e.zoom = !e.zoom
	case keys.NextHit, keys.PrevHit:
		e.hit(p.Action == keys.NextHit)
	default:
		return e.pressMore(p.Action)
	}
	return nil
}

// upDown scrolls the pane, or moves between the choices once the run has
// stopped.
func (e *Execute) upDown(down bool) {
	step := -1
	if down {
		step = 1
	}
	if e.stopped() && !e.zoom {
		n := len(e.choices())
		e.choice = (e.choice + step + n) % n
		return
	}
	e.panes[e.nodes[e.at]].Scroll(step)
}

func (e *Execute) hit(newer bool) {
	direction := -1
	if newer {
		direction = 1
	}
	pane := e.panes[e.nodes[e.at]]
	if pane.Query() != "" && !pane.NextHit(direction) {
		e.s.Flash(msg.M("ui.execute.nohit", "query", pane.Query()))
	}
}

func (e *Execute) pressMore(a keys.Action) tea.Cmd {
	switch a {
	case keys.Pause:
		e.pause()
	case keys.Stop:
		e.s.Open(e.askStop())
	case keys.Abort:
		e.s.Open(e.askAbort())
	case keys.Search:
		e.search = &overlay.Editor{}
	case keys.SavePane:
		return e.savePane()
	case keys.Copy:
		return overlay.Copied(e.panes[e.nodes[e.at]].Text())
	case keys.Evidence:
		e.s.Open(overlay.NewViewer(e.s.Kit, msg.M("ui.execute.steps"), e.stepDetails))
	case keys.Runbook:
		if i := max(0, e.stage()); i < len(e.plan.Stages) {
			e.s.Open(e.s.stageText(e.plan.Stages[i]))
		}
	case keys.Back:
		return e.back()
	case keys.Enter:
		return e.enter()
	}
	return nil
}

func (e *Execute) back() tea.Cmd {
	switch {
	case e.zoom:
		e.zoom = false
	case e.panes[e.nodes[e.at]].Query() != "":
		e.panes[e.nodes[e.at]].Search("")
	case !e.ended:
		e.s.Flash(msg.M("ui.execute.stays"))
	default:
		return e.lookAgain()
	}
	return nil
}

// lookAgain goes back to the diagnosis with a fresh look.
func (e *Execute) lookAgain() tea.Cmd {
	e.s.BackTo(StepDiagnose)
	return e.s.Collect()
}

func (e *Execute) enter() tea.Cmd {
	if !e.ended {
		return nil
	}
	if e.result.Outcome == engine.OutcomeDone {
		return e.report()
	}
	return e.choices()[e.choice].do()
}

func (e *Execute) pause() {
	if e.ended {
		return
	}
	if e.paused || e.run.Pausing() {
		e.run.Continue()
		return
	}
	e.run.Pause()
}

func (e *Execute) askStop() overlay.Overlay {
	return overlay.NewMenu(e.s.Kit, msg.M("ui.stop.title"), msg.M("ui.stop.text"), []overlay.Item{
		{Label: msg.M("ui.stop.no")},
		{Label: msg.M("ui.stop.yes"), Note: msg.M("ui.stop.note"), Do: func() tea.Cmd {
			e.run.Stop()
			e.s.Flash(msg.M("ui.stop.stopping"))
			return nil
		}},
	})
}

// askAbort asks twice: an abort leaves outcomes unknown.
func (e *Execute) askAbort() overlay.Overlay {
	again := overlay.NewMenu(e.s.Kit, msg.M("ui.abort.title2"), msg.M("ui.abort.text2"), []overlay.Item{
		{Label: msg.M("ui.abort.no")},
		{Label: msg.M("ui.abort.yes2"), Do: func() tea.Cmd {
			e.run.Abort()
			e.s.Flash(msg.M("ui.abort.aborting"))
			return nil
		}},
	})
	return overlay.NewMenu(e.s.Kit, msg.M("ui.abort.title"), msg.M("ui.abort.text"), []overlay.Item{
		{Label: msg.M("ui.abort.no")},
		{Label: msg.M("ui.abort.stop"), Note: msg.M("ui.stop.note"), Do: func() tea.Cmd {
			e.run.Stop()
			e.s.Flash(msg.M("ui.stop.stopping"))
			return nil
		}},
		{Label: msg.M("ui.abort.yes"), Note: msg.M("ui.abort.note"), Do: func() tea.Cmd {
			e.s.Open(again)
			return nil
		}},
	})
}

// Typing implements Typist: the search in a pane.
func (e *Execute) Typing() bool { return e.search != nil }

// Type implements Typist.
func (e *Execute) Type(k tea.KeyPressMsg) tea.Cmd {
	switch k.Keystroke() {
	case "esc", "ctrl+c":
		e.search = nil
	case "enter":
		query := e.search.Value()
		e.search = nil
		if !e.panes[e.nodes[e.at]].Search(query) {
			e.s.Flash(msg.M("ui.execute.nohit", "query", query))
		}
	default:
		e.search.Press(k)
	}
	return nil
}

// Paste implements Typist.
func (e *Execute) Paste(s string) {
	if e.search != nil {
		e.search.Insert(s)
	}
}

// stopped reports that the run ended otherwise than well.
func (e *Execute) stopped() bool { return e.ended && e.result.Outcome != engine.OutcomeDone }

// choice is something that can be done after a run stopped.
type choice struct {
	label, note msg.Msg
	do          func() tea.Cmd
}

// choices are what can be done now, the safest first.
func (e *Execute) choices() []choice {
	later := func() tea.Cmd {
		e.s.Flash(msg.M("ui.stopped.later-note", "run", e.run.ID()))
		return nil
	}
	list := []choice{{msg.M("ui.stopped.look"), msg.M("ui.stopped.look-note"), e.lookAgain}}
	if e.result.Outcome != engine.OutcomeRefused && e.result.Outcome != engine.OutcomeLocked {
		list = append(list, choice{msg.M("ui.stopped.retry"), msg.M("ui.stopped.retry-note"), e.resume})
	}
	if e.canRollBack() {
		list = append(list, choice{msg.M("rollback.choice"), msg.M("rollback.choice-note"), e.rollBack})
	}
	list = append(list,
		choice{msg.M("ui.stopped.details"), msg.M("ui.stopped.details-note"), func() tea.Cmd { return e.pressMore(keys.Evidence) }},
		choice{msg.M("ui.stopped.report"), msg.M("ui.stopped.report-note"), e.report},
	)
	if e.result.Outcome != engine.OutcomeRefused && e.result.Outcome != engine.OutcomeLocked {
		list = append(list, choice{msg.M("ui.stopped.later", "run", e.run.ID()), msg.M("ui.stopped.later-note", "run", e.run.ID()), later})
	}
	return list
}
