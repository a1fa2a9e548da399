package text

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strings"
)

// console is a line of the log that etcdctl and etcdutl print: time, level,
// perhaps a logger, the place in the source, then what it says.
var console = regexp.MustCompile(`^\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-][0-9:]+)\s+(debug|info|warn|error|panic|fatal)\s+(?:\S+\s+)?\S+\.go:\d+\s+(.*)$`)

// journal is a line of journalctl -o short-iso: time, host, who wrote it, what.
var journal = regexp.MustCompile(`^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:[.,]\d+)?(?:Z|[+-][0-9:]+) \S+ ([^\s:]+): (.*)$`)

// Compact makes a line of etcd's log readable in a narrow place: its level,
// its message, then what else it says, without the time and the place in the
// source. Of a line of the journal the time of day stays, and who wrote it
// unless it is etcd's log. Any other line comes back as it is.
func Compact(line string) string {
	if m := journal.FindStringSubmatch(line); m != nil {
		short := Compact(m[3])
		if short == m[3] { // not etcd's log: systemd, a script around etcd
			short = m[2] + ": " + short
		}
		return m[1] + " " + short
	}
	if m := console.FindStringSubmatch(line); m != nil {
		return m[1] + ": " + m[2]
	}
	if !strings.HasPrefix(line, `{"level":"`) || len(line) > 16<<10 {
		return line
	}
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return line
	}
	level, _ := fields["level"].(string)
	message, ok := fields["msg"].(string)
	if !ok {
		return line
	}
	parts := []string{level + ": " + message}
	if e, ok := fields["error"].(string); ok {
		parts[0] += ": " + e
	}
	var rest []string
	for name, value := range fields {
		switch name {
		case "level", "msg", "error", "ts", "caller", "logger", "stacktrace":
		default:
			rest = append(rest, fmt.Sprintf("%s=%v", name, value))
		}
	}
	sort.Strings(rest)
	return strings.Join(append(parts, rest...), "  ")
}
