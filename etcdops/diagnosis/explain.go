package diagnosis

import (
	"fmt"
	"io"
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// Remedy is what explain answers, in the words of the cases' list.
type Remedy string

// The remedies.
const (
	RemedyRestart Remedy = "restart"
	RemedyRejoin  Remedy = "rejoin"
	RemedyRestore Remedy = "restore"
	RemedyFix     Remedy = "fix-cause-then-restart"
	RemedyWait    Remedy = "wait"
	RemedyNone    Remedy = "none"
	RemedyUnsafe  Remedy = "unsafe-to-act" // the evidence does not allow a choice
	// remedyByQuorum stands in rules/causes.yaml for: quorum decides.
	remedyByQuorum Remedy = "data"
)

var remedies = []Remedy{
	RemedyRestart, RemedyRejoin, RemedyRestore, RemedyFix, RemedyWait, RemedyNone, RemedyUnsafe, remedyByQuorum,
}

// The sources that explain reads.
const (
	sourceLog     = "log"
	sourcePeers   = "peers"
	sourceEtcdctl = "etcdctl"
	sourceUnit    = "unit"
)

var sourceNames = []string{sourceLog, sourcePeers, sourceEtcdctl, sourceUnit}

// Text is a text to explain, with the name to show for it (a file's).
type Text struct {
	Name string
	R    io.Reader
}

// Unknown is a number of members that is not known.
const Unknown = -1

// Input is everything that explain may look at. Members and Down are Unknown
// or the number of all members and of those that are down.
type Input struct {
	Log       []Text // the bad member's journal or container log
	Peers     []Text // a healthy peer's
	Etcdctl   []Text // what etcdctl and similar tools printed
	UnitState string // as systemctl or kubectl says it
	Members   int
	Down      int
	Version   string // of etcd, where it is known; else it is looked for in the texts
}

// ExplainedEvidence is a line that a cause rests on: its first occurrence, and
// how often and where last the same was said.
type ExplainedEvidence struct {
	Source   string `json:"source"` // log, peers, etcdctl or unit
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"` // within the file, from 1
	Text     string `json:"text"`           // cleaned
	LastLine int    `json:"last_line,omitempty"`
	Count    int    `json:"count,omitempty"`
}

// same reports whether both are the same line.
func (e ExplainedEvidence) same(o ExplainedEvidence) bool {
	return e.Source == o.Source && e.File == o.File && e.Line == o.Line && e.Text == o.Text
}

// ExplainedCause is one cause with what it rests on.
type ExplainedCause struct {
	ID         string
	Confidence etcdops.Confidence
	Evidence   []ExplainedEvidence
	Title      msg.Msg
	Why        msg.Msg
	Do, DoNot  []msg.Msg
}

// Explanation is the answer: causes best first, and what to do.
type Explanation struct {
	Remedy Remedy
	Causes []ExplainedCause
	// Verdict is the answer in one sentence, Why the reason for the remedy.
	Verdict, Why msg.Msg
	Lines        int // read
}

// Explain names the causes that texts speak of, and the remedy. It reads every
// text once, as a stream, in bounded memory, and looks at nothing else. The
// error is one of reading; whatever could be read is explained.
func Explain(in Input) (Explanation, error) {
	x := &explainer{know: known(), in: in}
	for _, part := range []struct {
		source string
		texts  []Text
	}{{sourceLog, in.Log}, {sourcePeers, in.Peers}, {sourceEtcdctl, in.Etcdctl}} {
		for _, t := range part.texts {
			if err := x.read(part.source, t); err != nil {
				return Explanation{}, fmt.Errorf("reading %s: %w", t.Name, err)
			}
		}
	}
	x.readUnit()
	x.version()
	x.count()
	for _, s := range x.said {
		x.judge(s)
	}
	x.context()
	x.rank()
	return x.answer(), nil
}

// explainer holds what is known while an explanation is made.
type explainer struct {
	know     knowledge
	in       Input
	said     []*said // one a text
	release  release
	members  int // of the cluster, or Unknown
	down     int
	findings []finding
	causes   []weighed
	tool     toolFacts
	lines    int
}

// finding is one rule that holds over one run of one text.
type finding struct {
	rule     *rule
	cause    string
	sure     etcdops.Confidence
	evidence ExplainedEvidence
	remedy   Remedy
	peers    int // how many peers its lines name
}

// weighed is a cause with everything that speaks for it.
type weighed struct {
	id       string
	sure     etcdops.Confidence
	variant  string
	remedy   Remedy // of the surest rule; empty: the cause's own
	evidence []ExplainedEvidence
}

func (x *explainer) cause(id string) *weighed {
	if at := slices.IndexFunc(x.causes, func(c weighed) bool { return c.id == id }); at >= 0 {
		return &x.causes[at]
	}
	return nil
}

// sureOf is the weight of a cause, 0 where nothing speaks for it.
func (x *explainer) sureOf(id string) int {
	if c := x.cause(id); c != nil {
		return weight(c.sure)
	}
	return 0
}

// add puts evidence to its cause; the surest rule gives words and remedy.
func (x *explainer) add(f finding, variant string) {
	c := x.cause(f.cause)
	if c == nil {
		x.causes = append(x.causes, weighed{id: f.cause})
		c = &x.causes[len(x.causes)-1]
	}
	x.findings = append(x.findings, f)
	// Of two that are as sure, the one that says what to do goes before the one
	// that does not, or that does not know.
	tells := f.sure == c.sure && f.remedy != "" && f.remedy != RemedyUnsafe && (c.remedy == "" || c.remedy == RemedyUnsafe)
	if weight(f.sure) > weight(c.sure) || tells || f.sure == c.sure && f.remedy != "" && c.remedy == "" {
		c.sure, c.variant, c.remedy = f.sure, variant, f.remedy
		c.evidence = slices.DeleteFunc(c.evidence, f.evidence.same) // two rules read one line
		c.evidence = append([]ExplainedEvidence{f.evidence}, c.evidence...)
	} else if !slices.ContainsFunc(c.evidence, f.evidence.same) {
		c.evidence = append(c.evidence, f.evidence)
	}
	if len(c.evidence) > maxShownLines {
		c.evidence = c.evidence[:maxShownLines]
	}
}

// maxShownLines is how many lines are shown for one cause.
const maxShownLines = 6

// addFact adds a cause that no line alone says.
func (x *explainer) addFact(id string, sure etcdops.Confidence, source, text string) {
	x.add(finding{cause: id, sure: sure, evidence: ExplainedEvidence{Source: source, Text: shown(text)}}, "")
}

// found reports whether a rule holds.
func (x *explainer) found(ruleID string) bool {
	return slices.ContainsFunc(x.findings, func(f finding) bool { return f.rule != nil && f.rule.ID == ruleID })
}
