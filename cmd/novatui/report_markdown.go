package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows/engine"
)

// markdown is the report in one language.
func (r runReport) markdown(pr *msg.Printer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", md(pr.S(r.Title)))
	fmt.Fprintf(&b, "**%s**\n\n", md(pr.S(r.Report.Headline)))
	item := func(id, value string) {
		if value != "" {
			fmt.Fprintf(&b, "- %s: %s\n", pr.T("report.head."+id), md(value))
		}
	}
	item("cluster", r.Cluster+" ("+r.Environment+")")
	item("run", r.Run)
	item("started", stamp(r.Started))
	item("ended", stamp(r.Ended))
	item("looked", stamp(r.LookedAt))
	outcome := r.Outcome
	if outcome == "" {
		outcome = "running"
	}
	item("outcome", pr.T("cmd.outcome."+string(outcome)))
	item("error", r.Error)
	for _, o := range r.Approval {
		item("override", o)
	}

	section := func(id string) { fmt.Fprintf(&b, "\n## %s\n\n", pr.T("report.section."+id)) }
	section("proofs")
	if len(r.Report.Proofs) == 0 {
		fmt.Fprintf(&b, "%s\n", pr.T("report.none.proofs"))
	}
	for _, p := range r.Report.Proofs {
		writeProof(&b, p, pr)
	}
	section("changes")
	if len(r.Report.Changes) == 0 {
		fmt.Fprintf(&b, "%s\n", pr.T("report.none.changes"))
	}
	for _, c := range r.Report.Changes {
		fmt.Fprintf(&b, "- %s: %s\n", md(c.Node), md(pr.S(c.Text)))
	}
	section("lost")
	if len(r.Report.Lost) == 0 {
		fmt.Fprintf(&b, "%s\n", pr.T("report.none.lost"))
	}
	for _, m := range r.Report.Lost {
		fmt.Fprintf(&b, "- %s\n", md(pr.S(m)))
	}
	section("todo")
	if len(r.Report.Todo) == 0 {
		fmt.Fprintf(&b, "%s\n", pr.T("report.none.todo"))
	}
	for _, t := range r.Report.Todo {
		fmt.Fprintf(&b, "- %s\n", md(pr.S(t.Text)))
	}
	section("files")
	for _, f := range r.Report.Files {
		where := f.Path
		if f.Node != "" {
			where = f.Node + ":" + f.Path
		}
		fmt.Fprintf(&b, "- %s: %s\n", md(pr.S(f.Title)), code(where))
	}
	r.writeCleanup(&b, pr)
	section("timeline")
	r.writeTimeline(&b, pr)
	return b.String()
}

func writeProof(b *strings.Builder, p backend.Proof, pr *msg.Printer) {
	fmt.Fprintf(b, "- **%s** %s: %s\n", pr.T("report.result."+string(p.Result)), md(pr.S(p.Title)), md(pr.S(p.Detail)))
	for _, line := range p.Evidence {
		fmt.Fprintf(b, "  - %s\n", code(line))
	}
}

func (r runReport) writeCleanup(b *strings.Builder, pr *msg.Printer) {
	if len(r.Report.Cleanup) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n", pr.T("report.cleanup"))
	for _, c := range r.Report.Cleanup {
		fmt.Fprintf(b, "- %s: %s\n", md(c.Node), code(c.Line))
	}
}

func (r runReport) writeTimeline(b *strings.Builder, pr *msg.Printer) {
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n|---|---|---|---|---|\n", pr.T("report.col.time"),
		pr.T("report.col.node"), pr.T("report.col.step"), pr.T("report.col.status"), pr.T("report.col.took"))
	for _, s := range r.Timeline {
		at, took := "", ""
		if !s.Start.IsZero() {
			at = s.Start.Local().Format(time.TimeOnly)
		}
		if !s.Start.IsZero() && s.End.After(s.Start) {
			took = s.End.Sub(s.Start).Round(10 * time.Millisecond).String()
		}
		status := pr.T("report.status." + string(s.Status))
		if s.Error != "" && s.Status != engine.StatusDone {
			status += ": " + s.Error
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", at, md(s.Node), md(pr.S(s.Title)), md(status), took)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// md makes text from elsewhere safe within one line of Markdown.
func md(s string) string {
	return strings.NewReplacer("|", "\\|", "`", "'", "<", "&lt;", "*", "\\*", "_", "\\_").Replace(oneLine(s))
}

// code puts text between backquotes, whatever is in it.
func code(s string) string {
	return "`` " + strings.ReplaceAll(oneLine(s), "``", "' '") + " ``"
}
