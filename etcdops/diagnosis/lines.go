package diagnosis

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// lineTests are what a rule can ask of a line beyond the words in it.
var lineTests = map[string]func(*lowered) bool{
	// A certificate becomes valid soon: its issuer's clock is ahead, or this
	// host's behind. Within minutes, waiting ends it.
	"valid-in-minutes": func(l *lowered) bool {
		d, ok := untilValid(l.lowMsg + " " + l.lowErr)
		return ok && d > 0 && d <= time.Hour
	},
	"valid-soon": func(l *lowered) bool {
		d, ok := untilValid(l.lowMsg + " " + l.lowErr)
		return ok && d > time.Hour && d <= soon
	},
	"valid-later": func(l *lowered) bool {
		d, ok := untilValid(l.lowMsg + " " + l.lowErr)
		return ok && d > soon
	},
	// A host that lost its clock comes up in a year before etcd 3 was.
	"clock-lost": func(l *lowered) bool {
		now, _, ok := validityOf(l.lowMsg + " " + l.lowErr)
		return ok && now.Year() < 2016
	},
	"expired-for-sure": func(l *lowered) bool {
		d, ok := untilValid(l.lowMsg + " " + l.lowErr)
		return !ok || d <= 0
	},
	// A request took three times as long as etcd finds worth a warning.
	"took-long": func(l *lowered) bool { return longest(l) >= 300*time.Millisecond },
	// A command line tool's own words.
	"of-tool": func(l *lowered) bool { return strings.HasPrefix(l.lowMsg, "error:") },
	// Connections that etcd itself closes when it ends are no network's fault.
	"not-farewell": func(l *lowered) bool {
		text := l.lowMsg + " " + l.lowErr
		return !strings.Contains(text, "context canceled") && !strings.Contains(text, "use of closed network connection")
	},
	"names-broken-wal": func(l *lowered) bool {
		return strings.HasSuffix(l.field("path"), ".wal.broken") || strings.Contains(l.lowMsg, ".wal.broken")
	},
	// Nothing but the words themselves: a line out of its journal.
	"bare": func(l *lowered) bool { return l.level == "" && !l.json },
	// etcd calls it panic or fatal, or did not say what it is.
	"deadly": func(l *lowered) bool {
		return l.level == "fatal" || l.level == "panic" || l.level == "" && !l.json
	},
	// A complaint about a certificate that is none about its dates.
	"not-about-time": func(l *lowered) bool {
		return !strings.Contains(l.lowMsg+l.lowErr, "expired") && !strings.Contains(l.lowMsg+l.lowErr, "not yet valid")
	},
	"not-info": func(l *lowered) bool { return l.level != "info" && l.level != "debug" },
	"of-etcdmain": func(l *lowered) bool {
		return strings.HasPrefix(l.lowCaller, "etcdmain") && !l.json
	},
	// A raft log of a few entries is the bootstrap's own.
	"fresh-log": func(l *lowered) bool {
		for _, s := range []string{"starting local member", "starting member ", "lastindex: 0, lastterm: 0"} {
			if strings.Contains(l.lowMsg, s) && !strings.Contains(l.lowMsg, "restarting") {
				return true
			}
		}
		if l.field("member-initialized") == "false" {
			return true
		}
		m := logIndex.FindStringSubmatch(l.lowMsg)
		if m == nil {
			return false
		}
		n, err := strconv.Atoi(m[1])
		return err == nil && n <= 8
	},
	// A state that has lasted for more than some minutes.
	"for-minutes": func(l *lowered) bool {
		m := agoMinutes.FindStringSubmatch(l.lowMsg)
		return m != nil && (m[2] == "h" || m[2] == "d" || len(m[1]) > 1)
	},
}

// soon is by how much clocks differ that are set wrong by a time zone, or that
// went wrong since yesterday.
const soon = 14 * time.Hour

var (
	validity   = regexp.MustCompile(`current time (\S+?) is (before|after) ([0-9tz:+.-]+)`)
	logIndex   = regexp.MustCompile(`logterm: \d+, index: (\d+)`)
	agoMinutes = regexp.MustCompile(`\b(\d+)([mhd])(?:\d+[ms])?\s+ago`)
	durations  = regexp.MustCompile(`\b([0-9]+(?:h[0-9]+)?(?:m[0-9]+)?(?:\.[0-9]+)?(?:µs|ms|s|m|h))\b`)
)

// validityOf reads the two moments that Go's x509 names.
func validityOf(low string) (now, bound time.Time, ok bool) {
	m := validity.FindStringSubmatch(low)
	if m == nil {
		return now, bound, false
	}
	now, err1 := time.Parse(time.RFC3339, strings.ToUpper(m[1]))
	bound, err2 := time.Parse(time.RFC3339, strings.ToUpper(strings.TrimRight(m[3], ".")))
	return now, bound, err1 == nil && err2 == nil
}

// untilValid is how long until a certificate becomes valid; not positive for
// one that has expired.
func untilValid(low string) (time.Duration, bool) {
	now, bound, ok := validityOf(low)
	if !ok {
		return 0, false
	}
	if strings.Contains(low, " is before ") {
		return bound.Sub(now), true
	}
	return bound.Sub(now), true
}

// longest is the longest duration that a line names as taken.
func longest(l *lowered) time.Duration {
	text := l.lowMsg
	for _, key := range []string{"took", "exceeded-duration", "disk-write-duration"} {
		text += " " + l.field(key)
	}
	var most time.Duration
	for _, s := range durations.FindAllString(text, 16) {
		if d, err := time.ParseDuration(s); err == nil {
			most = max(most, d)
		}
	}
	return most
}
