package diagnosis

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets"
	"github.com/novatui/novatui/etcdops"
)

// kind is what is known about a cause id, whatever led to it
// (rules/causes.yaml).
type kind struct {
	ID string `yaml:"id"`
	// Data: the cause is broken, lost or foreign data of this member.
	Data bool `yaml:"data"`
	// Outside: the cause lies outside the data; a rejoin or restore would not
	// help.
	Outside bool `yaml:"outside"`
	// SparesData: a member that is down for this cause alone still has whole
	// data.
	SparesData bool `yaml:"spares_data"`
	// RejoinFixes: a rejoin writes anew what is wrong, so an open cause of
	// this kind does not forbid it.
	RejoinFixes bool `yaml:"rejoin_fixes"`
	// Explains are the causes that are often only a consequence of this one
	// on the same member.
	Explains []string `yaml:"explains"`
	// Remedy is what explain answers for the cause (a word of the cases' list);
	// "data" leaves it to quorum.
	Remedy string   `yaml:"remedy"`
	Do     []string `yaml:"do"`
	DoNot  []string `yaml:"do_not"`
}

// rule says which log lines mean which cause (rules/log-*.yaml).
type rule struct {
	ID         string             `yaml:"id"` // CAUSE/what
	Confidence etcdops.Confidence `yaml:"confidence"`
	// Match: any of these lines is the evidence.
	Match []matcher `yaml:"match"`
	// With: each of these must be matched by some line of the same run.
	With []matcher `yaml:"with"`
	// Unless: a line of the same run that matches takes the evidence away.
	Unless []matcher `yaml:"unless"`
	// Last: the line counts only if the process ended over it: it did not
	// serve afterwards, and its unit's last exit was not a clean or a killed one.
	Last bool `yaml:"last"`
	// Stays: a later start that reads its data does not disprove it; only one
	// that served does.
	Stays bool `yaml:"stays"`
	// Healthy: the line counts on a healthy member too.
	Healthy bool `yaml:"healthy"`
	// When and Not name conditions on the node's facts (conditions.go).
	When []string `yaml:"when"`
	Not  []string `yaml:"not"`
	// Past names conditions under which what the line says is over: it is then
	// no more than possible, and has the words of the variant "past".
	Past []string `yaml:"past"`
	// Blames is "remote" when the line is about the peer that it names.
	Blames string `yaml:"blames"`
	// Variant chooses other words than the cause's own.
	Variant string `yaml:"variant"`
	// In names the sources that the rule reads: log (the default: log, etcdctl
	// and unit), peers. diagnose has the log alone.
	In anyOf `yaml:"in"`
	// Pasted: only for explain, which has no facts and must judge by weaker signs.
	Pasted bool `yaml:"pasted"`
	// Passes: a symptom that is over once there is a leader again, on a member
	// that runs.
	Passes bool `yaml:"passes"`
	// Peers is how many different peers the lines must be about.
	Peers int `yaml:"peers"`
	// Remedy is another than the cause's own.
	Remedy string `yaml:"remedy"`
	// Versions are the releases that a defect is in: ranges such as
	// "3.5.0-3.5.2". Where the version is not known, Unversioned is how sure
	// the rule is (default: it does not count).
	Versions    anyOf              `yaml:"versions"`
	Unversioned etcdops.Confidence `yaml:"unversioned"`
	// From is the source of the knowledge.
	From string `yaml:"from"`
	// Cause is the part of ID before the slash.
	Cause string `yaml:"-"`
}

// harmless reports whether the rule's lines are no sign of a fault by
// themselves.
func (r *rule) harmless() bool { return r.Passes || r.Cause == "healthy" }

// matcher matches a line when everything that it names is found in it: text
// is looked for in the message and the error, ignoring case; every list is
// "one of".
type matcher struct {
	Text   anyOf             `yaml:"text"`  // in message or error
	Msg    anyOf             `yaml:"msg"`   // in the message
	Error  anyOf             `yaml:"error"` // in the error; in a line that is not JSON, in the message
	Caller anyOf             `yaml:"caller"`
	Level  anyOf             `yaml:"level"`
	Origin string            `yaml:"origin"`
	Fields map[string]string `yaml:"fields"` // of a JSON line, equal
	Is     anyOf             `yaml:"is"`     // named tests of the line (tests in lines.go), all of them
}

// anyOf is one string or a list of alternatives, in lower case.
type anyOf []string

// UnmarshalYAML accepts a string or a list of strings.
func (a *anyOf) UnmarshalYAML(n *yaml.Node) error {
	var list []string
	if n.Kind == yaml.ScalarNode {
		list = []string{n.Value}
	} else if err := n.Decode(&list); err != nil {
		return fmt.Errorf("a string or a list of strings: %w", err)
	}
	for _, s := range list {
		*a = append(*a, strings.ToLower(s))
	}
	return nil
}

func (a anyOf) in(lower string) bool {
	if len(a) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(s string) bool { return strings.Contains(lower, s) })
}

// lowered is a line with the texts that rules look into.
type lowered struct {
	line
	lowMsg, lowErr, lowCaller string
	fragment                  bool // may have lost its level: a line out of its journal
}

func lower(l line) lowered {
	return lowered{
		line: l, lowMsg: strings.ToLower(l.msg), lowErr: strings.ToLower(l.err),
		lowCaller: strings.ToLower(l.caller),
	}
}

// errorText is where an error stands: in a line that is not JSON, in the
// message.
func (l *lowered) errorText() string {
	if l.json {
		return l.lowErr
	}
	return l.lowMsg
}

func (m matcher) matches(l *lowered) bool {
	if m.Origin != "" && m.Origin != string(l.from) {
		return false
	}
	if !m.Msg.in(l.lowMsg) {
		return false
	}
	if !m.Error.in(l.errorText()) {
		return false
	}
	if !m.Text.in(l.lowMsg) && (l.err == "" || !m.Text.in(l.lowErr)) {
		return false
	}
	if !m.Caller.in(l.lowCaller) || len(m.Level) > 0 && !slices.Contains(m.Level, l.level) && (l.level != "" || !l.fragment) {
		return false
	}
	if !all(m.Is, func(name string) bool { return lineTests[name](l) }) {
		return false
	}
	for key, value := range m.Fields {
		if l.field(key) != value {
			return false
		}
	}
	return true
}

// knowledge is everything that assets/rules holds.
type knowledge struct {
	kinds map[string]kind
	order []string // the ids of kinds as the file lists them, roots first
	rules []rule
}

func (k knowledge) rank(cause string) int {
	if at := slices.Index(k.order, cause); at >= 0 {
		return at
	}
	return len(k.order)
}

// known parses the rules when they are first needed. A rule that does not
// parse is a defect of the build that the tests find, hence the panic.
var known = sync.OnceValue(func() knowledge {
	k, err := readRules(assets.Rules)
	if err != nil {
		panic("reading the diagnosis rules: " + err.Error())
	}
	return k
})

// readRules reads rules/causes.yaml and rules/log-*.yaml of a file system and
// refuses unknown keys, causes and conditions.
func readRules(fsys fs.FS) (knowledge, error) {
	var k knowledge
	var kinds []kind
	if err := readYAML(fsys, "rules/causes.yaml", &kinds); err != nil {
		return k, err
	}
	k.kinds = map[string]kind{}
	for _, kd := range kinds {
		k.kinds[kd.ID] = kd
		k.order = append(k.order, kd.ID)
	}
	for _, kd := range kinds {
		for _, id := range kd.Explains {
			if _, ok := k.kinds[id]; !ok {
				return k, fmt.Errorf("cause %s explains %s, which is no cause", kd.ID, id)
			}
		}
	}
	files, err := fs.Glob(fsys, "rules/*.yaml")
	if err != nil {
		return k, fmt.Errorf("listing the rules: %w", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		if file == "rules/causes.yaml" {
			continue
		}
		var rules []rule
		if err := readYAML(fsys, file, &rules); err != nil {
			return k, err
		}
		for _, r := range rules {
			if err := k.check(&r); err != nil {
				return k, fmt.Errorf("%s: rule %s: %w", file, r.ID, err)
			}
			if seen[r.ID] {
				return k, fmt.Errorf("%s: rule %s stands twice", file, r.ID)
			}
			seen[r.ID] = true
			k.rules = append(k.rules, r)
		}
	}
	return k, nil
}

func (k knowledge) check(r *rule) error {
	var ok bool
	if r.Cause, _, ok = strings.Cut(r.ID, "/"); !ok {
		return fmt.Errorf("its id is not CAUSE/WHAT")
	}
	if _, ok := k.kinds[r.Cause]; !ok {
		return fmt.Errorf("%s is no cause", r.Cause)
	}
	if len(r.Match) == 0 || r.From == "" {
		return fmt.Errorf("it matches nothing or does not say where the knowledge is from")
	}
	switch r.Confidence {
	case etcdops.Certain, etcdops.Likely, etcdops.Possible:
	default:
		return fmt.Errorf("confidence %q", r.Confidence)
	}
	if err := r.checkPasted(); err != nil {
		return err
	}
	if r.Blames != "" && r.Blames != "remote" {
		return fmt.Errorf("blames %q", r.Blames)
	}
	for _, c := range slices.Concat(r.When, r.Not, r.Past) {
		if conditions[c] == nil {
			return fmt.Errorf("condition %q is unknown", c)
		}
	}
	return nil
}

// checkPasted checks what only explain uses.
func (r *rule) checkPasted() error {
	for _, in := range r.In {
		if !slices.Contains(sourceNames, in) {
			return fmt.Errorf("source %q", in)
		}
	}
	if r.Remedy != "" && !slices.Contains(remedies, Remedy(r.Remedy)) {
		return fmt.Errorf("remedy %q", r.Remedy)
	}
	for _, m := range slices.Concat(r.Match, r.With, r.Unless) {
		for _, name := range m.Is {
			if lineTests[name] == nil {
				return fmt.Errorf("no test of lines is called %q", name)
			}
		}
		if len(m.needs()) == 0 {
			return fmt.Errorf("a matcher without text, msg or error reads every line")
		}
	}
	for _, v := range r.Versions {
		if _, err := parseRange(v); err != nil {
			return err
		}
	}
	return nil
}

// needs are the alternatives of which a line must have one, of the list that
// tells most.
func (m matcher) needs() anyOf {
	var best anyOf
	shortest := 0
	for _, list := range []anyOf{m.Msg, m.Text, m.Error} {
		least := 1 << 10
		for _, s := range list {
			least = min(least, len(literalOf(s)))
		}
		if len(list) > 0 && least > shortest {
			best, shortest = list, least
		}
	}
	return best
}

func readYAML(fsys fs.FS, path string, into any) error {
	f, err := fsys.Open(path)
	if err != nil {
		return fmt.Errorf("opening a rule file: %w", err)
	}
	defer func() { _ = f.Close() }()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
