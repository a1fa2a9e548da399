package ui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/screens"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// world is what the model needs from outside, so that tests can be it.
type world struct {
	now   func() time.Time
	after func(time.Duration, func(time.Time) tea.Msg) tea.Cmd
	do    func(func(context.Context) tea.Msg) tea.Cmd
	send  func(tea.Msg)
}

// model is the root: it owns the session, routes keys and draws the frame.
type model struct {
	s             *screens.Session
	w, h          int
	askBackground bool
	leaving       bool // the operator said so; only then may the program quit
	leaveAtEnd    bool // as soon as the run has ended
}

// questionAsked carries a transport's question into Update.
type (
	questionAsked struct {
		q   backend.Question
		err error
	}
	questionGone struct{ prompt *overlay.Prompt }
	quit         struct{}
)

func newModel(b backend.Backend, l look, w world) *model {
	pull := 33 * time.Millisecond
	if l.ssh {
		pull = 100 * time.Millisecond
	}
	s := &screens.Session{
		Kit:  overlay.Kit{P: text.New(l.lang), T: theme.New(l.colour, l.ascii)},
		Back: b, Info: b.Cluster(),
		Now: w.now, After: w.after, Do: w.do, Send: w.send,
		PullEvery: pull, Opened: w.now(),
	}
	return &model{s: s, askBackground: l.askBackground}
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.s.Push(screens.NewConnect(m.s)), m.tick(), m.nextQuestion()}
	if m.askBackground && m.s.T.Colour {
		cmds = append(cmds, tea.RequestBackgroundColor)
	}
	return tea.Batch(cmds...)
}

func (m *model) tick() tea.Cmd {
	return m.s.After(time.Second, func(t time.Time) tea.Msg { return screens.Tick{At: t} })
}

func (m *model) nextQuestion() tea.Cmd {
	return m.s.Do(func(ctx context.Context) tea.Msg {
		q, err := m.s.Back.NextQuestion(ctx)
		return questionAsked{q: q, err: err}
	})
}

// filter lets nothing but the operator's own decision end the program.
func (m *model) filter(_ tea.Model, t tea.Msg) tea.Msg {
	switch t.(type) {
	case tea.QuitMsg:
		if !m.leaving {
			return quit{}
		}
	case tea.InterruptMsg:
		return quit{}
	}
	return t
}

// Update implements tea.Model.
func (m *model) Update(t tea.Msg) (tea.Model, tea.Cmd) {
	switch t := t.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = t.Width, t.Height
		return m, nil
	case tea.BackgroundColorMsg:
		m.s.T.Set(t.IsDark())
		return m, nil
	case tea.KeyPressMsg:
		return m, m.key(t)
	case tea.PasteMsg:
		m.paste(t.Content)
		return m, nil
	case overlay.Copy:
		m.s.Flash(msg.M("ui.copied"))
		return m, tea.SetClipboard(t.Text)
	case quit:
		m.askQuit()
		return m, nil
	}
	return m, tea.Batch(m.handle(t), m.broadcast(t), m.leave())
}

// handle takes the messages that are the root's before the screens see them.
func (m *model) handle(t tea.Msg) tea.Cmd {
	switch t := t.(type) {
	case screens.Tick:
		return m.tick()
	case screens.FactsCollected:
		m.s.Apply(t)
	case screens.Saved:
		if t.Err != nil {
			m.s.Flash(msg.M("ui.save-failed", "error", t.Err.Error()))
		} else {
			m.s.Flash(msg.M("ui.saved", "path", t.Path))
		}
	case questionAsked:
		return m.ask(t)
	case questionGone:
		m.s.Overlays.Close(t.prompt)
	}
	return nil
}

// broadcast gives a message to every screen: the answer to a question may
// come when its screen is no longer on top.
func (m *model) broadcast(t tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for _, sc := range append([]screens.Screen(nil), m.s.Stack()...) {
		cmds = append(cmds, sc.Update(t))
	}
	return tea.Batch(cmds...)
}

// leave ends the program once a run that was to be waited for has ended.
func (m *model) leave() tea.Cmd {
	if m.leaveAtEnd && !m.s.Running {
		m.leaving = true
		return tea.Quit
	}
	return nil
}

// ask shows a question; the next one is waited for at once, and shown below.
func (m *model) ask(t questionAsked) tea.Cmd {
	if t.err != nil {
		return nil // there will be no more
	}
	prompt := overlay.NewPrompt(m.s.Kit, t.q)
	m.s.Overlays.OpenByItself(prompt, m.s.Now())
	cmds := []tea.Cmd{m.nextQuestion()}
	if gone := t.q.Gone; gone != nil {
		cmds = append(cmds, m.s.Do(func(ctx context.Context) tea.Msg {
			select {
			case <-gone:
			case <-ctx.Done():
			}
			return questionGone{prompt: prompt}
		}))
	}
	return tea.Batch(cmds...)
}

// everywhere are the actions of every screen.
var everywhere = keys.Map{
	{Action: keys.Help, Help: "ui.key.help", Foot: true},
	{Action: keys.Palette, Help: "ui.key.palette"},
	{Action: keys.Language, Help: "ui.key.language"},
	{Action: keys.Repaint, Help: "ui.key.repaint"},
	{Action: keys.Suspend, Help: "ui.key.suspend"},
	{Action: keys.Quit, Help: "ui.key.quit"},
}

// key routes a key press: to the overlay on top, to a screen that takes text,
// or as an action to the screen or the root.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch k.Keystroke() {
	case "ctrl+l":
		return tea.ClearScreen
	case "ctrl+z":
		return tea.Suspend
	}
	if _, ok := m.s.Overlays.Top(); ok {
		return m.s.Overlays.Press(k, m.s.Now())
	}
	top := m.s.Top()
	if typist, ok := top.(screens.Typist); ok && typist.Typing() {
		return typist.Type(k)
	}
	if p, ok := top.Keys().Find(k); ok && p.Action != keys.Quit {
		return top.Press(p)
	}
	if p, ok := everywhere.Find(k); ok {
		return m.act(p.Action)
	}
	return nil
}

// act does an action of everywhere.
func (m *model) act(a keys.Action) tea.Cmd {
	switch a {
	case keys.Help:
		m.s.Open(overlay.NewHelp(m.s.Kit, m.s.Top().About(), m.s.Top().Keys(), everywhere))
	case keys.Palette:
		m.s.Open(overlay.NewPalette(m.s.Kit, append(m.s.Top().Keys(), everywhere...), m.run))
	case keys.Language:
		m.s.P.Switch()
	case keys.Repaint:
		return tea.ClearScreen
	case keys.Suspend:
		return tea.Suspend
	case keys.Quit:
		m.askQuit()
	}
	return nil
}

// run does an action chosen from the palette.
func (m *model) run(a keys.Action) tea.Cmd {
	for _, b := range everywhere {
		if b.Action == a {
			return m.act(a)
		}
	}
	return m.s.Top().Press(keys.Press{Action: a})
}

func (m *model) paste(content string) {
	if _, ok := m.s.Overlays.Top(); ok {
		m.s.Overlays.Paste(content, m.s.Now())
		return
	}
	if typist, ok := m.s.Top().(screens.Typist); ok && typist.Typing() {
		typist.Paste(content)
	}
}

// askQuit asks before the program ends; while a run goes on it can only be
// left at a boundary.
func (m *model) askQuit() {
	now := func() tea.Cmd {
		m.leaving = true
		return tea.Quit
	}
	if !m.s.Running {
		m.s.Open(overlay.NewMenu(m.s.Kit, msg.M("ui.quit.title"), msg.Msg{}, []overlay.Item{
			{Label: msg.M("ui.quit.yes"), Do: now}, {Label: msg.M("ui.quit.no")},
		}))
		return
	}
	m.s.Open(overlay.NewMenu(m.s.Kit, msg.M("ui.quit.running"), msg.M("ui.quit.running-text"), []overlay.Item{
		{Label: msg.M("ui.quit.stay")},
		{Label: msg.M("ui.quit.stop"), Note: msg.M("ui.quit.stop-note"), Do: func() tea.Cmd {
			m.leaveAtEnd = true
			if m.s.Run != nil {
				m.s.Run.Stop()
			}
			m.s.Flash(msg.M("ui.stop.stopping"))
			return m.leave()
		}},
	}))
}
