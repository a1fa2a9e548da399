package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops/diagnosis"
)

// explainSchema is the version of the JSON of `novatui explain -o json`.
const explainSchema = "novatui/explain/v1"

// explainJSON is that JSON: the contract in docs/architecture.md.
type explainJSON struct {
	Schema  string             `json:"schema"`
	Remedy  string             `json:"remedy"`
	Verdict string             `json:"verdict"`
	Why     string             `json:"why"`
	Causes  []explainCauseJSON `json:"causes"`
}

type explainCauseJSON struct {
	ID         string                        `json:"id"`
	Title      string                        `json:"title"`
	Confidence string                        `json:"confidence"`
	Evidence   []diagnosis.ExplainedEvidence `json:"evidence"`
	Why        string                        `json:"why"`
	Do         []string                      `json:"do"`
	DoNot      []string                      `json:"do_not"`
}

func explanationAsJSON(x diagnosis.Explanation, pr *msg.Printer) explainJSON {
	j := explainJSON{
		Schema: explainSchema, Remedy: string(x.Remedy), Verdict: pr.S(x.Verdict), Why: pr.S(x.Why),
		Causes: []explainCauseJSON{},
	}
	for _, c := range x.Causes {
		cj := explainCauseJSON{
			ID: c.ID, Title: pr.S(c.Title), Confidence: string(c.Confidence), Evidence: c.Evidence,
			Why: pr.S(c.Why), Do: texts(pr, c.Do), DoNot: texts(pr, c.DoNot),
		}
		if cj.Evidence == nil {
			cj.Evidence = []diagnosis.ExplainedEvidence{}
		}
		j.Causes = append(j.Causes, cj)
	}
	return j
}

// writeExplanation prints an explanation for people: the verdict, what it
// rests on, what to do and not to do, and what else was found.
func writeExplanation(w io.Writer, x diagnosis.Explanation, pr *msg.Printer) error {
	var b strings.Builder
	b.WriteString(wrap(pr.S(x.Verdict), "", textWidth) + "\n")
	b.WriteString(wrap(pr.S(x.Why), "", textWidth) + "\n")
	for i, c := range x.Causes {
		if i == 1 {
			b.WriteString("\n" + pr.T("explain.behind") + "\n")
		}
		head := pr.T("explain.cause", "title", pr.S(c.Title), "sure", pr.T("cmd.confidence."+string(c.Confidence)), "id", c.ID)
		b.WriteString("\n" + oneLine(head) + "\n")
		b.WriteString(wrap(pr.S(c.Why), "  ", textWidth) + "\n")
		for _, e := range c.Evidence {
			if text := evidenceText(e, pr); text != "" {
				b.WriteString("  | " + text + "\n")
			}
		}
		if i > 0 {
			continue // what to do is said once, for the first
		}
		for _, do := range c.Do {
			b.WriteString(bullet(pr.S(do), "  + ", textWidth) + "\n")
		}
		for _, not := range c.DoNot {
			b.WriteString(bullet(pr.T("cmd.diagnose.do-not", "what", pr.S(not)), "  - ", textWidth) + "\n")
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}

// evidenceText quotes a line, with its file and number so that it can be found.
func evidenceText(e diagnosis.ExplainedEvidence, pr *msg.Printer) string {
	if e.Text == "" {
		return ""
	}
	where := e.File
	if where == "" {
		where = e.Source
	}
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	text := where + ": " + oneLine(e.Text)
	if e.Count > 1 {
		text += " " + pr.T("explain.again", "n", e.Count, "line", e.LastLine)
	}
	return text
}
