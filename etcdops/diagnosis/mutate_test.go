package diagnosis

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutations are ways in which evidence gets lost or mixed up on its way to us.
var mutations = []struct {
	name string
	do   func(c *realCase, rng *rand.Rand, noise []string)
}{
	{"lines dropped", func(c *realCase, rng *rand.Rand, _ []string) {
		for _, list := range c.texts() {
			*list = slices.DeleteFunc(*list, func(string) bool { return rng.IntN(3) == 0 })
		}
	}},
	{"most lines dropped", func(c *realCase, rng *rand.Rand, _ []string) {
		for _, list := range c.texts() {
			*list = slices.DeleteFunc(*list, func(string) bool { return rng.IntN(4) > 0 })
		}
	}},
	{"lines shuffled", func(c *realCase, rng *rand.Rand, _ []string) {
		for _, list := range c.texts() {
			l := *list
			rng.Shuffle(len(l), func(i, k int) { l[i], l[k] = l[k], l[i] })
		}
	}},
	{"lines cut off at their end", func(c *realCase, rng *rand.Rand, _ []string) {
		for _, list := range c.texts() {
			for i, s := range *list {
				if rng.IntN(3) == 0 && len(s) > 0 {
					(*list)[i] = s[:rng.IntN(len(s))] + ">"
				}
			}
		}
	}},
	{"a healthy member's lines mixed in", func(c *realCase, rng *rand.Rand, noise []string) {
		for range 12 {
			at := rng.IntN(len(c.Log) + 1)
			c.Log = slices.Insert(c.Log, at, noise[rng.IntN(len(noise))])
		}
	}},
	{"a healthy start behind", func(c *realCase, rng *rand.Rand, noise []string) {
		c.Log = append(c.Log, noise[:rng.IntN(len(noise))]...)
	}},
	{"only the first half", func(c *realCase, _ *rand.Rand, _ []string) { c.Log = c.Log[:len(c.Log)/2] }},
	{"only the last half", func(c *realCase, _ *rand.Rand, _ []string) { c.Log = c.Log[len(c.Log)/2:] }},
	{"other sources lost", func(c *realCase, _ *rand.Rand, _ []string) { c.PeersLog, c.Etcdctl, c.UnitState = nil, nil, "" }},
	{"numbers lost", func(c *realCase, rng *rand.Rand, _ []string) {
		if rng.IntN(2) == 0 {
			c.MembersDown = nil
		}
		c.MembersTotal = nil
	}},
	{"more members down", func(c *realCase, rng *rand.Rand, _ []string) {
		if c.MembersDown != nil && c.MembersTotal != nil {
			down := *c.MembersDown + rng.IntN(*c.MembersTotal-*c.MembersDown+1)
			c.MembersDown = &down
		}
	}},
	{"another size of cluster", func(c *realCase, rng *rand.Rand, _ []string) {
		// What was withheld because nothing told the numbers may be said when
		// something does; that is no mutation of the same evidence.
		if c.Remedy != string(RemedyUnsafe) {
			down := rng.IntN(4)
			total := down + rng.IntN(4) + 1
			c.MembersDown, c.MembersTotal = &down, &total
		}
	}},
}

func (c *realCase) texts() []*[]string { return []*[]string{&c.Log, &c.PeersLog, &c.Etcdctl} }

func (c realCase) clone() realCase {
	c.Log, c.PeersLog, c.Etcdctl = slices.Clone(c.Log), slices.Clone(c.PeersLog), slices.Clone(c.Etcdctl)
	return c
}

// TestMutatedCases: with parts of it lost or mixed up, evidence may carry less.
// It never carries rejoin or restore where the case has neither.
func TestMutatedCases(t *testing.T) {
	noise := readSample(t, "testdata/healthy.log").lines
	rng := rand.New(rand.NewPCG(2026, 11))
	tried, weaker := 0, 0
	for _, file := range caseFiles(t) {
		for _, c := range readCases(t, file) {
			wants := Remedy(c.Remedy)
			for _, m := range mutations {
				times := 1 // of the samples there are many
				if strings.Contains(file, "cases") {
					times = 2
				}
				for range times {
					mutant := c.clone()
					m.do(&mutant, rng, noise)
					x := mutant.explain(t)
					tried++
					switch {
					case destroys(x.Remedy) && !destroys(wants):
						t.Errorf("%s/%s, %s: %s became %s (%s)", filepath.Base(file), c.ID, m.name, wants, x.Remedy, x.Causes[0].ID)
					case x.Remedy != wants:
						weaker++
					}
				}
			}
		}
	}
	t.Logf("%d mutations, %d other answers than the case's", tried, weaker)
	if tried < 2000 {
		t.Errorf("only %d mutations", tried)
	}
}
