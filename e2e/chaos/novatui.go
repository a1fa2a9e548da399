package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Event is what is read of an event of novatui (schema novatui/event/v1).
type Event struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Run     string    `json:"run"`
	Stage   string    `json:"stage"`
	Step    string    `json:"step"`
	Node    string    `json:"node"`
	Probed  string    `json:"probed"`
	Outcome string    `json:"outcome"`
	Effect  string    `json:"effect"`
}

// Answer is how one call of novatui ended.
type Answer struct {
	Exit           int // -1: by a signal
	Stdout, Stderr []byte
	Began, Ended   time.Time
}

// keepOutput bounds what is kept of an output, in bytes, from its end.
const keepOutput = 4 << 20

// Watch runs a command whose standard output are events, and calls on for each
// with the process. Goroutines that on begins with the group are waited for
// before Watch returns; ended is closed when the process is gone.
func Watch(c *exec.Cmd, on func(e Event, p *os.Process, beside *sync.WaitGroup, ended <-chan struct{})) (Answer, error) {
	a := Answer{Exit: -1, Began: time.Now()}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return a, err
	}
	var beside sync.WaitGroup
	ended := make(chan struct{})
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		a.Stdout = last(append(a.Stdout, line...))
		var e Event
		if json.Unmarshal(line, &e) == nil && on != nil {
			on(e, c.Process, &beside, ended)
		}
		if err != nil {
			break // its end, however it came; Wait says which
		}
	}
	err = c.Wait()
	a.Ended = time.Now()
	close(ended)
	beside.Wait()
	a.Exit, a.Stderr = c.ProcessState.ExitCode(), last(stderr.Bytes())
	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) {
		err = nil // the status tells
	}
	return a, err
}

func last(b []byte) []byte {
	if len(b) <= 2*keepOutput {
		return b
	}
	return append([]byte(nil), b[len(b)-keepOutput:]...)
}

// after waits for a time unless done comes first; it tells whether the time
// came.
func after(d time.Duration, done ...<-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for len(done) < 2 {
		done = append(done, nil)
	}
	select {
	case <-t.C:
		return true
	case <-done[0]:
	case <-done[1]:
	}
	return false
}
