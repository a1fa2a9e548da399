package ssh

import (
	"errors"
	"fmt"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"
)

// hopTime is how long a connection that ended waits for the end of the jump
// hosts before it, to say which of them it was: a lost jump host ends all that
// runs through it in the same breath, in any order.
const hopTime = 100 * time.Millisecond

// link is one SSH connection on the way to a node: to a jump host, or to the
// node itself, which is the last.
type link struct {
	// hop is the jump host's name, empty for the node itself.
	hop    string
	raw    *counted
	client *xssh.Client
	// over is closed when the connection has ended, after reason was written.
	over   chan struct{}
	once   *sync.Once
	reason *error
}

func newLink(hop string, raw *counted) link {
	return link{hop: hop, raw: raw, over: make(chan struct{}), once: &sync.Once{}, reason: new(error)}
}

// ended notes why the connection is over; the first reason counts.
func (l link) ended(err error) {
	l.once.Do(func() {
		*l.reason = err
		close(l.over)
	})
}

// wait notices that the node, or a jump host, has closed the connection, or
// that the line broke, and says which.
func (c *Conn) wait() {
	last := c.links[len(c.links)-1]
	<-last.over
	for _, l := range c.links[:len(c.links)-1] {
		if l.endsWithin(hopTime) {
			c.fail(fmt.Errorf("connection lost at the jump host %s, the node itself may well run: %w", l.hop, closedBy(l, "the jump host")))
			return
		}
	}
	c.fail(fmt.Errorf("connection lost: %w", closedBy(last, "the node")))
}

// endsWithin waits a little for the end of a link.
func (l link) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.over:
		return true
	case <-timer.C:
		return false
	}
}

func closedBy(l link, who string) error {
	if *l.reason == nil {
		return errors.New(who + " closed the connection")
	}
	return *l.reason
}

// silence is how long a link has been asked for a sign of life in vain.
type silence struct {
	link     link
	missed   int
	seen     time.Time
	answered chan struct{}
}

// keepAlive asks for a sign of life every interval, of the node and of every
// jump host on the way. The verdict rests on bytes, not on the answer: a line
// that is busy with output is alive. And it rests on questions that were asked
// in vain, not on the clock: a program that was stopped for a minute (Ctrl-Z, a
// laptop that slept) has heard nothing for a minute and may still find every
// node alive.
func (c *Conn) keepAlive() {
	ticker := time.NewTicker(c.opts.KeepAlive)
	defer ticker.Stop()
	all := make([]*silence, len(c.links))
	for i, l := range c.links {
		all[i] = &silence{link: l, answered: make(chan struct{}, 1)}
		all[i].answered <- struct{}{}
	}
	for {
		select {
		case <-c.ended.Done():
			return
		case <-ticker.C:
		}
		tooLong := false
		for _, s := range all {
			tooLong = s.count() >= c.opts.KeepAliveMissed || tooLong
			if !s.ask(c) {
				return
			}
		}
		if tooLong {
			c.fail(verdict(all, c.opts.KeepAliveMissed))
			return
		}
	}
}

// count counts the intervals that went by in silence.
func (s *silence) count() int {
	if last := s.link.raw.lastRead(); last.After(s.seen) {
		s.seen, s.missed = last, 0
		return 0
	}
	s.missed++
	return s.missed
}

// verdict blames the first link that was silent: whatever lies beyond it could
// not be heard. It may have been heard a moment, and so one interval, later than
// what runs through it.
func verdict(all []*silence, most int) error {
	s := all[len(all)-1]
	for _, earlier := range all {
		if earlier.missed >= max(most-1, 1) {
			s = earlier
			break
		}
	}
	silent := time.Since(s.link.raw.lastRead()).Round(time.Second)
	if s.link.hop != "" {
		return fmt.Errorf("connection lost: no answer to keepalives for %s from the jump host %s; the node itself may well run", silent, s.link.hop)
	}
	return fmt.Errorf("connection lost: no answer to keepalives for %s", silent)
}

// ask sends a keepalive, unless the last one is still on its way. It reports
// false when the connection is closed.
func (s *silence) ask(c *Conn) bool {
	select {
	case <-s.answered:
	default:
		return true
	}
	return c.spawn(func() {
		// An error means that the connection ended, which wait sees too.
		_, _, _ = s.link.client.SendRequest("keepalive@openssh.com", true, nil)
		s.answered <- struct{}{}
	})
}
