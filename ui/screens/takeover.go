package screens

import (
	"errors"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// refused says why something was not begun. When somebody else holds the
// cluster and gives no sign of life, it offers to take the cluster over, after
// its name was typed; again is then what was refused.
func refused(s *Session, title msg.Msg, err error, again func() tea.Cmd) overlay.Overlay {
	var held *engine.LockedError
	taker, can := s.Back.(backend.Taker)
	if !errors.As(err, &held) || !held.Stale || !can {
		return refusal(s, title, err)
	}
	field := overlay.Field{Label: msg.M("ui.confirm.name", "cluster", s.Info.Name), Want: s.Info.Name}
	return overlay.NewConfirm(s.Kit, msg.M("ui.takeover.title"), func(w int) []string {
		return append(s.para(theme.Warn, engine.Explain(held), w, 8), s.para(theme.Plain, msg.M("ui.takeover.text"), w, 4)...)
	}, []overlay.Field{field}, func([]string) tea.Cmd {
		taker.TakeOver(held)
		return again()
	})
}
