package diagnosis

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/novatui/novatui/etcdops"
)

// What a line may cost: a journal is somebody else's text.
const (
	maxLineBytes = 64 << 10 // read of one line
	maxShown     = 600      // bytes of a line kept as evidence
	maxFields    = 64       // of one JSON line
)

// origin says who wrote a line.
type origin string

const (
	fromEtcd    origin = "etcd"
	fromSystemd origin = "systemd"
	fromKernel  origin = "kernel"
)

// line is one journal line, taken apart. In a line that is not JSON, msg holds
// the whole message and err is empty.
type line struct {
	n      int
	at     time.Time
	pid    int
	from   origin
	level  string // debug, info, warn, error, panic, fatal; empty where unknown
	msg    string
	err    string
	caller string
	fields []field // of a JSON line, msg, error, caller, level, ts and stacktrace excepted
	json   bool
	text   string // for people: cleaned, without the stack trace, cut to maxShown
}

type field struct{ key, value string }

// field finds a field of a JSON line.
func (l line) field(key string) string {
	for _, f := range l.fields {
		if f.key == key {
			return f.value
		}
	}
	return ""
}

// parseLine reads one line of a journal: etcd's JSON (zap, 3.4 and later), its
// older plain text (capnslog, up to 3.4), a Go panic or stack frame, a line of
// systemd or of the kernel, each with or without what journalctl, a container
// runtime or a shell puts before it. It never fails: what it does not know is
// plain text.
func parseLine(in etcdops.LogLine) line {
	text := in.Text
	if len(text) > maxLineBytes {
		text = text[:maxLineBytes]
	}
	text = strings.ToValidUTF8(stripEscapes(strings.TrimRight(text, "\r\n")), "\uFFFD")
	l := line{n: in.N, at: in.Time, pid: in.PID, from: fromUnit(in.Unit)}
	rest, head := cutPrefix(text)
	if in.Unit == "" && head.who != "" {
		l.from = fromUnit(head.who)
	}
	if l.pid == 0 {
		l.pid = head.pid
	}
	if l.at.IsZero() {
		l.at = head.at
	}
	if at := jsonStart(rest); at >= 0 {
		l.parseJSON(rest[at:])
	}
	if !l.json {
		l.fields, l.err = nil, ""
		l.parsePlain(rest)
	}
	l.text = shown(text)
	return l
}

// jsonStart finds where a record begins, whatever stands before it.
func jsonStart(s string) int {
	if strings.HasPrefix(s, "{") {
		return 0
	}
	if strings.HasPrefix(s, "time=") || strings.IndexByte(s, '{') < 0 {
		return -1
	}
	for _, key := range []string{`{"level":`, `{"ts":`, `{"msg":`, `{"log":`} {
		if at := strings.Index(s, key); at >= 0 && at < 200 {
			return at
		}
	}
	return -1
}

// fromUnit maps who wrote to an origin; everything that is neither systemd nor
// the kernel speaks for etcd (wrappers such as sh, docker or k3s do).
func fromUnit(who string) origin {
	switch who {
	case "systemd", "init":
		return fromSystemd
	case "kernel":
		return fromKernel
	}
	return fromEtcd
}

// parseJSON reads the flat object that zap writes. It reads as far as a cut
// line goes, which encoding/json would not.
func (l *line) parseJSON(s string) {
	i := 1 // behind the brace
	for range maxFields {
		i = skipSpace(s, i)
		if i < len(s) && s[i] == ',' {
			i = skipSpace(s, i+1)
		}
		if i >= len(s) || s[i] != '"' {
			return
		}
		key, next := readString(s, i)
		i = skipSpace(s, next)
		if i >= len(s) || s[i] != ':' {
			return
		}
		i = skipSpace(s, i+1)
		if i >= len(s) {
			return
		}
		var value string
		if s[i] == '"' {
			value, i = readString(s, i)
		} else {
			value, i = readBare(s, i)
		}
		l.setField(key, value, i < len(s))
	}
}

// setField takes a field; of one that the line's end cuts off only words are
// of use: the first digits of an id are another id.
func (l *line) setField(key, value string, whole bool) {
	switch key {
	case "level", "lvl", "severity":
		if l.level = levelOf(value); l.level == "" {
			l.level = value
		}
	case "msg", "message":
		l.msg, l.json = value, true
	case "log": // docker's json-file: the line is inside
		if !l.json && l.msg == "" {
			inner := parseLine(etcdops.LogLine{Text: value})
			l.msg, l.err, l.level, l.caller, l.fields, l.json = inner.msg, inner.err, inner.level, inner.caller, inner.fields, true
		}
	case "MESSAGE": // journalctl -o json
		inner := parseLine(etcdops.LogLine{Text: value})
		l.msg, l.err, l.level, l.caller, l.fields, l.json = inner.msg, inner.err, inner.level, inner.caller, inner.fields, true
	case "SYSLOG_IDENTIFIER":
		l.from = fromUnit(value)
	case "error", "err":
		l.err = value
	case "caller":
		l.caller = value
	case "ts":
		if at, err := time.Parse(time.RFC3339Nano, value); err == nil && l.at.IsZero() {
			l.at = at
		}
	case "stacktrace", "":
	default:
		if whole {
			l.fields = append(l.fields, field{key, value})
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return i
}

// readString reads a JSON string that begins at i; one that is cut off ends
// with the text. It returns the index behind it.
func readString(s string, i int) (string, int) {
	start := i + 1
	escaped := false
	for j := start; j < len(s); j++ {
		switch s[j] {
		case '\\':
			escaped = true
			j++
		case '"':
			if !escaped {
				return s[start:j], j + 1
			}
			return unescape(s[start:j]), j + 1
		}
	}
	if !escaped {
		return s[start:], len(s)
	}
	return unescape(s[start:]), len(s)
}

// unescape undoes JSON's escapes as far as they matter for reading messages.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r', 'b', 'f':
		case 'u':
			if i+4 < len(s) {
				if r, err := strconv.ParseUint(s[i+1:i+5], 16, 32); err == nil {
					b.WriteRune(rune(r))
					i += 4
				}
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// readBare reads a number, a word, an array or an object as raw text.
func readBare(s string, i int) (string, int) {
	start, depth := i, 0
	for i < len(s) {
		switch s[i] {
		case '"':
			_, i = readString(s, i)
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return s[start:i], i
			}
			depth--
		case ',':
			if depth == 0 {
				return s[start:i], i
			}
		}
		i++
	}
	return s[start:], len(s)
}

// shown makes a line fit for the screen: no stack trace, no control
// characters, no text that reorders itself, at most maxShown bytes.
func shown(text string) string {
	if at := strings.Index(text, `,"stacktrace":"`); at > 0 {
		text = text[:at] + "}"
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return utf8.RuneError
		}
		return r
	}, text)
	if len(text) <= maxShown {
		return text
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
