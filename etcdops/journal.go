package etcdops

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// maxLogLine bounds one line of a journal, in bytes; what is longer is cut and ends in "…".
const maxLogLine = 16 << 10

// ParseJournal reads the output of journalctl -o json: one object a line. A
// MESSAGE may be a string, an array of bytes (when it is not plain text) or
// null (when it was too long); an array of such when a field was given twice.
// Lines that are no JSON objects are left out. The texts are cleaned of
// terminal escapes.
func ParseJournal(out []byte) []LogLine {
	var lines []LogLine
	for raw := range bytes.Lines(out) {
		raw = bytes.TrimSpace(raw)
		if len(raw) == 0 || raw[0] != '{' {
			continue
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil {
			continue
		}
		l := LogLine{
			N:    len(lines) + 1,
			Unit: remote.Clean(firstOf(field(fields["SYSLOG_IDENTIFIER"]), field(fields["_COMM"]))),
			Text: clip(remote.Clean(strings.TrimRight(field(fields["MESSAGE"]), "\n"))),
		}
		l.PID, _ = strconv.Atoi(field(fields["_PID"]))
		if us, err := strconv.ParseInt(field(fields["__REALTIME_TIMESTAMP"]), 10, 64); err == nil && us > 0 && !unixTime(us/1e6).IsZero() {
			l.Time = time.UnixMicro(us)
		}
		lines = append(lines, l)
	}
	return lines
}

// field is the text of a journal field in any of its forms.
func field(raw json.RawMessage) string { return fieldAt(raw, 0) }

// fieldAt reads a field that stands in as many arrays. Journald puts bytes into
// one and repeated fields into one more; deeper ones are none of its making, and
// each would be read as a whole again.
func fieldAt(raw json.RawMessage, depth int) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	case '[':
		var many []json.RawMessage
		if depth > 1 || json.Unmarshal(raw, &many) != nil || len(many) == 0 {
			return ""
		}
		if many[0][0] == '"' || many[0][0] == '[' {
			return fieldAt(many[0], depth+1)
		}
		text := make([]byte, 0, len(many))
		for _, m := range many {
			n, err := strconv.ParseUint(string(m), 10, 8)
			if err != nil {
				return ""
			}
			text = append(text, byte(n))
		}
		return string(text)
	}
	return ""
}

// ParseJournalShort reads journalctl -o short-iso, for nodes whose journalctl
// has no JSON: "2024-06-14T12:37:55+0300 host etcd[96408]: text".
func ParseJournalShort(out []byte) []LogLine {
	var lines []LogLine
	for raw := range bytes.Lines(out) {
		s := strings.TrimRight(string(raw), "\r\n")
		if s == "" || strings.HasPrefix(s, "-- ") {
			continue
		}
		l := LogLine{N: len(lines) + 1, Text: clip(remote.Clean(s))}
		parts := strings.SplitN(s, " ", 4)
		if len(parts) == 4 {
			for _, layout := range []string{"2006-01-02T15:04:05-0700", "2006-01-02T15:04:05-07:00"} {
				if t, err := time.Parse(layout, parts[0]); err == nil {
					l.Time = t
				}
			}
			name, pid, _ := strings.Cut(strings.TrimSuffix(parts[2], ":"), "[")
			if !l.Time.IsZero() {
				l.Unit, l.Text = remote.Clean(name), clip(remote.Clean(parts[3]))
				l.PID, _ = strconv.Atoi(strings.TrimSuffix(pid, "]"))
			}
		}
		lines = append(lines, l)
	}
	return lines
}

func clip(s string) string {
	if len(s) <= maxLogLine {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogLine], "") + "…"
}
