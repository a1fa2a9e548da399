//go:build e2e && linux

package samples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
)

// sample is one line of a file, in the schema of the cases from public threads
// with one field more: how it was made.
type sample struct {
	ID           string   `json:"id"`
	Source       string   `json:"source"`
	Title        string   `json:"title"`
	EtcdVersion  *string  `json:"etcd_version"`
	Platform     string   `json:"platform"`
	UnitState    *string  `json:"unit_state"`
	Log          []string `json:"log"`
	PeersLog     []string `json:"peers_log"`
	Etcdctl      []string `json:"etcdctl"`
	MembersDown  *int     `json:"members_down"`
	MembersTotal *int     `json:"members_total"`
	Cause        string   `json:"cause"`
	Also         []string `json:"also"`
	Remedy       string   `json:"remedy"`
	Why          string   `json:"why"`
	Awkward      string   `json:"awkward,omitempty"`
	How          string   `json:"how"`
}

// look is how the lines reach who reads them.
type look string

const (
	plain   look = "plain"   // etcd's own lines
	journal look = "journal" // journalctl, format short
	russian look = "russian" // the same with a Russian locale's months
	cut     look = "cut"     // the same, each line cut by the pager
	docker  look = "docker"  // docker logs --timestamps
	cri     look = "cri"     // a pod's log file
	compose look = "compose" // docker compose logs
)

var looks = map[look]string{
	plain: "", journal: "shown as journalctl -o short shows them", russian: "shown as journalctl shows them with ru_RU",
	cut: "shown as journalctl in a pager 200 wide shows them", docker: "shown as docker logs --timestamps shows them",
	cri: "shown as in a pod's log file", compose: "shown as docker compose logs shows them",
}

// scenario breaks a cluster in one way.
type scenario struct {
	name, title   string
	how           string // what was done
	cause, remedy string
	also          []string
	why, awkward  string
	versions      []string // of etcd
	boxes         []string // versions in which member 2 runs under systemd
	look          look     // of a sample that does not run under systemd
	platform      string   // likewise; as a rule what goes with the look
	unit          string   // state of the unit or container, likewise
	nodes         int      // 0 is 3
	tls           bool
	do            func(l *lab) shot
}

// shot is what a scenario leaves to be kept.
type shot struct {
	log         []line
	bad         *member // whose log it is
	peer        *member
	peers       []line
	ctl         []string
	down, total int
	raw         bool // the log is no etcd's: no prefix
}

var all34 = []string{"3.4", "3.5.35", "3.6.16", "3.7.3"}

// makeSamples set to a folder breaks etcd anew in every way and writes what
// was said into that folder.
const makeSamples = "NOVATUI_MAKE_SAMPLES"

func TestMakeSamples(t *testing.T) {
	dir := os.Getenv(makeSamples)
	if dir == "" {
		t.Skip("set " + makeSamples + " to a folder to break etcd in every way and keep what it says (make samples)")
	}
	dir, err := filepath.Abs(dir)
	must(t, err)
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			for _, v := range s.versions {
				t.Run(v, func(t *testing.T) { s.make(t, v, false, dir) })
			}
			for _, v := range s.boxes {
				t.Run(v+"-systemd", func(t *testing.T) { s.make(t, v, true, dir) })
			}
		})
	}
}

func (s scenario) make(t *testing.T, version string, inBox bool, dir string) {
	n := s.nodes
	if n == 0 {
		n = 3
	}
	l := newLab(t, version, n, s.tls, inBox)
	got := s.do(l)
	id := "produced-" + s.name + "-" + strings.Join(strings.Split(version, ".")[:2], ".")
	out := sample{
		ID: id, Source: "produced", Title: s.title, EtcdVersion: &version, Platform: s.platform, Cause: s.cause,
		Also: append([]string{}, s.also...), Remedy: s.remedy, Why: s.why, Awkward: s.awkward, How: s.how,
		MembersDown: &got.down, MembersTotal: &got.total, PeersLog: []string{}, Etcdctl: []string{}, Log: []string{},
	}
	if version == hosts.DebianVersion {
		full := debianFull(t)
		out.EtcdVersion = &full
	}
	shown, unit := s.look, s.unit
	if shown == "" {
		shown = plain
	}
	if inBox {
		out.ID += "-systemd"
		out.Platform = "systemd"
		out.How += "; the member ran as a systemd unit"
		unit, shown = l.members[1].box.state(), journal
	} else {
		if looks[shown] != "" {
			out.How += "; lines " + looks[shown]
		}
		if out.Platform == "" {
			out.Platform = map[look]string{plain: "unknown", journal: "systemd", russian: "systemd", cut: "systemd",
				docker: "container", compose: "container", cri: "static-pod"}[shown]
		}
	}
	if unit != "" {
		out.UnitState = &unit
	}
	scrub := l.scrubber()
	if got.bad != nil {
		lines := bound(scrubbed(got.log, scrub), 60)
		if inBox || got.raw {
			out.Log = shows(lines, plain, got.bad.name)
		} else {
			out.Log = shows(lines, shown, got.bad.name)
		}
	}
	if got.peer != nil {
		out.PeersLog = shows(bound(scrubbed(got.peers, scrub), 20), shown, got.peer.name)
	}
	out.Etcdctl = append(out.Etcdctl, got.ctl...)
	for i := range out.Etcdctl {
		out.Etcdctl[i] = scrub(out.Etcdctl[i])
	}
	keep(t, filepath.Join(dir, s.cause+".jsonl"), out)
}

var debianFull = func() func(t *testing.T) string {
	var known string
	return func(t *testing.T) string {
		if known == "" {
			out := tool(t, filepath.Join(binaries(t, hosts.DebianVersion), "etcd"), "--version")
			known = strings.TrimSpace(strings.TrimPrefix(strings.Split(out, "\n")[0], "etcd Version:"))
		}
		return known
	}
}()

// keep puts a sample into a file of samples in place of the one of its id.
func keep(t *testing.T, path string, s sample) {
	t.Helper()
	byID := map[string][]byte{}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	in := bufio.NewScanner(bytes.NewReader(old))
	in.Buffer(nil, 1<<22)
	for in.Scan() {
		var x sample
		must(t, json.Unmarshal(in.Bytes(), &x))
		byID[x.ID] = append([]byte(nil), in.Bytes()...)
	}
	must(t, in.Err())
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	must(t, enc.Encode(s))
	byID[s.ID] = bytes.TrimSpace(b.Bytes())
	var ids []string
	for id := range byID {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	var file bytes.Buffer
	for _, id := range ids {
		file.Write(byID[id])
		file.WriteByte('\n')
	}
	must(t, os.WriteFile(path, file.Bytes(), 0o644))
}

func scrubbed(lines []line, scrub func(string) string) []line {
	out := append([]line(nil), lines...)
	for i := range out {
		out[i].text = scrub(out[i].text)
	}
	return out
}

// scrubber takes this machine out of a line.
func (l *lab) scrubber() func(string) string {
	host, err := os.Hostname()
	must(l.t, err)
	var pairs []string
	for _, m := range l.members {
		pairs = append(pairs, m.dir, "/var/lib/etcd", m.bin, "/opt/etcd")
	}
	for _, v := range all34 {
		pairs = append(pairs, binaries(l.t, v), "/opt/etcd")
	}
	pairs = append(pairs, l.dir+"/pki", "/etc/ssl/etcd", l.dir, "/srv/etcd", " "+host+" ", " node ")
	r := strings.NewReplacer(pairs...)
	module := regexp.MustCompile(`/[a-z/]*/pkg/mod/`)
	return func(s string) string { return module.ReplaceAllString(r.Replace(s), "/go/pkg/mod/") }
}

var (
	stamp   = regexp.MustCompile(`^([A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d \S+ )?(\S+\[\d+\]: )?(\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d(\.\d+)? )?`)
	wording = regexp.MustCompile(`"(?:msg|error|logger)":"(?:[^"\\]|\\.)*"`)
	numbers = regexp.MustCompile(`[0-9a-f]*[0-9][0-9a-f]*`)
	trace   = regexp.MustCompile(`("stacktrace":"(?:[^"\\]|\\.){0,160})(?:[^"\\]|\\.)*"`)
	warned  = regexp.MustCompile(`"level":"warn"| W \| |rejected|[Rr]epair|-- Boot `)
	loud    = regexp.MustCompile(`"level":"(error|fatal|panic|dpanic)"|^panic|^fatal| [CEF] \| |unexpected fault|signal SIG|Failed with result|Main process exited`)
)

// meaning is what a line says without its numbers.
func meaning(s string) string {
	if found := wording.FindAllString(s, -1); len(found) > 0 {
		s = strings.Join(found, "")
	} else {
		s = stamp.ReplaceAllString(s, "")
	}
	return numbers.ReplaceAllString(s, "0")
}

const (
	alike     = 3    // lines that say the same: the first two and the last
	frames    = 16   // lines of a stack dump
	lineBytes = 1500 // of one line
)

// bound folds repetition and keeps the first, the loud and the last lines.
func bound(lines []line, most int) []line {
	count := map[string]int{}
	for _, l := range lines {
		count[meaning(l.text)]++
	}
	seen := map[string]int{}
	var folded []line
	dump := 0
	for _, l := range lines {
		key := meaning(l.text)
		seen[key]++
		if n := seen[key]; key != "" && n > alike-1 && n != count[key] {
			continue
		}
		if isDump(l.text) || dump > 0 && strings.TrimSpace(stamp.ReplaceAllString(l.text, "")) == "" {
			if dump++; dump > frames {
				continue
			}
		}
		if trace.MatchString(l.text) {
			l.text = trace.ReplaceAllString(l.text, `$1"`)
		}
		if len(l.text) > lineBytes {
			l.text = l.text[:lineBytes]
		}
		folded = append(folded, l)
	}
	if len(folded) <= most {
		return folded
	}
	first, last := most/4, most/2
	room := most - first - last
	chosen := map[int]bool{}
	for _, rank := range []*regexp.Regexp{loud, warned} {
		for i := first; i < len(folded)-last && len(chosen) < room; i++ {
			if rank.MatchString(folded[i].text) {
				chosen[i] = true
			}
		}
	}
	var out []line
	for i, l := range folded {
		if i < first || i >= len(folded)-last || chosen[i] {
			out = append(out, l)
		}
	}
	return out
}

var goFrame = regexp.MustCompile(`^(\S+\[\d+\]: )?(goroutine \d+|\t|[a-zA-Z0-9_./]+(\.\(\*?\w+\))?\.\w+(\.func\d+)*\(|created by |r\w+ +0x|cs|fs|gs|rip|rflags|runtime)`)

// isDump reports whether a line belongs to a dump of goroutines.
func isDump(s string) bool {
	if strings.HasPrefix(s, "{") {
		return false
	}
	if m := regexp.MustCompile(`^[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d \S+ \S+\[\d+\]: `).FindString(s); m != "" {
		s = s[len(m):]
	}
	return goFrame.MatchString(s)
}

var months = [...]string{"янв", "фев", "мар", "апр", "май", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"}

// shows gives lines as a reader sees them.
func shows(lines []line, how look, host string) []string {
	out := make([]string, 0, len(lines))
	for _, l := range lines {
		s := l.text
		at := l.at
		switch how {
		case journal, russian, cut:
			month := at.Format("Jan")
			if how == russian {
				month = months[at.Month()-1]
			}
			s = fmt.Sprintf("%s %s %s etcd[%d]: %s", month, at.Format("02 15:04:05"), host, l.pid, s)
			if r := []rune(s); how == cut && len(r) > 200 {
				s = string(r[:199]) + ">"
			}
		case docker:
			s = at.UTC().Format(time.RFC3339Nano) + " " + s
		case cri:
			s = at.UTC().Format(time.RFC3339Nano) + " stderr F " + s
		case compose:
			s = host + "-1  | " + s
		case plain:
		}
		out = append(out, s)
	}
	return out
}
