package diagnosis

import "strings"

// maxLiterals bounds how many different literals the rules may look for.
const maxLiterals = 1024

// litSet is a set of literals, by number.
type litSet [maxLiterals / 64]uint64

func (s *litSet) add(n int)      { s[n/64] |= 1 << (n % 64) }
func (s *litSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

// meets reports whether two sets have a literal in common.
func (s *litSet) meets(o *litSet) bool {
	for i := range s {
		if s[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// scanner finds which of many literals occur in a line, in one pass and
// ignoring the case of ASCII letters (Aho and Corasick, Communications of the
// ACM 18, 1975, as a table over classes of bytes). Nearly every line of a long
// journal says nothing to any rule; this is what makes that cheap to know.
type scanner struct {
	class   [256]uint8
	classes int
	next    []int32 // state*classes + class; states that accept come last
	accepts int32   // the first state (times classes) that accepts
	out     [][]int // literals of an accepting state, by its place behind accepts
}

// trieNode is a node of the scanner while it is built.
type trieNode struct {
	child map[uint8]int
	fail  int
	out   []int
}

// newScanner builds the table for literals in lower case.
func newScanner(literals []string) *scanner {
	s := &scanner{}
	s.classify(literals)
	trie := []trieNode{{child: map[uint8]int{}}}
	for n, lit := range literals {
		at := 0
		for i := range len(lit) {
			c := s.class[lit[i]]
			to, ok := trie[at].child[c]
			if !ok {
				to = len(trie)
				trie = append(trie, trieNode{child: map[uint8]int{}})
				trie[at].child[c] = to
			}
			at = to
		}
		trie[at].out = append(trie[at].out, n)
	}
	order := linkFailures(trie)
	s.fill(trie, order)
	return s
}

// classify gives every byte that occurs in a literal a class, and one to all
// others together.
func (s *scanner) classify(literals []string) {
	s.classes = 1
	for _, lit := range literals {
		for i := range len(lit) {
			c := lit[i]
			if s.class[c] != 0 {
				continue
			}
			s.class[c] = uint8(s.classes) //nolint:gosec // at most 230 different bytes: capitals are folded
			s.classes++
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		s.class[c-'a'+'A'] = s.class[c]
	}
}

// linkFailures sets where each node falls back to, and returns the nodes
// breadth first.
func linkFailures(trie []trieNode) []int {
	order := []int{0}
	for i := 0; i < len(order); i++ {
		at := order[i]
		for c, to := range trie[at].child {
			order = append(order, to)
			if at == 0 {
				continue
			}
			f := trie[at].fail
			for {
				if t, ok := trie[f].child[c]; ok {
					trie[to].fail = t
					break
				}
				if f == 0 {
					break
				}
				f = trie[f].fail
			}
		}
	}
	for _, at := range order[1:] {
		trie[at].out = append(trie[at].out, trie[trie[at].fail].out...)
	}
	return order
}

// fill writes the table: a state's number is its place in it, so that a step
// is one addition and one load.
func (s *scanner) fill(trie []trieNode, order []int) {
	number := make([]int32, len(trie))
	n := int32(0)
	for _, accepting := range []bool{false, true} {
		if accepting {
			s.accepts = n * int32(s.classes)
		}
		for _, at := range order {
			if len(trie[at].out) > 0 == accepting {
				number[at] = n
				n++
			}
		}
	}
	s.next = make([]int32, len(trie)*s.classes)
	s.out = make([][]int, len(trie)-int(s.accepts)/s.classes)
	for _, at := range order { // breadth first: what a node falls back to is filled
		row := int(number[at]) * s.classes
		back := int(number[trie[at].fail]) * s.classes
		for c := range s.classes {
			if to, ok := trie[at].child[uint8(c)]; ok { //nolint:gosec // below 256
				s.next[row+c] = number[to] * int32(s.classes)
			} else if at != 0 {
				s.next[row+c] = s.next[back+c]
			}
		}
		if int32(row) >= s.accepts {
			s.out[(row-int(s.accepts))/s.classes] = trie[at].out
		}
	}
}

// scan adds the literals that occur in b to set, and reports whether there are
// any.
func (s *scanner) scan(b []byte, set *litSet) bool {
	state, next, accepts, found := int32(0), s.next, s.accepts, false
	for _, c := range b {
		state = next[int(state)+int(s.class[c])]
		if state >= accepts {
			found = true
			for _, n := range s.out[int(state-accepts)/s.classes] {
				set.add(n)
			}
		}
	}
	return found
}

// literalOf is the longest part of a text that stands in a raw journal line as
// it is: a quotation mark is escaped inside JSON.
func literalOf(text string) string {
	best := ""
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\"\\\n\t<>&", r) }) {
		if len(part) > len(best) {
			best = part
		}
	}
	return best
}
