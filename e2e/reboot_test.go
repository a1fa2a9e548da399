//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestReboot: while a rejoin or a full restore is at a stage, a node goes down
// and comes back: by turns it reboots in order, or its power fails. The run, or
// a resume of it, ends proved healthy; the old data are there to look at, and
// nothing is left that the report does not name. NOVATUI_E2E_FULL=1 takes every
// stage with every node; otherwise a few of the stages that change something,
// with the node that matters most. During an orderly reboot novatui itself is
// suspended, as a laptop would be: otherwise a repair is over before systemd
// has shut down. A power cut strikes while it works.
func TestReboot(t *testing.T) {
	for _, procedure := range []struct {
		fault  string
		sample []string // stage/node
	}{
		{"corrupt-db", []string{"way-back/master-1", "aside/master-2", "start/master-2"}},
		{"lose-all", []string{"prepare/master-2", "aside/master-3", "place/master-1"}},
	} {
		t.Run(procedure.fault, func(t *testing.T) {
			moments := procedure.sample
			if full {
				moments = everyMoment(t, procedure.fault)
			}
			for i, at := range moments {
				t.Run(at, func(t *testing.T) { rebootAt(t, procedure.fault, at, i%2 == 1) })
			}
		})
	}
}

// everyMoment lists every stage of a plan with every node.
func everyMoment(t *testing.T, fault string) []string {
	h := start(t, hosts.Options{})
	named(t, fault).Break(t, h)
	var moments []string
	for _, stage := range suite.Stages(t, suite.Plan(t, h, suite.Diagnose(t, h))) {
		for _, node := range h.Nodes() {
			moments = append(moments, stage+"/"+node)
		}
	}
	return moments
}

// rebootAt breaks, repairs, has a node go down when the stage begins, and sees
// the repair to its end.
func rebootAt(t *testing.T, fault, at string, powerCut bool) {
	h, c := start(t, hosts.Options{}), named(t, fault)
	stage, node, _ := bytes.Cut([]byte(at), []byte("/"))
	kind := "reboot"
	if powerCut {
		kind = "power-cut"
	}
	suite.Record(t, h, fmt.Sprintf("%s at %s", kind, at), c.Procedure)
	files := allFiles(t, h)
	before := c.Break(t, h)
	broken := h.Nodes()
	if c.Nodes != nil {
		broken = []string{h.Nodes()[c.Nodes[0]]}
	}
	old := map[string]string{}
	for _, b := range broken {
		old[b] = database(t, h, b, "/var/lib/etcd")
	}
	file := suite.Plan(t, h, suite.Diagnose(t, h))
	exit, came := applyAnd(t, h, file, string(stage), func(novatui *os.Process) error {
		if !powerCut {
			err := errors.Join(novatui.Signal(syscall.SIGSTOP), h.Reboot(t.Context(), string(node)))
			return errors.Join(err, novatui.Signal(syscall.SIGCONT))
		}
		if err := h.PowerCut(string(node)); err != nil {
			return err
		}
		return h.Boot(t.Context(), string(node))
	})
	if !came {
		t.Fatalf("the run never came to the stage %s: exit %d", stage, exit)
	}
	t.Logf("%s of %s at %s: apply ended with %d", kind, node, stage, exit)
	resumed(t, h, exit)
	c.Proved(t, h, before)
	for b, sum := range old {
		oldDataThere(t, h, b, sum)
	}
	nothingLeft(t, h, files)
}

// applyAnd applies a plan and, when a stage begins, does something beside it.
// Both have ended when it returns.
func applyAnd(t *testing.T, h *hosts.Hosts, file, stage string, then func(novatui *os.Process) error) (exit int, came bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*suite.Limit)
	defer cancel()
	c := h.Command(ctx, nil, "apply", file, "--confirm", h.Cluster(), "-o", "json")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	events, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var failed error
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e struct{ Type, Stage string }
		if json.Unmarshal(line, &e) == nil && e.Type == "stage-started" && e.Stage == stage && !came {
			came = true
			wg.Go(func() { failed = then(c.Process) })
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	wg.Wait()
	if failed != nil {
		t.Errorf("%s: %v", stage, failed)
	}
	_ = c.Wait() // its exit status is the answer
	if bytes.Contains(stderr.Bytes(), []byte("panic:")) {
		t.Errorf("apply: %s", stderr.Bytes())
	}
	return c.ProcessState.ExitCode(), came
}

// Exit statuses of the contract (docs/architecture.md).
const (
	done    = 0
	failed  = 1 // nothing known to have changed
	refused = 3 // by a guard, nothing changed
	stopped = 4
	unknown = 6
)

// resumed brings a run to its end. A resume may stop too, while a member is
// still starting: the operator then resumes again. What ended without having
// changed anything is begun anew.
func resumed(t *testing.T, h *hosts.Hosts, exit int) {
	t.Helper()
	for try := 0; exit != done; try++ {
		if try == 3 || !slices.Contains([]int{failed, refused, stopped, unknown}, exit) {
			t.Fatalf("after %d resumes: exit %d", try, exit)
		}
		ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
		began := time.Now()
		if exit == stopped || exit == unknown {
			a := h.Novatui(ctx, nil, "resume", "-o", "json")
			exit = a.Exit
			t.Logf("resume ended with %d after %.1f s: %s", exit, time.Since(began).Seconds(), lastLines(a))
		} else {
			d := suite.Diagnose(t, h)
			if d.State == "healthy" {
				cancel()
				return
			}
			exit, _ = applyAnd(t, h, suite.Plan(t, h, d), "", nil)
			t.Logf("begun anew: %d", exit)
		}
		cancel()
	}
}

func lastLines(a suite.Answer) []byte {
	if a.Exit == done {
		return nil
	}
	text := append(bytes.TrimSpace(a.Stdout[max(0, len(a.Stdout)-1500):]), '\n')
	return append(text, a.Stderr[max(0, len(a.Stderr)-1500):]...)
}
