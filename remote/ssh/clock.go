package ssh

import (
	"context"
	"sync"
	"time"

	"github.com/novatui/novatui/remote"
)

// watchdog bounds the phases of one attempt to connect. The library blocks in
// the middle of a handshake whatever its Timeout says (golang/go#51926), so the
// only deadline that works is to close the connection from outside: whoever
// holds a connection ties its Close to the attempt's context, and the watchdog
// cancels that context.
type watchdog struct {
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	timer  *time.Timer
	phase  remote.Phase
	limit  time.Duration
	paused int
}

// begin starts a phase and ends the one before.
func (w *watchdog) begin(phase remote.Phase, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.phase, w.limit = phase, limit
	w.start()
}

// start runs the deadline of the phase anew; w.mu is held.
func (w *watchdog) start() {
	w.stopTimer()
	if w.paused > 0 {
		return
	}
	cause := &phaseTimeout{w.phase, w.limit}
	w.timer = time.AfterFunc(w.limit, func() { w.cancel(cause) })
}

func (w *watchdog) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// pause stops the deadline while the operator is asked; resume gives the phase
// its whole time again, because the other end waited too.
func (w *watchdog) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused++
	w.stopTimer()
}

func (w *watchdog) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused--
	if w.paused == 0 {
		w.start()
	}
}

// extend allows one thing within the phase to take longer (a security key waits
// to be touched); the phase has its usual time again afterwards.
func (w *watchdog) extend(limit time.Duration) (restore func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	usual := w.limit
	w.limit = limit
	w.start()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.limit = usual
		w.start()
	}
}

// end stops the deadline for good.
func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused++
	w.stopTimer()
}

func (w *watchdog) current() remote.Phase {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.phase
}
