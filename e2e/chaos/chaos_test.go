package chaos_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/chaos"
)

// The two programs of these tests, built once: the operator's, with the points
// at which it can be killed, and the one that plays the lab. Under the race
// detector the operator's is under it as well.
var programs struct{ operator, lab string }

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
	dir, err := os.MkdirTemp("", "novatui-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := closing(); err != nil {
			fmt.Fprintln(os.Stderr, "taking the hosts down:", err)
			code = 1
		}
		_ = os.RemoveAll(dir) // a temporary folder of ours
	}()
	programs.lab = filepath.Join(dir, "novatui")
	programs.operator = programs.lab
	builds := [][]string{{"build", "-tags", "faultpoints", "-o", programs.lab, "github.com/novatui/novatui/cmd/novatui"}}
	if underRace {
		programs.operator = filepath.Join(dir, "novatui-race")
		builds = append(builds, []string{"build", "-race", "-tags", "faultpoints", "-o", programs.operator, "github.com/novatui/novatui/cmd/novatui"})
	}
	for _, args := range builds {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
			return 1
		}
	}
	return m.Run()
}

// campaign is which seeds to run, from the environment.
type campaign struct {
	first, runs uint64
	until       time.Time // no run begins later; zero: no limit
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
		return campaign{first: seed, runs: 1}
	}
	from, ok := number("NOVATUI_CHAOS_FROM")
	if !ok {
		from = 1
	}
	if runs, ok := number("NOVATUI_CHAOS_RUNS"); ok {
		return campaign{first: from, runs: runs}
	}
	return campaign{first: from, runs: 1000, until: time.Now().Add(sliceTime)}
}

// TestChaos is the campaign in the lab. One lab is used as long as it ends well.
func TestChaos(t *testing.T) {
	var w *labWorld
	running(t, "TestChaos", "", func(uint64) []chaos.Kind { return chaos.LabKinds }, func(t *testing.T, _ chaos.Scenario) chaos.World {
		if w == nil {
			w = newLab(t)
		}
		return w
	}, func() {
		w.close()
		w = nil
	})
}

// running runs the seeds one after the other. world gives the world for a
// scenario, broken says that it cannot be used again; the test that is given to
// world lasts as long as the campaign.
func running(t *testing.T, name, tags string, kinds func(seed uint64) []chaos.Kind, world func(*testing.T, chaos.Scenario) chaos.World, broken func()) {
	c := chosen(t)
	results := os.Getenv("NOVATUI_CHAOS_RESULTS")
	runs, kept := 0, 0
	for seed := c.first; seed < c.first+c.runs && (c.until.IsZero() || time.Now().Before(c.until)); seed++ {
		s := chaos.New(seed, kinds(seed))
		w := world(t, s)
		runs++
		ok := t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Log(s)
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
			defer cancel()
			began := time.Now()
			r, err := chaos.Runner{World: w, Dir: t.TempDir(), Log: func(format string, args ...any) {
				t.Logf("%6.1f s  "+format, append([]any{time.Since(began).Seconds()}, args...)...)
			}}.Run(ctx, s)
			if err != nil {
				t.Fatalf("%v\n%s", err, repeat(name, tags, seed))
			}
			if results != "" {
				if err := chaos.Append(results, r); err != nil {
					t.Error(err)
				}
			}
			t.Logf("%s after %d tries %v, recovered in %.1f s, all in %.1f s", r.Outcome, r.Tries, r.Exits, r.Seconds, time.Since(began).Seconds())
			for _, b := range r.Broken {
				t.Errorf("broken promise: %s", b)
			}
			if t.Failed() {
				t.Logf("%s\nTo repeat it: %s", s, repeat(name, tags, seed))
			}
		})
		if ok {
			kept++
		} else {
			broken()
		}
	}
	t.Logf("%d runs, %d without a broken promise", runs, kept)
	if runs == 0 {
		t.Error("nothing was run")
	}
}

// repeat is the command that repeats a run.
func repeat(name, tags string, seed uint64) string {
	return fmt.Sprintf("NOVATUI_CHAOS_SEED=%d go test %s-count=1 -v -timeout 30m -run '^%s$' ./e2e/chaos", seed, tags, name)
}
