package inventory

import (
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// parser walks the YAML nodes and collects every problem instead of stopping at
// the first: whoever fixes a file at night wants to do it once.
type parser struct {
	file     string
	dir      string // relative paths start here
	home     string // what ~ stands for; empty when unknown
	errors   Problems
	warnings []Problem
}

func (p *parser) fail(line int, text msg.Msg) {
	p.errors = append(p.errors, Problem{File: p.file, Line: line, Text: text})
}

func (p *parser) warn(line int, text msg.Msg) {
	p.warnings = append(p.warnings, Problem{File: p.file, Line: line, Text: text})
}

// follow returns what an alias stands for. An alias of an alias does not exist
// in YAML, so one step is enough.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// mapping returns the values of a mapping by key and reports unknown and
// repeated keys. A key without a value counts as not given.
func (p *parser) mapping(n *yaml.Node, where msg.Msg, known []string) (map[string]*yaml.Node, bool) {
	n = follow(n)
	if n.Kind != yaml.MappingNode {
		p.fail(n.Line, msg.M("inventory.not-a-mapping", "where", where, "known", known))
		return nil, false
	}
	values, lines := map[string]*yaml.Node{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), follow(n.Content[i+1])
		name := key.Value
		switch first, twice := lines[name], lines[name] > 0; {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, name):
			p.unknownKey(key, where, known)
			continue
		case twice:
			p.fail(key.Line, msg.M("inventory.key-twice", "key", name, "line", first))
			continue
		}
		lines[name] = key.Line
		if value.Tag != "!!null" {
			values[name] = value
		}
	}
	return values, true
}

func (p *parser) unknownKey(key *yaml.Node, where msg.Msg, known []string) {
	name := key.Value
	if key.Kind != yaml.ScalarNode {
		name = "…"
	}
	shown := remote.Clean(shorten(name))
	near := nearest(name, known)
	switch {
	case near != "":
		p.fail(key.Line, msg.M("inventory.unknown-key-near", "key", shown, "where", where, "near", near))
	case slices.Contains(known, "ssh") && slices.Contains(sshKeys, name):
		p.fail(key.Line, msg.M("inventory.key-belongs", "key", shown, "block", "ssh"))
	case slices.Contains(known, "etcd") && slices.Contains(etcdKeys, name):
		p.fail(key.Line, msg.M("inventory.key-belongs", "key", shown, "block", "etcd"))
	default:
		p.fail(key.Line, msg.M("inventory.unknown-key", "key", shown, "where", where, "known", known))
	}
}

// list returns the items of a sequence.
func (p *parser) list(n *yaml.Node, key string) []*yaml.Node {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		p.fail(n.Line, msg.M("inventory.not-a-list", "key", key))
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = follow(item)
	}
	return items
}

// text returns a scalar that is safe to put into commands, paths and screens:
// control characters, line breaks and characters that reorder text could make
// one thing look like another.
func (p *parser) text(n *yaml.Node, key string) (string, bool) {
	n = follow(n)
	switch {
	case n.Kind != yaml.ScalarNode:
		p.fail(n.Line, msg.M("inventory.not-text", "key", key))
		return "", false
	case n.Value == "":
		p.fail(n.Line, msg.M("inventory.empty-value", "key", key))
		return "", false
	case !printable(n.Value):
		p.fail(n.Line, msg.M("inventory.control", "key", key, "value", shown(n.Value)))
		return "", false
	case strings.TrimSpace(n.Value) != n.Value:
		p.fail(n.Line, msg.M("inventory.spaces", "key", key, "value", shown(n.Value)))
		return "", false
	}
	return n.Value, true
}

func printable(s string) bool {
	return remote.Clean(s) == s && !strings.ContainsAny(s, "\n\t") && !strings.ContainsRune(s, '\ufffd')
}

// shown is a value as problems quote it: cleaned, on one line, not endless.
func shown(s string) string {
	s = strings.NewReplacer("\n", "␊", "\t", "␉").Replace(remote.Clean(s))
	return shorten(s)
}

func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// choice takes one of several words; without a value, into stays as it is.
func (p *parser) choice(n *yaml.Node, key string, into *string, words ...string) {
	if n == nil {
		return
	}
	value, ok := p.text(n, key)
	if !ok {
		return
	}
	if slices.Contains(words, value) {
		*into = value
		return
	}
	if near := nearest(value, words); near != "" {
		p.fail(n.Line, msg.M("inventory.bad-word-near", "key", key, "value", shown(value), "near", near))
		return
	}
	p.fail(n.Line, msg.M("inventory.bad-word", "key", key, "value", shown(value), "words", words))
}

// nearest is the word that was probably meant: at most two letters differ, and
// less than half of it.
func nearest(s string, words []string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	best, distance := "", 3
	for _, w := range words {
		if d := levenshtein(s, w); d < distance && 2*d < len(w) {
			best, distance = w, d
		}
	}
	return best
}

func levenshtein(a, b string) int {
	if len(a) > 64 {
		return len(a) // No key is that long; do not compare at length.
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
