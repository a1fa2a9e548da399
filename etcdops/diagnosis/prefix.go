package diagnosis

import (
	"strconv"
	"strings"
	"time"
)

// maxPrefixes is how many things may stand before a message: a time, a
// container's name, journalctl's words, a runtime's.
const maxPrefixes = 4

// cutPrefix removes what others put before a message, and returns who wrote
// it, its pid and the moment, as far as the prefix says so: journalctl in its
// short forms ("Nov 21 07:00:00 host etcd[12]: "), the container runtime
// ("2022-02-03T22:40:02.3Z stderr F "), docker (a time; with compose
// "etcd_1  | "), kubectl ("[pod/etcd-0/etcd] ").
func cutPrefix(text string) (rest string, head prefix) {
	rest = strings.TrimLeft(text, " \t\ufeff")
	for range maxPrefixes {
		cut, ok := head.cut(rest)
		if !ok {
			break
		}
		rest = cut
	}
	return rest, head
}

// prefix is what the words before a message say.
type prefix struct {
	who string
	pid int
	at  time.Time
}

func (p *prefix) cut(s string) (string, bool) {
	if s == "" || s[0] == '{' {
		return s, false
	}
	if rest, ok := p.cutRuntime(s); ok {
		return rest, true
	}
	if s[0] == '[' && strings.HasPrefix(s, "[pod/") {
		if end := strings.Index(s, "] "); end > 0 {
			return s[end+2:], true
		}
	}
	if rest, ok := cutCompose(s); ok {
		return rest, true
	}
	if rest, ok := p.cutJournal(s); ok {
		return rest, true
	}
	return p.cutTime(s)
}

// cutRuntime cuts the CRI log format: time, stream, tag.
func (p *prefix) cutRuntime(s string) (string, bool) {
	for _, mark := range []string{" stderr F ", " stdout F ", " stderr P ", " stdout P "} {
		if at := strings.Index(s[:min(len(s), 60)], mark); at > 0 {
			p.setTime(s[:at])
			return s[at+len(mark):], true
		}
	}
	return s, false
}

// cutCompose cuts "etcd_1  | "; the letter before etcd's own bar is a level.
func cutCompose(s string) (string, bool) {
	bar := strings.Index(s[:min(len(s), 60)], "| ")
	if bar < 3 || s[bar-1] != ' ' {
		return s, false
	}
	name := strings.TrimRight(s[:bar], " ")
	if len(name) < 2 || strings.ContainsAny(name, " \t\"'=:,") || name == strings.ToUpper(name) {
		return s, false
	}
	return s[bar+2:], true
}

// cutJournal cuts journalctl's short formats: [month day] time host who[pid].
func (p *prefix) cutJournal(s string) (string, bool) {
	at := strings.Index(s[:min(len(s), 200)], ": ")
	if at < 0 {
		return s, false
	}
	words := strings.Fields(s[:at])
	switch {
	case len(words) == 5 && strings.Count(words[2], ":") == 2 && !strings.ContainsAny(words[3], "\"{="):
	case len(words) == 3 && isTimestamp(words[0]) && !strings.ContainsAny(words[1]+words[2], "\"{=/"):
		p.setTime(words[0])
	default:
		return s, false
	}
	who := words[len(words)-1]
	if open := strings.IndexByte(who, '['); open > 0 && strings.HasSuffix(who, "]") {
		p.pid, _ = strconv.Atoi(who[open+1 : len(who)-1])
		who = who[:open]
	}
	p.who = who
	return s[at+2:], true
}

// cutTime cuts a time that a wrapper wrote before the line; one of etcd's own
// (a level follows, or a tab) stays.
func (p *prefix) cutTime(s string) (string, bool) {
	space := strings.IndexByte(s[:min(len(s), 40)], ' ')
	if space < 19 || !isTimestamp(s[:space]) {
		return s, false
	}
	p.setTime(s[:space])
	return strings.TrimLeft(s[space:], " "), true
}

// isTimestamp matches 2022-02-03T22:40:02 with whatever stands behind it.
func isTimestamp(s string) bool {
	return len(s) >= 19 && s[4] == '-' && s[7] == '-' && s[10] == 'T' && s[13] == ':' && s[16] == ':' && s[0] >= '0' && s[0] <= '9'
}

func (p *prefix) setTime(s string) {
	if !p.at.IsZero() {
		return
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05-0700", "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05,999999999-07:00"} {
		if at, err := time.Parse(layout, s); err == nil {
			p.at = at
			return
		}
	}
}

// stripEscapes removes the colours of a terminal, which loggers and compose
// leave in what is copied from one.
func stripEscapes(s string) string {
	at := strings.IndexByte(s, '\x1b')
	if at < 0 {
		return s
	}
	var b strings.Builder
	for at >= 0 {
		b.WriteString(s[:at])
		end := at + 1
		if end < len(s) && s[end] == '[' {
			end++
			for end < len(s) && (s[end] == ';' || s[end] >= '0' && s[end] <= '9') {
				end++
			}
			if end < len(s) {
				end++
			}
		}
		s = s[end:]
		at = strings.IndexByte(s, '\x1b')
	}
	b.WriteString(s)
	return b.String()
}
