package diagnosis

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/novatui/novatui/etcdops"
)

// Bounds of what is kept of a text, however long it is.
const (
	chunkBytes = 64 << 10 // a line longer than this is read in parts
	keepRuns   = 8        // the newest runs of a text
	keepParsed = 12       // lines with the same words that are taken apart, per run
	keepPeers  = 16       // peers told apart, per pattern
	keepPretty = 64       // lines of one JSON record that stands over several
	keepLast   = 16       // newest lines, for "last words"
)

// pattern is one matcher of one rule.
type pattern struct {
	rule    int // index into knowledge.rules
	role    byte
	nth     int // of With or Unless
	matcher *matcher
}

// The roles of a pattern in its rule.
const (
	asMatch  byte = 'm'
	asWith   byte = 'w'
	asUnless byte = 'u'
)

// index is what the rules look for: the literals of the scanner, and which
// patterns each may fulfil.
type index struct {
	scan     *scanner
	patterns []pattern
	byLit    [][]int // literal → patterns
	marks    litSet  // literals of boundaries and markLiterals
	bounds   litSet  // of boundaries alone
}

// boundaries may begin a run: each of these lines is taken apart.
var boundaries = []string{"running: ", "etcd version:", "starting ", "started ", "-- reboot --", "-- boot "}

// markLiterals tell how far a run came, what cluster it is in, or that
// something went wrong, whatever the rules say.
var markLiterals = []string{
	"ready to serve client requests", "published local member", "published {", "new election at term", "pre-candidate at term",
	"elected leader", "became leader", "lost leader", "changed leader from", "\"level\":\"fatal\"", "\"level\":\"panic\"", "\"level\":\"error\"", "level=fatal",
	"level=error", " c | ", " e | ", "panic: ", "fatal error: ", "etcd-version", "server-version", "[version: ",
	"initial-cluster", "initial_cluster", "remote-peer-id", "became active", "added member", "added peer", "[peers: [", "voters=(",
	"exited", "stopped ", "stopping ", "active: ", "error:", "error from server",
}

// knownIndex is made once.
var knownIndex = sync.OnceValue(func() *index { return newIndex(known()) })

func newIndex(k knowledge) *index {
	ix := &index{}
	number := map[string]int{}
	var literals []string
	lit := func(s string) int {
		n, ok := number[s]
		if !ok {
			n = len(literals)
			number[s] = n
			literals = append(literals, s)
			ix.byLit = append(ix.byLit, nil)
		}
		return n
	}
	for _, m := range boundaries {
		ix.marks.add(lit(m))
		ix.bounds.add(lit(m))
	}
	for _, m := range markLiterals {
		ix.marks.add(lit(m))
	}
	for r := range k.rules {
		rule := &k.rules[r]
		for role, list := range map[byte][]matcher{asMatch: rule.Match, asWith: rule.With, asUnless: rule.Unless} {
			for i := range list {
				p := len(ix.patterns)
				ix.patterns = append(ix.patterns, pattern{rule: r, role: role, nth: i, matcher: &list[i]})
				for _, s := range list[i].needs() {
					n := lit(literalOf(s))
					ix.byLit[n] = append(ix.byLit[n], p)
				}
			}
		}
	}
	if len(literals) > maxLiterals {
		panic("the diagnosis rules look for too many literals")
	}
	ix.scan = newScanner(literals)
	return ix
}

// hit is where a pattern was fulfilled within a run.
type hit struct {
	ExplainedEvidence
	peers []string
	noise bool    // of a harmless rule
	line  lowered // of the first occurrence
}

// explainedRun is what is kept of one process's life.
type explainedRun struct {
	hits   map[int]*hit // by pattern
	alike  map[litSet]*likeness
	first  int
	last   int
	served int // the last line that says it serves; 0: never
	loaded int
	leader int // the last line that says that there is a leader
	noone  int // the last line that says that there is none
	spoke  bool
	banner bool
	pid    int
	ended  bool // somebody says that the process or unit ended
	bad    int  // lines at error and above, or deadly
}

// likeness is a set of words that lines have in common.
type likeness struct {
	parsed int
	signs  sign
	hits   []*hit
}

func newRun() *explainedRun {
	return &explainedRun{hits: map[int]*hit{}, alike: map[litSet]*likeness{}}
}

// said is one text, read.
type said struct {
	source, name string
	runs         []*explainedRun
	spoke        bool            // there was more in it than blank lines
	dropped      int             // older runs
	words        [keepLast]word  // the newest lines, in a ring
	next         int             // where the next one goes
	text         strings.Builder // of a tool's output, bounded
	versions     []release
	signs        clusterSigns
}

// word is a line as it stands.
type word struct {
	line int
	text []byte
}

// read streams a text through the index.
func (x *explainer) read(source string, t Text) error {
	s := &said{source: source, name: t.Name, runs: []*explainedRun{newRun()}}
	x.said = append(x.said, s)
	rd := &textReader{x: x, s: s, ix: knownIndex()}
	br := bufio.NewReaderSize(decoded(t.R), chunkBytes)
	n := 1
	for {
		b, err := br.ReadSlice('\n')
		if len(b) > 0 {
			rd.line(n, b)
		}
		switch {
		case err == nil:
			n++
		case errors.Is(err, bufio.ErrBufferFull): // the line goes on
		case errors.Is(err, io.EOF):
			rd.endPretty()
			x.lines += n
			return nil
		default:
			return err //nolint:wrapcheck // wrapped by Explain with the text's name
		}
	}
}

// textReader takes the lines of one text.
type textReader struct {
	x      *explainer
	s      *said
	ix     *index
	pretty []byte // a JSON record over several lines, so far
	lines  int    // of it
	at     int    // where it began
}

// line takes one line, or a part of a very long one.
func (r *textReader) line(n int, b []byte) {
	if r.inPretty(n, b) {
		return
	}
	r.record(n, b)
}

// inPretty gathers a JSON record that stands over several lines.
func (r *textReader) inPretty(n int, b []byte) bool {
	if r.pretty == nil {
		if len(b) > 3 || b[0] != '{' || len(bytes.TrimSpace(b)) != 1 {
			return false
		}
		r.pretty, r.lines, r.at = append([]byte{}, '{'), 1, n
		return true
	}
	r.pretty = append(r.pretty, ' ')
	r.pretty = append(r.pretty, bytes.TrimSpace(b)...)
	r.lines++
	if b[0] == '}' || r.lines >= keepPretty {
		r.endPretty()
	}
	return true
}

func (r *textReader) endPretty() {
	if r.pretty != nil {
		b := r.pretty
		r.pretty = nil
		r.record(r.at, b)
	}
}

// record takes what may be several records pasted onto one line.
func (r *textReader) record(n int, b []byte) {
	var set litSet
	found := r.ix.scan.scan(b, &set)
	if r.s.source == sourceEtcdctl && r.s.text.Len() < 1<<20 {
		r.s.text.Write(b)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return
	}
	r.s.spoke = true
	if !found {
		r.quiet(n, b)
		return
	}
	if at := bytes.Index(b, []byte(`}{"`)); at > 0 {
		r.record(n, b[:at+1])
		r.record(n, b[at+1:])
		return
	}
	r.loud(n, b, set)
}

// quiet keeps a line that no rule knows among the last words.
func (r *textReader) quiet(n int, b []byte) {
	run := r.run()
	if run.first == 0 {
		run.first = n
	}
	run.last = n
	run.spoke = true
	r.keepWords(n, b)
}

// keepWords keeps the newest lines, without reading them.
func (r *textReader) keepWords(n int, b []byte) {
	w := &r.s.words[r.s.next%keepLast]
	r.s.next++
	w.line = n
	w.text = append(w.text[:0], b[:min(len(b), maxShown)]...)
}

func (r *textReader) run() *explainedRun { return r.s.runs[len(r.s.runs)-1] }

// loud takes a line that has words of a rule or of a mark.
func (r *textReader) loud(n int, b []byte, set litSet) {
	r.keepWords(n, b)
	run := r.run()
	like := run.alike[set]
	if like != nil && like.parsed >= keepParsed && !set.meets(&r.ix.bounds) {
		for _, h := range like.hits {
			h.LastLine = n
			h.Count++
		}
		run.pass(like.signs, n)
		run.last = n
		return
	}
	l := parseLine(etcdops.LogLine{N: n, Text: string(b)})
	low := lower(l)
	low.fragment = true
	var signs sign
	if set.meets(&r.ix.marks) {
		signs = r.mark(n, &low)
		run = r.run()
		like = run.alike[set]
	}
	if run.first == 0 {
		run.first = n
	}
	run.last = n
	run.spoke = run.spoke || l.from == fromEtcd
	if like == nil {
		like = &likeness{}
		if len(run.alike) < 4096 {
			run.alike[set] = like
		}
	}
	like.parsed++
	like.signs |= signs
	r.match(n, &low, set, run, like)
	if isBad(&low) && !r.isNoise(like) {
		run.bad++
	}
}

// isBad reports whether etcd itself calls a line an error or worse.
func isBad(l *lowered) bool {
	return l.from == fromEtcd && (l.level == "fatal" || l.level == "panic" || l.level == "error" || strings.HasPrefix(l.lowMsg, "error"))
}

// isNoise reports whether the rules know lines with these words as harmless.
func (r *textReader) isNoise(like *likeness) bool {
	return slices.ContainsFunc(like.hits, func(h *hit) bool { return h.noise })
}

// match notes every pattern that the line fulfils.
func (r *textReader) match(n int, low *lowered, set litSet, run *explainedRun, like *likeness) {
	var done [16]int
	seen := done[:0]
	for lit := range r.ix.byLit {
		if !set.has(lit) {
			continue
		}
		for _, p := range r.ix.byLit[lit] {
			if slices.Contains(seen, p) {
				continue
			}
			seen = append(seen, p)
			if !r.reads(p) || !r.ix.patterns[p].matcher.matches(low) {
				continue
			}
			h := run.hits[p]
			if h == nil {
				h = &hit{noise: r.x.know.rules[r.ix.patterns[p].rule].harmless(), line: *low, ExplainedEvidence: ExplainedEvidence{Source: r.s.source, File: r.s.name, Line: n, Text: low.text}}
				run.hits[p] = h
			}
			h.Count++
			h.LastLine = n
			h.meet(low)
			if !slices.Contains(like.hits, h) {
				like.hits = append(like.hits, h)
			}
		}
	}
}

// reads reports whether a pattern's rule reads this source.
func (r *textReader) reads(p int) bool {
	in := r.x.know.rules[r.ix.patterns[p].rule].In
	if len(in) == 0 {
		return r.s.source != sourcePeers
	}
	return slices.Contains(in, r.s.source)
}

// meet notes which peer a line is about.
func (h *hit) meet(l *lowered) {
	id := remoteID(l.line)
	if id == "" {
		id = l.field("remote-peer-endpoint")
	}
	if id == "" {
		id = peerInText(l.msg)
	}
	if id != "" && len(h.peers) < keepPeers && !slices.Contains(h.peers, id) {
		h.peers = append(h.peers, id)
	}
}
