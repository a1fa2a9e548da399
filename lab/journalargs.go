package lab

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var journalOutputs = []string{
	"short", "short-iso", "short-iso-precise", "short-precise", "short-full", "short-unix", "short-monotonic",
	"with-unit", "json", "json-pretty", "cat", "export",
}

// journalLong maps long options without a value to short ones.
var journalFlags = map[string]byte{
	"--follow": 'f', "--reverse": 'r', "--all": 'a', "--quiet": 'q', "--dmesg": 'k', "--catalog": 'x',
	"--pager-end": 'e', "--merge": 'm', "--no-pager": '-', "--full": 'l', "--no-full": '-', "--no-tail": '-',
	"--utc": '-', "--system": '-', "--user": '-', "--no-hostname": 'H', "--show-cursor": 'C', "--boot": 'b',
}

// journalValues maps long options with a value to short ones.
var journalValues = map[string]byte{
	"--unit": 'u', "--output": 'o', "--since": 'S', "--until": 'U', "--priority": 'p', "--identifier": 't',
	"--cursor": 'c', "--after-cursor": 'A',
}

// parseJournalctl reads a journalctl command line.
func parseJournalctl(args []string, now time.Time) (journalQuery, error) {
	q := journalQuery{lines: -1, output: "short", priority: -1}
	linesSet := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		next := func() (string, error) {
			i++
			if i >= len(args) {
				return "", fmt.Errorf("journalctl: option requires an argument -- '%s'", strings.TrimLeft(arg, "-"))
			}
			return args[i], nil
		}
		var err error
		switch {
		case strings.HasPrefix(arg, "--"):
			err = q.long(arg, next, &linesSet, now)
		case len(arg) > 1 && arg[0] == '-':
			err = q.short(arg[1:], args[i+1:], &i, next, &linesSet, now)
		case strings.HasPrefix(arg, "_SYSTEMD_UNIT="):
			err = q.value('u', strings.TrimPrefix(arg, "_SYSTEMD_UNIT="), now)
		default:
			err = fmt.Errorf("Failed to add match '%s': Invalid argument", arg)
		}
		if err != nil {
			return q, err
		}
	}
	if q.follow && !linesSet && q.since.IsZero() && q.afterCursor == "" && q.cursor == "" {
		q.lines = 10
	}
	return q, nil
}

// long applies one --option.
func (q *journalQuery) long(arg string, next func() (string, error), linesSet *bool, now time.Time) error {
	name, value, given := strings.Cut(arg, "=")
	switch name {
	case "--lines":
		*linesSet = true
		return q.setLines(value, given)
	case "--boot":
		q.boot = value
		return nil
	}
	if flag, ok := journalFlags[name]; ok && !given {
		q.flag(flag)
		return nil
	}
	opt, ok := journalValues[name]
	if !ok {
		return fmt.Errorf("journalctl: unrecognized option '%s'", arg)
	}
	if !given {
		var err error
		if value, err = next(); err != nil {
			return err
		}
	}
	return q.value(opt, value, now)
}

// short applies a cluster of short options ("xeu", "fn20").
func (q *journalQuery) short(letters string, rest []string, i *int, next func() (string, error), linesSet *bool, now time.Time) error {
	for k := 0; k < len(letters); k++ {
		c, attached := letters[k], letters[k+1:]
		switch {
		case c == 'n':
			*linesSet = true
			if attached == "" && len(rest) > 0 && (rest[0] == "all" || isNumber(rest[0])) {
				*i++
				attached = rest[0]
			}
			return q.setLines(attached, attached != "")
		case c == 'b':
			// The boot may be attached or, as with -n, be the next word.
			if attached == "" && len(rest) > 0 && isNumber(strings.TrimLeft(rest[0], "+-")) {
				*i++
				q.boot = rest[0]
			} else if isNumber(strings.TrimLeft(attached, "+-")) {
				q.boot = attached
				return nil
			}
		case strings.IndexByte("uoSUptc", c) >= 0:
			if attached == "" {
				var err error
				if attached, err = next(); err != nil {
					return err
				}
			}
			return q.value(c, attached, now)
		case strings.IndexByte("fraqkxeml", c) >= 0:
			q.flag(c)
		default:
			return fmt.Errorf("journalctl: invalid option -- '%c'", c)
		}
	}
	return nil
}

func (q *journalQuery) flag(c byte) {
	switch c {
	case 'f':
		q.follow = true
	case 'r':
		q.reverse = true
	case 'a':
		q.all = true
	case 'q':
		q.quiet = true
	case 'k':
		q.kernel = true
	case 'e':
		if q.lines < 0 {
			q.lines = 1000
		}
	case 'H':
		q.noHostname = true
	case 'C':
		q.showCursor = true
	}
}

func (q *journalQuery) value(c byte, value string, now time.Time) (err error) {
	switch c {
	case 'u':
		q.units = append(q.units, unitName(value))
	case 't':
		q.identifiers = append(q.identifiers, value)
	case 'c':
		q.cursor = value
	case 'A':
		q.afterCursor = value
	case 'o':
		if !slices.Contains(journalOutputs, value) {
			return fmt.Errorf("Unknown output format '%s'.", value)
		}
		q.output = value
	case 'S':
		q.since, err = parseStamp(value, now)
	case 'U':
		q.until, err = parseStamp(value, now)
	case 'p':
		q.priority, err = parsePriority(value)
	}
	return err
}

func (q *journalQuery) setLines(value string, given bool) error {
	switch {
	case !given:
		q.lines = 10
	case value == "all":
		q.lines = -1
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(value, "+"))
		if err != nil || n < 0 {
			return fmt.Errorf("Failed to parse lines '%s'", value)
		}
		q.lines = n
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

func parsePriority(s string) (int, error) {
	names := []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	if _, to, ok := strings.Cut(s, ".."); ok {
		s = to
	}
	for i, name := range names {
		if s == name || s == strconv.Itoa(i) {
			return i, nil
		}
	}
	return -1, fmt.Errorf("Unknown log level %s", s)
}

var relativeStamp = regexp.MustCompile(`^(?:-(.+)|\+(.+)|(.+) ago)$`)

// parseStamp reads a systemd.time(7) time stamp in local time.
func parseStamp(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	case "tomorrow":
		return midnight.AddDate(0, 0, 1), nil
	}
	if at, ok := strings.CutPrefix(s, "@"); ok {
		if f, err := strconv.ParseFloat(at, 64); err == nil {
			return time.UnixMicro(int64(f * 1e6)), nil
		}
	}
	location := now.Location()
	body := s
	if b, ok := strings.CutSuffix(s, " UTC"); ok {
		body, location = b, time.UTC
	}
	for _, layout := range []string{
		"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "Mon 2006-01-02 15:04:05", "2006-01-02T15:04:05",
	} {
		if t, err := time.ParseInLocation(layout, body, location); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return midnight.Add(t.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))), nil
		}
	}
	if m := relativeStamp.FindStringSubmatch(s); m != nil {
		if d, err := parseSpan(m[1] + m[2] + m[3]); err == nil {
			if m[2] != "" {
				return now.Add(d), nil
			}
			return now.Add(-d), nil
		}
	}
	return time.Time{}, fmt.Errorf("Failed to parse timestamp: %s", s)
}

// unitName adds .service to a name without a type, as systemctl does.
func unitName(s string) string {
	for _, suffix := range []string{".service", ".socket", ".target", ".timer", ".mount", ".scope", ".slice", ".path"} {
		if strings.HasSuffix(s, suffix) {
			return s
		}
	}
	return s + ".service"
}
