package chaos_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/chaos"
)

// The two programs of these tests, built when they are first needed: the
// operator's, with the points at which it can be killed, and the one that plays
// the lab. Under the race detector the operator's is under it as well.
var programs struct {
	dir, operator, lab string
	once               sync.Once
	err                error
}

// What the tests on hosts have to do before and after all others (hosts_test.go).
var (
	companion = func() {}
	closing   = func() error { return nil }
)

func TestMain(m *testing.M) {
	companion()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	var err error
	if programs.dir, err = os.MkdirTemp("", "novatui-chaos-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := closing(); err != nil {
			fmt.Fprintln(os.Stderr, "taking the hosts down:", err)
			code = 1
		}
		_ = os.RemoveAll(programs.dir) // a temporary folder of ours
	}()
	return m.Run()
}

// build makes the programs.
func build(t testing.TB) {
	t.Helper()
	programs.once.Do(func() {
		programs.lab = filepath.Join(programs.dir, "novatui")
		programs.operator = programs.lab
		builds := [][]string{{"build", "-tags", "faultpoints", "-o", programs.lab, "github.com/novatui/novatui/cmd/novatui"}}
		if underRace {
			programs.operator = filepath.Join(programs.dir, "novatui-race")
			builds = append(builds, []string{"build", "-race", "-tags", "faultpoints", "-o", programs.operator, "github.com/novatui/novatui/cmd/novatui"})
		}
		for _, args := range builds {
			if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
				programs.err = fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
				return
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
}

// campaign is which seeds to run, from the environment.
type campaign struct {
	first, end uint64
	until      time.Time // no run begins later; zero: no limit
	worlds     uint64    // at once, each with every so-many-th seed
}

// sliceTime is how long make test begins new runs.
const sliceTime = 150 * time.Second

// chosen reads NOVATUI_CHAOS_SEED (one run), or NOVATUI_CHAOS_RUNS and
// NOVATUI_CHAOS_FROM (a campaign). Without them it is a slice: from a fixed
// seed, as many as there is time for.
func chosen(t *testing.T) campaign {
	t.Helper()
	number := func(name string) (uint64, bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n, true
	}
	if seed, ok := number("NOVATUI_CHAOS_SEED"); ok {
		return campaign{first: seed, end: seed + 1, worlds: 1}
	}
	worlds, ok := number("NOVATUI_CHAOS_LABS")
	if !ok {
		worlds = 1
	}
	from, ok := number("NOVATUI_CHAOS_FROM")
	if !ok {
		from = 1
	}
	if runs, ok := number("NOVATUI_CHAOS_RUNS"); ok {
		return campaign{first: from, end: from + runs, worlds: worlds}
	}
	return campaign{first: from, end: from + 1000, until: time.Now().Add(sliceTime), worlds: worlds}
}

// TestChaos is the campaign in the lab, or in several labs at once
// (NOVATUI_CHAOS_LABS). A lab is used as long as it ends well.
func TestChaos(t *testing.T) {
	build(t)
	c := chosen(t)
	for i := range c.worlds {
		t.Run(fmt.Sprintf("lab-%d", i+1), func(t *testing.T) {
			t.Parallel()
			own := c
			own.first += i
			var w *labWorld
			own.run(t, func(uint64) []chaos.Kind { return chaos.LabKinds }, func(t *testing.T, s chaos.Scenario) chaos.World {
				if w != nil && !w.fit(s.Damage) {
					w.close()
					w = nil
				}
				if w == nil {
					w = newLab(t)
				}
				w.note(s.Damage)
				return w
			}, func() {
				w.close()
				w = nil
			})
		})
	}
}

// run runs the seeds one after the other. world gives the world for a scenario,
// broken says that it cannot be used again; the test that is given to world
// lasts as long as the campaign.
func (c campaign) run(t *testing.T, kinds func(seed uint64) []chaos.Kind, world func(*testing.T, chaos.Scenario) chaos.World, broken func()) {
	runs, kept := 0, 0
	for seed := c.first; seed < c.end && (c.until.IsZero() || time.Now().Before(c.until)); seed += c.worlds {
		s := chaos.New(seed, kinds(seed))
		w := world(t, s)
		runs++
		if t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) { one(t, w, s) }) {
			kept++
		} else {
			broken()
		}
	}
	t.Logf("%d runs, %d without a broken promise", runs, kept)
	if runs == 0 && c.first < c.end {
		t.Error("nothing was run")
	}
}

// one runs one scenario and records it.
func one(t *testing.T, w chaos.World, s chaos.Scenario) {
	t.Log(s)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	began := time.Now()
	r, err := chaos.Runner{World: w, Dir: t.TempDir(), Log: func(format string, args ...any) {
		t.Logf("%6.1f s  "+format, append([]any{time.Since(began).Seconds()}, args...)...)
	}}.Run(ctx, s)
	if err != nil {
		t.Fatalf("%v\n%s", err, repeat(r.World, s.Seed))
	}
	if file := os.Getenv("NOVATUI_CHAOS_RESULTS"); file != "" {
		if err := chaos.Append(file, r); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%s after %d tries %v, recovered in %.1f s, all in %.1f s", r.Outcome, r.Tries, r.Exits, r.Seconds, time.Since(began).Seconds())
	for _, b := range r.Broken {
		t.Errorf("broken promise: %s", b)
	}
	if t.Failed() {
		t.Logf("%s\nTo repeat it: %s", s, repeat(r.World, s.Seed))
	}
}

// repeat is the command that repeats a run.
func repeat(world string, seed uint64) string {
	test := "'^TestChaos$'"
	if world == "hosts" {
		test = "'^TestHosts$' -tags e2e"
	}
	return fmt.Sprintf("NOVATUI_CHAOS_SEED=%d go test -count=1 -v -timeout 30m -run %s ./e2e/chaos", seed, test)
}
