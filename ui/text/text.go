// Package text turns messages into the text of the chosen language, and text
// into what fits a terminal: measured in cells, cut with an ellipsis, free of
// anything that would move the cursor.
package text

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
)

// Printer prints messages in a language that can be changed at any time. It is
// used from the program's Update and View only, hence without a lock.
type Printer struct{ p *msg.Printer }

// New makes a Printer for a language of msg.Languages.
func New(lang string) *Printer { return &Printer{p: msg.New(lang)} }

// Lang is the current language.
func (p *Printer) Lang() string { return p.p.Lang() }

// Switch goes on to the next language.
func (p *Printer) Switch() {
	for i, l := range msg.Languages {
		if l == p.p.Lang() {
			p.p = msg.New(msg.Languages[(i+1)%len(msg.Languages)])
			return
		}
	}
}

// S is the text of a message, on one line and clean.
func (p *Printer) S(m msg.Msg) string { return Clean(p.p.S(m)) }

// T is S for a message made on the spot.
func (p *Printer) T(id string, pairs ...any) string { return p.S(msg.M(id, pairs...)) }

// Has reports whether the catalogue knows an id. It lets a screen show a
// value that is not in its list (a new platform, an unforeseen kind of error)
// as it came.
func (p *Printer) Has(id string) bool {
	got := p.p.T(id)
	return got != "" && !strings.HasPrefix(got, id)
}

// Or is the text of id, or else fallback as it is.
func (p *Printer) Or(id, fallback string) string {
	if p.Has(id) {
		return p.T(id)
	}
	return Clean(fallback)
}
