package overlay

import (
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Prompt asks what a transport wants to know: whether a host key is the right
// one, a passphrase, a password, a code. An empty answer is a no.
type Prompt struct {
	Kit
	q      backend.Question
	editor Editor
	hint   msg.Msg
}

// NewPrompt makes a prompt for a question.
func NewPrompt(k Kit, q backend.Question) *Prompt {
	return &Prompt{Kit: k, q: q, editor: Editor{Hidden: q.Secret}}
}

// Replied says that a question was answered or declined.
type Replied struct{}

// Title implements Overlay.
func (p *Prompt) Title() msg.Msg {
	switch p.q.Kind {
	case "host-key", "passphrase", "password", "code", "sudo":
		return msg.M("ui.prompt."+p.q.Kind+".title", "node", p.q.Node)
	}
	return msg.M("ui.prompt.other.title", "node", p.q.Node)
}

func (p *Prompt) hostKey() bool { return p.q.Kind == "host-key" }

// choice reports whether the answer is a yes or a no.
func (p *Prompt) choice() bool { return p.hostKey() || p.q.Kind == "sudo" }

// Keys implements Overlay.
func (p *Prompt) Keys() keys.Map {
	yes := keys.Binding{Action: keys.Enter, Help: "ui.key.accept", Foot: true}
	switch {
	case p.hostKey():
		yes = keys.Binding{Action: keys.Copy, Help: "ui.key.trust", Foot: true}
	case p.choice():
		yes = keys.Binding{Action: keys.Copy, Help: "ui.key.try-again", Foot: true}
	}
	return keys.Map{yes, {Action: keys.Back, Help: "ui.key.decline", Foot: true}}
}

// Press implements Overlay.
func (p *Prompt) Press(k tea.KeyPressMsg) (bool, tea.Cmd) {
	stroke := k.Keystroke()
	switch {
	case stroke == "esc" || stroke == "ctrl+c":
		return true, p.reply("", false)
	case p.choice():
		switch {
		case keys.Is(k, keys.Copy): // y
			return true, p.reply("yes", true)
		case keys.Is(k, keys.NextHit): // n
			return true, p.reply("", false)
		}
		p.hint = msg.M("ui.prompt." + p.q.Kind + ".press")
		return false, nil
	case stroke == "ctrl+d" && p.editor.Value() == "":
		return true, p.reply("", false)
	case stroke == "enter":
		if p.editor.Value() == "" {
			p.hint = msg.M("ui.prompt.empty")
			return false, nil
		}
		answer := p.editor.Value()
		p.editor = Editor{Hidden: true}
		return true, p.reply(answer, true)
	}
	p.editor.Press(k)
	return false, nil
}

// reply answers outside Update: the transport may be slow to take it.
func (p *Prompt) reply(answer string, ok bool) tea.Cmd {
	q := p.q
	return func() tea.Msg {
		q.Reply(answer, ok)
		return Replied{}
	}
}

// Paste implements Overlay.
func (p *Prompt) Paste(s string) {
	if !p.choice() {
		p.editor.Insert(s)
	}
}

// Lines implements Overlay.
func (p *Prompt) Lines(w, h int) []string {
	var body []string
	say := func(token theme.Token, m msg.Msg) {
		for _, l := range text.Wrap(p.P.S(m), w) {
			body = append(body, p.T.S(token, l))
		}
	}
	if p.hostKey() {
		say(theme.Strong, msg.M("ui.prompt.host-key.text", "node", p.q.Node, "host", p.q.Host))
		body = append(body, "", "  "+p.T.S(theme.Accent, text.Clean(p.q.KeyType)))
		for _, l := range text.Wrap(text.Clean(p.q.Fingerprint), w-2) {
			body = append(body, "  "+p.T.S(theme.Strong, l))
		}
		body = append(body, "")
		say(theme.Plain, msg.M("ui.prompt.host-key.compare"))
		tail := p.tail(msg.M("ui.prompt.host-key.press"), w)
		return fitAbove(body, tail, h)
	}
	if p.choice() {
		say(theme.Strong, msg.M("ui.prompt.sudo.text", "text", p.q.Text))
		body = append(body, "")
		say(theme.Plain, msg.M("ui.prompt.sudo.wait"))
		return fitAbove(body, p.tail(msg.M("ui.prompt.sudo.press"), w), h)
	}
	kind := p.q.Kind
	if !p.P.Has("ui.prompt." + kind + ".text") {
		kind = "other"
	}
	say(theme.Strong, msg.M("ui.prompt."+kind+".text", "node", p.q.Node, "host", p.q.Host, "subject", text.Clean(p.q.Subject)))
	if p.q.Secret {
		say(theme.Dim, msg.M("ui.prompt.hidden"))
	}
	prompt := p.T.Glyph(theme.Cursor) + " "
	tail := []string{p.T.S(theme.Accent, prompt) + p.editor.View(p.T.Glyph(theme.Caret), w-text.Width(prompt))}
	if !p.hint.Zero() {
		tail = append(tail, p.tail(p.hint, w)...)
	}
	return fitAbove(body, tail, h)
}

func (p *Prompt) tail(m msg.Msg, w int) []string {
	var out []string
	for _, l := range text.Wrap(p.P.S(m), w) {
		out = append(out, p.T.S(theme.Warn, l))
	}
	return out
}
