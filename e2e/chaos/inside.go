package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Lengths runs novatui to its end and tells how long each step took from its
// first command, or from its intent where it has no command, to its end.
func Lengths(c *exec.Cmd) (map[string]time.Duration, Answer, error) {
	began, lengths := map[string]time.Time{}, map[string]time.Duration{}
	a, err := Watch(c, func(e Event, _ *os.Process, _ *sync.WaitGroup, _ <-chan struct{}) {
		switch _, inside := began[e.Step]; {
		case e.Type == "step-intent", e.Type == "command" && !inside:
			began[e.Step] = e.Time
		case e.Type == "step-done" && inside:
			lengths[e.Step] = e.Time.Sub(began[e.Step])
		}
	})
	return lengths, a, err
}

// KillInside runs novatui and kills it with signal 9 some time after a step's
// first command was begun. came reports whether the run came by the step, inside
// whether it died before the step had ended.
func KillInside(c *exec.Cmd, step string, wait time.Duration) (came, inside bool, a Answer, err error) {
	var mu sync.Mutex
	killed := false
	a, err = Watch(c, func(e Event, p *os.Process, beside *sync.WaitGroup, ended <-chan struct{}) {
		mu.Lock()
		defer mu.Unlock()
		if e.Step != step {
			return
		}
		switch e.Type {
		case "step-intent", "command":
			if came {
				return
			}
			came, inside = true, true
			beside.Go(func() {
				if after(wait, ended) {
					mu.Lock()
					defer mu.Unlock()
					killed = p.Kill() == nil
				}
			})
		case "step-done", "step-skipped":
			inside = false
		}
	})
	return came, inside && killed && a.Exit == exitKilled, a, err
}

// Moment is a step and how long after its begin something happens in it.
type Moment struct {
	Step string
	Wait time.Duration
}

// Moments draws, by a seed, a moment within each of the steps whose lengths are
// known, in the order of their names; most of them at most, drawn too.
func Moments(lengths map[string]time.Duration, seed uint64, most int) []Moment {
	r := rand.New(rand.NewPCG(seed, 0x6d6f6d656e74)) //nolint:gosec // the same for the same seed is what is wanted
	var all []Moment
	for step, length := range lengths {
		all = append(all, Moment{step, length})
	}
	slices.SortFunc(all, func(a, b Moment) int {
		if a.Step < b.Step {
			return -1
		}
		return 1
	})
	for i := range all {
		all[i].Wait = time.Duration(r.Int64N(int64(all[i].Wait)*8/10 + 1))
	}
	if most < len(all) {
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:most]
	}
	return all
}

// In is the moment in another plan of the same procedure: where that has the step
// on another node (a snapshot comes from whoever is no leader), it is there.
func (m Moment) In(file string) (Moment, error) {
	p, err := ReadPlan(file)
	if err != nil {
		return m, err
	}
	steps := p.Steps()
	kind, _ := kindOf(m.Step)
	alike := slices.IndexFunc(steps, func(s string) bool { k, _ := kindOf(s); return k == kind })
	if !slices.Contains(steps, m.Step) && alike >= 0 {
		m.Step = steps[alike]
	}
	return m, nil
}

// String names a moment.
func (m Moment) String() string { return fmt.Sprintf("%s +%v", m.Step, m.Wait.Round(time.Millisecond)) }
