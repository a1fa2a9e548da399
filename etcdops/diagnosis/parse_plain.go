package diagnosis

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

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
	l.nameItself()
}

// nameItself takes the ids out of the line in which etcd up to 3.4 names itself.
func (l *line) nameItself() {
	if l.caller != "etcdserver" || !strings.HasPrefix(strings.TrimPrefix(l.msg, "re"), "starting member ") {
		return
	}
	if m := startsMember.FindStringSubmatch(l.msg); m != nil {
		l.fields = append(l.fields, field{"local-member-id", m[1]}, field{"cluster-id", m[2]})
	}
}

// startsMember is the line in which etcd up to 3.4 names itself and its cluster
// (etcdserver/raft.go); the second id is whole where something follows it or the
// line is not cut.
var startsMember = regexp.MustCompile(`^(?:re)?starting member ([0-9a-f]{1,16}) in cluster ([0-9a-f]{12,16})(?:$| at commit index )`)

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
