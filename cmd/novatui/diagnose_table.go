package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows"
)

// textWidth is how wide headless text is set: what fits a ticket and 80
// columns. Tables may be wider, as etcdctl's are.
const textWidth = 79

// maxEvidence is how many evidence lines of a cause the table output shows;
// -o json has all.
const maxEvidence = 3

// writeDiagnosis prints a diagnosis for people: what matters in one sentence,
// the members, the causes with what they rest on, what to do.
func writeDiagnosis(w io.Writer, d diagnoseJSON, pr *msg.Printer) error {
	var b strings.Builder
	b.WriteString(wrap(d.Headline, "", textWidth) + "\n\n")
	if err := membersTable(&b, d, pr); err != nil {
		return err
	}
	for _, n := range d.Nodes {
		if n.Error != "" {
			b.WriteString(wrap(n.Name+": "+n.Error, "", textWidth) + "\n")
		}
	}
	for _, m := range d.Members {
		if !m.Healthy && m.Why != "" {
			b.WriteString(wrap(memberLabel(m)+": "+m.Why, "", textWidth) + "\n")
		}
	}
	for _, c := range d.Causes {
		writeCause(&b, c, pr)
	}
	writeAdvice(&b, d, pr)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the diagnosis: %w", err)
	}
	return nil
}

func memberLabel(m memberJSON) string {
	switch {
	case m.Name != "" && m.Node != "":
		return m.Name + " (" + m.Node + ")"
	case m.Name != "":
		return m.Name
	case m.Node != "":
		return m.Node
	}
	return m.ID
}

func membersTable(w io.Writer, d diagnoseJSON, pr *msg.Printer) error {
	t := textTable{header: []string{
		pr.T("cmd.col.node"), pr.T("cmd.col.member"), pr.T("cmd.col.id"), pr.T("cmd.col.state"),
		pr.T("cmd.col.leader"), pr.T("cmd.col.version"), ">" + pr.T("cmd.col.term"), ">" + pr.T("cmd.col.applied"),
		">" + pr.T("cmd.col.revision"), ">" + pr.T("cmd.col.db"), ">" + pr.T("cmd.col.hash"),
	}}
	for _, m := range d.Members {
		row := []string{m.Node, m.Name, m.ID, stateText(pr, m.State), "", m.Version, "", "", "", "", m.Hash}
		if m.Leader {
			row[4] = pr.T("common.yes")
		}
		if m.RaftTerm > 0 {
			row[6] = strconv.FormatUint(m.RaftTerm, 10)
			row[7] = strconv.FormatUint(m.RaftApplied, 10)
			row[8] = strconv.FormatInt(m.Revision, 10)
			row[9] = bytesText(m.DBSizeBytes)
		}
		for i := range row {
			if row[i] == "" && i != 4 {
				row[i] = "-"
			}
		}
		t.add(row...)
	}
	return t.write(w)
}

// stateText is a member's state in words.
func stateText(pr *msg.Printer, state string) string {
	return pr.T("state." + state)
}

func writeCause(b *strings.Builder, c causeJSON, pr *msg.Printer) {
	where := c.Node
	if where == "" {
		where = pr.T("cmd.diagnose.cluster")
	}
	title := c.Title
	if title == "" {
		title = c.ID
	}
	fmt.Fprintf(b, "\n%s\n", oneLine(pr.T("cmd.diagnose.cause", "where", where, "title", title,
		"id", c.ID, "confidence", pr.T("cmd.confidence."+c.Confidence))))
	if c.Why != "" {
		b.WriteString(wrap(c.Why, "  ", textWidth) + "\n")
	}
	for i, e := range c.Evidence {
		if i == maxEvidence {
			fmt.Fprintf(b, "  | %s\n", pr.T("cmd.diagnose.more", "n", len(c.Evidence)-i))
			break
		}
		source := e.Source
		if e.Line > 0 {
			source += ":" + strconv.Itoa(e.Line)
		}
		// Evidence is quoted as it is and not wrapped: it must stay greppable.
		fmt.Fprintf(b, "  | %s: %s\n", source, oneLine(e.Text))
	}
	for _, do := range c.Do {
		b.WriteString(bullet(do, "  + ", textWidth) + "\n")
	}
	for _, not := range c.DoNot {
		b.WriteString(bullet(pr.T("cmd.diagnose.do-not", "what", not), "  - ", textWidth) + "\n")
	}
}

func writeAdvice(b *strings.Builder, d diagnoseJSON, pr *msg.Printer) {
	name := pr.T("cmd.procedure." + d.Recommended.Procedure)
	b.WriteString("\n")
	line := pr.T("cmd.diagnose.recommended", "procedure", name)
	if len(d.Recommended.Nodes) > 0 {
		line = pr.T("cmd.diagnose.recommended-on", "procedure", name, "nodes", d.Recommended.Nodes)
	}
	b.WriteString(line + "\n")
	if d.Recommended.Why != "" {
		b.WriteString(wrap(d.Recommended.Why, "  ", textWidth) + "\n")
	}
	for _, p := range d.Procedures {
		if p.Name == d.Recommended.Procedure && p.Verdict == workflows.Allowed {
			continue
		}
		line := p.Name + ": " + pr.T("cmd.verdict."+p.Verdict)
		if p.Why != "" {
			line += ": " + p.Why
		}
		b.WriteString(wrap(line, "  ", textWidth) + "\n")
	}
	if r := d.Recommended; planProcedure(etcdops.Procedure(r.Procedure)) {
		writeSnapshots(b, d, pr)
		fmt.Fprintf(b, "\n%s\n  %s\n", pr.T("cmd.diagnose.next"), planCommand(r, d.Snapshots))
	}
}

// writeSnapshots lists what a restore could start from, newest first, when a
// restore is recommended.
func writeSnapshots(b *strings.Builder, d diagnoseJSON, pr *msg.Printer) {
	if d.Recommended.Procedure != string(etcdops.ProcedureRestore) {
		return
	}
	b.WriteString("\n" + pr.T("cmd.diagnose.snapshots") + "\n")
	for _, s := range d.Snapshots {
		fmt.Fprintf(b, "  %s  %9s  %s\n", stamp(s.Taken), bytesText(s.SizeBytes), oneLine(s.Node+":"+s.Path))
	}
}

// planProcedure reports whether `novatui plan` can make a plan of it.
func planProcedure(p etcdops.Procedure) bool { return slices.Contains(planned, string(p)) }

// planCommand is the command line that plans the recommendation, for a restore
// with the newest snapshot.
func planCommand(r recommendedJSON, snapshots []snapshotOnNode) string {
	parts := []string{"novatui plan", r.Procedure}
	switch etcdops.Procedure(r.Procedure) {
	case etcdops.ProcedureRestore:
		newest := "NODE:PATH"
		if len(snapshots) > 0 {
			newest = remote.Quote(snapshots[0].Node + ":" + snapshots[0].Path)
		}
		return strings.Join(append(parts, "--snapshot", newest), " ")
	case etcdops.ProcedureSalvage:
		return strings.Join(parts, " ")
	default:
	}
	for _, n := range r.Nodes {
		parts = append(parts, "--node", n)
	}
	return strings.Join(parts, " ")
}
