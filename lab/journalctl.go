package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// journalQuery is what a journalctl command line asks for.
type journalQuery struct {
	units       []string
	identifiers []string
	lines       int // -1: all
	follow      bool
	output      string
	since       time.Time
	until       time.Time
	kernel      bool
	reverse     bool
	all         bool
	quiet       bool
	cursor      string // start here
	afterCursor string
	showCursor  bool
	noHostname  bool
	priority    int // lines up to this one; -1: all
	boot        string
}

// runJournalctl is journalctl on a node.
func runJournalctl(ctx context.Context, j *journal, args []string, stdout, stderr io.Writer) int {
	q, err := parseJournalctl(args, time.Now())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if q.boot != "" && q.boot != "0" && q.boot != "-0" && q.boot != j.bootID {
		fmt.Fprintf(stderr, "Data from the specified boot (%s) is not available: No such boot ID in journal\n", q.boot)
		return 1
	}
	start := uint64(0)
	for _, c := range []string{q.cursor, q.afterCursor} {
		if c == "" {
			continue
		}
		seq, ok := j.parseCursor(c)
		if !ok {
			fmt.Fprintln(stderr, "Failed to seek to cursor: Invalid argument")
			return 1
		}
		start = seq
		if c == q.cursor && seq > 0 {
			start--
		}
	}
	return q.print(ctx, j, start, stdout)
}

func (q journalQuery) print(ctx context.Context, j *journal, start uint64, stdout io.Writer) int {
	entries, changed := j.since(start)
	shown := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return !q.matches(e) })
	if q.lines >= 0 && len(shown) > q.lines {
		if q.cursor != "" || q.afterCursor != "" {
			shown = shown[:q.lines]
		} else {
			shown = shown[len(shown)-q.lines:]
		}
	}
	if q.reverse {
		slices.Reverse(shown)
	}
	for _, e := range shown {
		if _, err := io.WriteString(stdout, q.format(j, e)); err != nil {
			return 1
		}
	}
	if len(shown) == 0 && !q.follow && !q.quiet && strings.HasPrefix(q.output, "short") {
		fmt.Fprintln(stdout, "-- No entries --")
	}
	if q.showCursor && !q.follow && len(shown) > 0 {
		fmt.Fprintln(stdout, "-- cursor: "+j.cursor(shown[len(shown)-1]))
	}
	for seq := lastSeq(entries, start); q.follow; {
		select {
		case <-ctx.Done():
			return 0
		case <-changed:
		}
		entries, changed = j.since(seq)
		seq = lastSeq(entries, seq)
		for _, e := range entries {
			if !q.matches(e) {
				continue
			}
			if _, err := io.WriteString(stdout, q.format(j, e)); err != nil {
				return 1
			}
		}
	}
	return 0
}

func lastSeq(entries []entry, seq uint64) uint64 {
	if len(entries) == 0 {
		return seq
	}
	return entries[len(entries)-1].Seq
}

func (q journalQuery) matches(e entry) bool {
	switch {
	case q.kernel, // the nodes have no kernel of their own
		len(q.units) > 0 && !slices.Contains(q.units, e.Unit) && !slices.Contains(q.units, e.About),
		len(q.identifiers) > 0 && !slices.Contains(q.identifiers, e.Identifier),
		q.priority >= 0 && e.Priority > q.priority,
		!q.since.IsZero() && e.Time.Before(q.since),
		!q.until.IsZero() && e.Time.After(q.until):
		return false
	}
	return true
}

// format writes one entry in the chosen output mode (journalctl(1), --output).
func (q journalQuery) format(j *journal, e entry) string {
	stamp := ""
	switch q.output {
	case "cat":
		return q.text(e.Message) + "\n"
	case "json":
		b, err := json.Marshal(j.fields(e))
		if err != nil {
			return ""
		}
		return string(b) + "\n"
	case "json-pretty":
		b, err := json.MarshalIndent(j.fields(e), "", "\t")
		if err != nil {
			return ""
		}
		return string(b) + "\n"
	case "export":
		return j.export(e)
	case "short-iso":
		stamp = e.Time.Format("2006-01-02T15:04:05-0700")
	case "short-iso-precise":
		stamp = e.Time.Format("2006-01-02T15:04:05.000000-0700")
	case "short-precise":
		stamp = e.Time.Format("Jan 02 15:04:05.000000")
	case "short-full", "with-unit":
		stamp = e.Time.Format("Mon 2006-01-02 15:04:05 MST")
	case "short-unix":
		stamp = fmt.Sprintf("%d.%06d", e.Time.Unix(), e.Time.Nanosecond()/1000)
	case "short-monotonic":
		stamp = fmt.Sprintf("[%5d.%06d]", e.Mono/1e6, e.Mono%1e6)
	default:
		stamp = e.Time.Format("Jan 02 15:04:05")
	}
	who := e.Identifier
	if q.output == "with-unit" && e.Unit != "" {
		who = e.Unit
	}
	host := " " + j.host
	if q.noHostname {
		host = ""
	}
	return fmt.Sprintf("%s%s %s[%d]: %s\n", stamp, host, who, e.PID, q.text(e.Message))
}

func (q journalQuery) text(s string) string {
	if q.all || printable(s) {
		return s
	}
	return fmt.Sprintf("[%dB blob data]", len(s))
}

// printable is journald's idea of text: UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && r != '\n'
	}) < 0
}

// fields is an entry as journalctl -o json has it: every value a string, text
// that is not printable an array of bytes.
func (j *journal) fields(e entry) map[string]any {
	f := map[string]any{
		"__CURSOR":              j.cursor(e),
		"__REALTIME_TIMESTAMP":  strconv.FormatInt(e.Time.UnixMicro(), 10),
		"__MONOTONIC_TIMESTAMP": strconv.FormatUint(e.Mono, 10),
		"_BOOT_ID":              j.bootID,
		"_MACHINE_ID":           j.machineID,
		"_HOSTNAME":             j.host,
		"_UID":                  strconv.Itoa(j.uid),
		"_PID":                  strconv.Itoa(e.PID),
		"_COMM":                 e.Identifier,
		"PRIORITY":              strconv.Itoa(e.Priority),
		"SYSLOG_FACILITY":       "3",
		"SYSLOG_IDENTIFIER":     e.Identifier,
		"MESSAGE":               e.Message,
	}
	if e.Unit != "" {
		f["_SYSTEMD_UNIT"], f["_TRANSPORT"] = e.Unit, "stdout"
	} else {
		f["_TRANSPORT"] = "journal"
	}
	if e.About != "" {
		f["UNIT"], f["_SYSTEMD_UNIT"], f["_UID"] = e.About, "init.scope", "0"
	}
	if !printable(e.Message) {
		bytes := make([]int, len(e.Message))
		for i := range bytes {
			bytes[i] = int(e.Message[i])
		}
		f["MESSAGE"] = bytes
	}
	return f
}

func (j *journal) export(e entry) string {
	var b strings.Builder
	fields := j.fields(e)
	fields["MESSAGE"] = e.Message
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s=%v\n", name, fields[name])
	}
	return b.String() + "\n"
}
