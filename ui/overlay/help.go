package overlay

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// NewHelp makes the help of a screen: what it is for, then its keys, then
// those that work everywhere, then what the marks mean.
func NewHelp(k Kit, about msg.Msg, here, everywhere keys.Map) *Viewer {
	return NewViewer(k, msg.M("ui.help.title"), func(w int) []string {
		var out []string
		for _, l := range text.Wrap(k.P.S(about), w) {
			out = append(out, k.T.S(theme.Strong, l))
		}
		out = append(out, "")
		out = append(out, keyLines(k, here, w)...)
		out = append(out, "", k.T.S(theme.Dim, k.P.T("ui.help.everywhere")))
		out = append(out, keyLines(k, everywhere, w)...)
		out = append(out, "", k.T.S(theme.Dim, k.P.T("ui.help.marks")))
		for _, m := range []struct {
			mark  theme.Mark
			token theme.Token
			id    string
		}{
			{theme.OK, theme.Good, "ui.help.mark.ok"}, {theme.Fail, theme.Bad, "ui.help.mark.fail"},
			{theme.Busy, theme.Accent, "ui.help.mark.busy"}, {theme.Caution, theme.Warn, "ui.help.mark.warn"},
			{theme.Unknown, theme.Warn, "ui.help.mark.unknown"}, {theme.Idle, theme.Dim, "ui.help.mark.idle"},
		} {
			out = append(out, text.Cut("  "+k.T.S(m.token, text.Left(k.T.Glyph(m.mark), 12))+" "+k.P.T(m.id), w))
		}
		for _, l := range text.Wrap(k.P.T("ui.help.layout"), w) {
			out = append(out, k.T.S(theme.Dim, l))
		}
		return out
	})
}

func keyLines(k Kit, m keys.Map, w int) []string {
	var out []string
	for _, b := range m {
		if b.Quiet {
			continue
		}
		out = append(out, text.Cut("  "+k.T.S(theme.Accent, text.Left(k.AllKeys(b.Action), 16))+" "+k.P.T(b.Help), w))
	}
	return out
}
