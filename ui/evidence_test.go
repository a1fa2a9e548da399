package ui

import (
	"fmt"
	"strings"
	"testing"
)

// TestEvidenceIsOneKeyAway from every claim, and stands among the lines that
// were written around it: the member's card, the causes, the recommendation and
// the blocked procedures, the guards of a plan.
func TestEvidenceIsOneKeyAway(t *testing.T) {
	around := []string{" 1 14:03:00", " 2 14:03:01", "> 3 14:03:14 panic: failed to open database", " 4 14:03:14"}
	for _, size := range []struct{ w, h int }{{80, 24}, {200, 50}} {
		for _, lang := range []string{"en", "ru"} {
			t.Run(fmt.Sprintf("%dx%d/%s", size.w, size.h, lang), func(t *testing.T) {
				d := drive(t, lang, "one-down", size.w, size.h, nil)
				d.toDiagnose().press("e")
				d.shows(around...)
				d.hides("ui.evidence")
				d.press("esc", "g")
				d.reaches(around...)
				d = drive(t, lang, "one-down", size.w, size.h, nil)
				d.toChoose().press("e")
				d.shows(around...)
				d.press("esc", "g") // what speaks for and against one procedure
				d.reaches(around...)
				d = drive(t, lang, "one-down", size.w, size.h, nil)
				d.toReview().press("g")
				d.reaches(around...)
			})
		}
	}
}

// reaches scrolls an open viewer to its end, and wants every part on the way.
func (d *driver) reaches(parts ...string) {
	d.t.Helper()
	var seen strings.Builder
	for range 40 {
		seen.WriteString(strings.Join(strings.Fields(d.screen()), " ") + " ")
		d.press("pgdown")
	}
	for _, p := range parts {
		if !strings.Contains(seen.String(), p) {
			d.t.Fatalf("%q cannot be reached in\n%s", p, d.screen())
		}
	}
}
