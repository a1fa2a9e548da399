package etcdops

import (
	"fmt"
	"strconv"
	"strings"
)

// StatusTable is the live state of the cluster as rows, one a node and one for
// each member without a node, with the columns of etcdctl endpoint status plus
// the state of the unit and of the member. A value that is not known is "-".
// The headers are etcdctl's own words in every language.
func StatusTable(f Facts, v Verdict) (header []string, rows [][]string) {
	header = []string{
		"NODE", "MEMBER", "ENDPOINT", "ID", "STATE", "UNIT", "VERSION", "DB SIZE", "IN USE",
		"IS LEADER", "IS LEARNER", "RAFT TERM", "RAFT INDEX", "APPLIED", "REVISION", "HASH", "ERRORS",
	}
	for _, n := range f.Nodes {
		m, _ := f.MemberOf(n.Node)
		judged, _ := v.MemberOn(n.Node)
		rows = append(rows, statusRow(n, m, judged))
	}
	for _, m := range f.Members {
		if m.Node != "" {
			continue
		}
		row := statusRow(NodeFacts{}, m, MemberVerdict{})
		for _, judged := range v.Members {
			if judged.Member.ID == m.ID && m.ID != "" {
				row[4] = dash(string(judged.State))
			}
		}
		rows = append(rows, row)
	}
	return header, rows
}

func statusRow(n NodeFacts, m Member, judged MemberVerdict) []string {
	e := n.Endpoint
	unit := n.Unit.Active
	if n.Unit.Sub != "" && n.Unit.Sub != n.Unit.Active {
		unit += " (" + n.Unit.Sub + ")"
	}
	row := []string{
		dash(n.Node), dash(m.Name), dash(e.ClientURL), dash(firstOf(e.MemberID, m.ID)), dash(string(judged.State)),
		dash(unit), dash(e.Version),
	}
	if e.Answers {
		row = append(row,
			FormatBytes(e.DBSize), FormatBytes(e.DBSizeInUse),
			strconv.FormatBool(e.IsLeader()), strconv.FormatBool(e.Learner),
			strconv.FormatUint(e.RaftTerm, 10), strconv.FormatUint(e.RaftIndex, 10),
			strconv.FormatUint(e.Applied, 10), strconv.FormatInt(e.Revision, 10), dash(e.Hash))
	} else {
		row = append(row, "-", "-", "-", strconv.FormatBool(m.Learner), "-", "-", "-", "-", "-")
	}
	problems := append([]string{}, e.Errors...)
	if e.Error != "" {
		problems = append(problems, e.Error)
	} else if e.Answers && !e.Healthy && e.HealthError != "" && !e.Learner {
		problems = append(problems, e.HealthError)
	}
	if n.Error != "" {
		problems = append([]string{n.Error}, problems...)
	}
	return append(row, strings.Join(problems, "; "))
}

func dash(s string) string { return firstOf(s, "-") }

// FormatBytes writes a size as etcdctl does: decimal units ("20 kB", "1.5 GB").
func FormatBytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	size, units := float64(n), "kMGTPE"
	i := -1
	for size >= 1000 && i < len(units)-1 {
		size /= 1000
		i++
	}
	if size >= 9.95 {
		return fmt.Sprintf("%.0f %cB", size, units[i])
	}
	return fmt.Sprintf("%.1f %cB", size, units[i])
}
