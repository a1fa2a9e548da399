package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/workflows/engine"
)

// TestFaultAnotherMachine (20): in the middle of a run the node is another
// machine, one that shows the same host key, as a clone does. Its machine id
// tells: nothing more is done to it, and the run stops. When the right machine
// is back, the run goes on; while it does, the links to all nodes are cut and
// healed in random order (18), and the end is the same as without.
func TestFaultAnotherMachine(t *testing.T) {
	t.Parallel()
	f := newFaultLab(t)
	f.mustBreak("corrupt-db", "master-2")
	plan := f.plan("master-2")
	id := filepath.Join(filepath.Dir(f.ClusterFile()), "master-2", "etc", "machine-id")
	right := read(t, id)
	var begun []string
	stderr, status := apply(t, command(t, f.home, "apply", plan, "--cluster", f.file, "--confirm=nova-lab", "-o", "json"), func(e engine.Event, _ *os.Process) {
		if e.Type == engine.StepIntent {
			begun = append(begun, e.Step)
			if strings.HasPrefix(e.Step, "stop/") {
				if err := os.WriteFile(id, []byte("0000000000000000000000000000c10e\n"), 0o600); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if status == 0 || !strings.HasPrefix(begun[len(begun)-1], "stop/") && !strings.HasPrefix(begun[len(begun)-1], "remove/") {
		t.Fatalf("exit status %d, begun %v\n%s", status, begun, stderr)
	}
	if !strings.Contains(stderr, "master-2") || !strings.Contains(stderr, "machine") {
		t.Errorf("the words do not say that it is another machine:\n%s", stderr)
	}
	aside, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(id)), "var", "lib", "etcd.*"))
	if len(aside) > 0 {
		t.Errorf("data of another machine were set aside: %v", aside)
	}
	if err := os.WriteFile(id, []byte(right), 0o600); err != nil {
		t.Fatal(err)
	}
	for try := 1; ; try++ {
		done := make(chan struct{})
		if try <= 2 {
			go func() { defer close(done); f.swizzle(uint64(try)) }()
		} else {
			close(done)
		}
		_, stderr, status := run(t, f.home, "resume", "--cluster", f.file)
		<-done
		t.Logf("resume %d: exit status %d", try, status)
		if status == 0 {
			break
		}
		if try == 6 {
			t.Fatalf("the run does not end\n%s", stderr)
		}
	}
	healthy(t, f.home, f.file)
}

// swizzle cuts the links to the nodes one after the other in a random order and
// heals them in another, as FoundationDB's tests do ("swizzle-clog").
func (f *faultLab) swizzle(seed uint64) {
	r := rand.New(rand.NewPCG(seed, 18)) //nolint:gosec // a test that repeats itself
	nodes := []string{"master-1", "master-2", "master-3"}
	for _, on := range []bool{true, false} {
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for i, node := range nodes {
			time.Sleep(time.Duration(200+r.IntN(600)) * time.Millisecond) // the fault's own pace
			if i%2 == 0 {
				f.lines[node].Cut(on)
			} else {
				f.lines[node].BlackHole(on)
			}
		}
	}
	for _, p := range f.lines {
		p.Cut(false)
		p.BlackHole(false)
	}
}
