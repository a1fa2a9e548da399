package ssh

import (
	"context"
	"fmt"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/remote"
)

const (
	// letGo is how long an abandoned command's output is waited for.
	letGo = time.Second
	// signalTime is how long SSH's own signal request has to take effect, and
	// killTime how long a kill may take.
	signalTime = 300 * time.Millisecond
	killTime   = 5 * time.Second
)

// abandon asks the command to end and lets go of it. It does not wait for that:
// a dead line takes no more bytes, and only Close frees a writer on it.
func (x *execution) abandon() {
	x.c.spawn(x.terminate)
	timer := time.NewTimer(letGo)
	defer timer.Stop()
	select {
	case <-x.drained:
	case <-timer.C:
	}
}

// terminate sends SIGTERM: by SSH's own request first, and where that has no
// effect by kill in another session. OpenSSH ignores the request for root, whose
// sessions run without privilege separation ("session signalling requires
// privilege separation"), and for what sudo started.
func (x *execution) terminate() {
	defer x.ch.Close() //nolint:errcheck // the session is given up
	_, _ = x.ch.SendRequest("signal", false, xssh.Marshal(struct{ Signal string }{"TERM"}))
	if x.ends(nil, signalTime) {
		return
	}
	// A slow node may not have begun the command when its deadline passed.
	if x.ends(x.stdout.marked, killTime) {
		return
	}
	if pid := x.stdout.process(); pid > 1 && !x.last {
		x.c.kill(pid)
	}
}

// ends waits for the end of the command, until sooner is closed or for at most
// d, and reports whether the command or its line has ended.
func (x *execution) ends(sooner <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.exited:
		return true
	case <-x.over:
		return true
	case <-x.c.ended.Done():
		return true
	case <-sooner:
	case <-timer.C:
	}
	return false
}

// kill ends a command with everything in its process group. It takes no part in
// the count of sessions, all of which may be held by what it is to end.
func (c *Conn) kill(pid int) {
	script := fmt.Sprintf("kill -s TERM -- -%d 2>/dev/null || kill -s TERM %d", pid, pid)
	if c.sudo {
		script = "exec sudo -n -- /bin/sh -c " + remote.Quote(script)
	}
	line, err := shellLine(c.mark.before(script))
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ended, killTime)
	defer cancel()
	ch, reqs, err := c.open(ctx, "session", nil, func() {})
	if err != nil {
		return // The command's outcome is reported as unknown in any case.
	}
	x := newExecution(c, ch, probeOutput, remote.Streams{})
	x.last = true
	_, _ = x.run(ctx, line, reqs, func() {})
}
