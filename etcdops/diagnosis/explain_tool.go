package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
)

// toolFacts are what the outputs of etcdctl show as a whole, beyond what
// single lines of them say (assets/rules).
type toolFacts struct {
	members   int // in a member list, or asked in a table of all endpoints
	unstarted int
	healthy   int // endpoints
	unhealthy int
	leaders   map[string]bool
	hashes    map[string][]string // revision → hashes of the endpoints
	hashLine  string
	noQuorum  string // a line that shows that nobody answers for a quorum
	timeouts  int
	added     bool
	changes   int // attempts to change the membership that failed
}

var (
	simpleMember = regexp.MustCompile(`(?m)^\s*([0-9a-f]{13,16})(?:\[unstarted\])?[,:] ?(?:started|unstarted|name=|peerURLs=)`)
	tableMember  = regexp.MustCompile(`(?m)^\s*[|│]\s*([0-9a-f]{13,16})\s*[|│]\s*(started|unstarted)\s*[|│]`)
	jsonMember   = regexp.MustCompile(`"ID":\s?(\d+)`)
	healthLine   = regexp.MustCompile(`(?m)^(\S+) is (healthy|unhealthy): |^member [0-9a-f]+ is (healthy|unhealthy|unreachable)`)
	hashTable    = regexp.MustCompile(`(?m)^\s*[|│]\s*(\S+:\d+)\s*[|│]\s*(\d+)\s*[|│](?:\s*(\d+)\s*[|│])?\s*$`)
	hashJSON     = regexp.MustCompile(`"Endpoint":\s?"([^"]+)","HashKV":\{"header":\{[^}]*?"revision":(\d+)[^}]*\},"hash":(\d+)(?:,"compact_revision":-?\d+)?(?:,"hash_revision":(\d+))?`)
	hashSimple   = regexp.MustCompile(`(?m)^(\S+:\d+), (\d{4,})(?:, (\d+))?\s*$`)
	memberAdded  = regexp.MustCompile(`(?i)Member +[0-9a-f]+ added to cluster|Added member named`)
	memberChange = regexp.MustCompile(`(?i)member (add|remove)|trying to (add|remove) member`)
)

// read takes one output.
func (t *toolFacts) read(s *said) {
	text := s.text.String()
	if t.hashes == nil {
		t.hashes, t.leaders = map[string][]string{}, map[string]bool{}
	}
	t.readMembers(text)
	low := lowerASCII(text)
	t.added = t.added || memberAdded.MatchString(text)
	for _, w := range []string{"context deadline exceeded", "etcdserver: request timed out"} {
		t.timeouts += strings.Count(low, w)
	}
	for _, w := range []string{"context deadline exceeded", "no leader", "cluster is unavailable", "request timed out", "timed out, possibly due to connection lost"} {
		if at := strings.Index(low, w); at >= 0 {
			if t.noQuorum == "" {
				t.noQuorum = lineAround(text, at)
			}
		}
	}
	if memberChange.MatchString(text) && (strings.Contains(low, "deadline exceeded") || strings.Contains(low, "timed out") || strings.Contains(low, "no leader")) {
		t.changes++
	}
	t.readHashes(text)
}

// readMembers reads member lists and the answers of endpoints about their
// health.
func (t *toolFacts) readMembers(text string) {
	ids := map[string]bool{}
	for _, re := range []*regexp.Regexp{simpleMember, tableMember} {
		for _, m := range re.FindAllStringSubmatch(text, 64) {
			ids[m[1]] = true
		}
	}
	if strings.Contains(text, `"members":`) {
		for _, m := range jsonMember.FindAllStringSubmatch(text, 64) {
			ids[m[1]] = true
		}
	}
	t.members = max(t.members, len(ids))
	t.unstarted += strings.Count(text, "unstarted")
	for _, m := range healthLine.FindAllStringSubmatch(text, 64) {
		if m[2] == "healthy" || m[3] == "healthy" {
			t.healthy++
		} else {
			t.unhealthy++
		}
	}
}

// readHashes reads `endpoint hashkv`: hashes are compared at one revision.
func (t *toolFacts) readHashes(text string) {
	for _, re := range []*regexp.Regexp{hashTable, hashSimple} {
		for _, m := range re.FindAllStringSubmatch(text, 16) {
			rev := m[3]
			t.hashes[rev] = append(t.hashes[rev], m[2])
			t.hashLine = strings.TrimSpace(m[0])
		}
	}
	for _, m := range hashJSON.FindAllStringSubmatch(text, 16) {
		rev := m[4]
		if rev == "" {
			rev = m[2] // 3.4 and 3.5 name the revision of the moment only
		}
		t.hashes[rev] = append(t.hashes[rev], m[3])
		t.hashLine = strings.TrimSpace(m[0])
	}
}

// lowerASCII is text with small letters where it has capital ones of ASCII:
// every byte stays where it is, which strings.ToLower does not promise.
func lowerASCII(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// lineAround is the line of a text that has an offset in it.
func lineAround(text string, at int) string {
	from := strings.LastIndexByte(text[:at], '\n') + 1
	to := strings.IndexByte(text[at:], '\n')
	if to < 0 {
		to = len(text) - at
	}
	return shown(text[from : at+to])
}

// toolCauses adds what the outputs show as a whole.
func (x *explainer) toolCauses() {
	for rev, list := range x.tool.hashes {
		distinct := slices.Compact(slices.Sorted(slices.Values(list)))
		if len(list) < 2 || len(distinct) < 2 {
			continue
		}
		sure := etcdops.Possible // at different moments hashes differ
		if rev != "" {
			sure = etcdops.Certain
		}
		x.addFact("data-inconsistent", sure, sourceEtcdctl, fmt.Sprintf("%s (%d hashes of %d endpoints)", x.tool.hashLine, len(distinct), len(list)))
	}
}

// oddHash reports whether exactly one endpoint differs from a majority that
// agrees at one revision.
func (t *toolFacts) oddHash() bool {
	for rev, list := range t.hashes {
		count := map[string]int{}
		for _, h := range list {
			count[h]++
		}
		if rev == "" || len(count) != 2 || len(list) < 3 {
			continue
		}
		for _, n := range count {
			if n == 1 {
				return true
			}
		}
	}
	return false
}
