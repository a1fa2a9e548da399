package diagnosis

import (
	"slices"
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

// packages are the names that etcd up to 3.4 puts before a message.
var packages = []string{
	"etcdmain", "etcdserver", "rafthttp", "raft", "embed", "wal", "snap", "mvcc", "netutil", "flags", "osutil", "lease",
	"auth", "etcdserver/membership", "etcdserver/api", "etcdserver/api/v3rpc", "etcdhttp", "fileutil", "proxy", "discovery",
	"pkg/netutil", "pkg/flags", "pkg/osutil", "pkg/fileutil", "pkg/transport", "store", "capnslog", "v3rpc", "backend", "etcd",
}

// parsePlain reads what is not JSON: etcd's text up to 3.4 ("2019-05-11
// 03:20:18.227869 C | etcdmain: message", up to 2.1 "2015/03/05 03:44:00
// etcdserver: message"), zap's console form, logrus and klog (k3s, kubelet);
// anything else is a message as it is.
func (l *line) parsePlain(rest string) {
	l.msg = rest
	if l.from != fromEtcd {
		return
	}
	if l.parseConsole(rest) || l.parseLogfmt(rest) || l.parseKlog(rest) {
		return
	}
	l.parseCapnslog(rest)
	if l.level == "" && (strings.HasPrefix(l.msg, "panic: ") || strings.HasPrefix(l.msg, "fatal error: ")) {
		l.level = "panic"
	}
	if colon := strings.Index(l.msg, ": "); l.caller == "" && colon > 0 && slices.Contains(packages, l.msg[:colon]) {
		l.caller, l.msg = l.msg[:colon], l.msg[colon+2:]
	}
	if unit := strings.Index(l.msg, ".service: "); unit > 0 && !strings.ContainsAny(l.msg[:unit], " \"") {
		l.from = fromSystemd // without the journal's prefix
	}
}

// parseCapnslog reads time, level and package where they stand.
func (l *line) parseCapnslog(rest string) {
	if len(rest) > 20 && rest[4] == '/' && rest[7] == '/' && rest[10] == ' ' && rest[19] == ' ' {
		if at, err := time.Parse("2006/01/02 15:04:05", rest[:19]); err == nil {
			l.msg = rest[20:]
			if l.at.IsZero() {
				l.at = at
			}
		}
	}
	bar := strings.Index(rest, " | ")
	if bar < 1 || bar > 40 || bar > 1 && rest[bar-2] != ' ' {
		return
	}
	level, ok := map[byte]string{
		'D': "debug", 'I': "info", 'N': "info", 'W': "warn", 'E': "error", 'C': "fatal",
	}[rest[bar-1]]
	if !ok {
		return
	}
	l.level, l.msg = level, rest[bar+3:]
	if at, err := time.Parse("2006-01-02 15:04:05.999999", strings.TrimSpace(rest[:bar-1])); err == nil && l.at.IsZero() {
		l.at = at
	}
	if colon := strings.Index(l.msg, ": "); colon > 0 && !strings.ContainsAny(l.msg[:colon], " \"") {
		l.caller, l.msg = l.msg[:colon], l.msg[colon+2:]
	}
}

// parseConsole reads zap's console encoding: time, level, caller, message and
// fields, with tabs between.
func (l *line) parseConsole(rest string) bool {
	parts := strings.Split(rest, "\t")
	if len(parts) < 3 || len(parts) > 16 {
		return false
	}
	for i, p := range parts[:3] {
		level := levelOf(p)
		if level == "" || i+1 >= len(parts) {
			continue
		}
		l.level = level
		rest := parts[i+1:]
		if len(rest) > 1 && strings.Contains(rest[0], ".go:") {
			l.caller, rest = rest[0], rest[1:]
		}
		if n := len(rest) - 1; n > 0 && strings.HasPrefix(rest[n], "{") {
			fields := line{}
			fields.parseJSON(rest[n])
			l.err, l.fields = fields.err, fields.fields
			rest = rest[:n]
		}
		l.msg = strings.Join(rest, " ")
		l.json = l.err != ""
		return true
	}
	return false
}

// levelOf reads a level's name in any case and length; empty for other words.
func levelOf(s string) string {
	switch strings.ToLower(s) {
	case "debug", "dbug", "debu", "trace":
		return "debug"
	case "info", "notice":
		return "info"
	case "warn", "warning":
		return "warn"
	case "error", "err", "erro":
		return "error"
	case "panic", "dpanic", "pani":
		return "panic"
	case "fatal", "fata", "crit", "critical":
		return "fatal"
	}
	return ""
}

// parseLogfmt reads logrus (k3s, rke2, rancher): time="…" level=fatal
// msg="…" error="…", and its form for terminals, FATA[0001] message.
func (l *line) parseLogfmt(rest string) bool {
	if len(rest) > 6 && rest[4] == '[' {
		if end := strings.Index(rest[:min(len(rest), 16)], "] "); end > 0 && levelOf(rest[:4]) != "" {
			l.level, l.msg = levelOf(rest[:4]), strings.TrimLeft(rest[end+2:], " ")
			return true
		}
	}
	at := strings.Index(rest, "level=")
	msg := strings.Index(rest, "msg=\"")
	if at < 0 || msg < 0 || at > 80 {
		return false
	}
	word, _, _ := strings.Cut(rest[at+len("level="):], " ")
	l.level = levelOf(strings.Trim(word, "\""))
	var next int
	l.msg, next = readString(rest, msg+len("msg="))
	if err := strings.Index(rest[next:], "error=\""); err >= 0 {
		l.err, _ = readString(rest, next+err+len("error="))
		l.json = true
	}
	return true
}

// parseKlog reads Kubernetes' lines: E0122 05:20:39.780701 2080071 file.go:325] message.
func (l *line) parseKlog(rest string) bool {
	if len(rest) < 25 || rest[5] != ' ' || strings.IndexByte("IWEF", rest[0]) < 0 || rest[8] != ':' {
		return false
	}
	end := strings.Index(rest[:min(len(rest), 120)], "] ")
	if end < 0 {
		return false
	}
	l.level = map[byte]string{'I': "info", 'W': "warn", 'E': "error", 'F': "fatal"}[rest[0]]
	if word := strings.Fields(rest[:end]); len(word) > 0 {
		l.caller = word[len(word)-1]
	}
	l.msg = rest[end+2:]
	return true
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
		l.setField(key, value)
	}
}

func (l *line) setField(key, value string) {
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
		l.fields = append(l.fields, field{key, value})
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
