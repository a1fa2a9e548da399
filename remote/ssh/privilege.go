package ssh

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// probeOutput bounds what the first commands may print, in bytes.
const probeOutput = 64 << 10

// findPrivilege runs the first commands on a node: does the account have a
// shell that runs commands at all, who is it, and does sudo make it root. What
// tells success is a random word that only the command can print, never the
// text of a prompt: those differ by version, language and implementation
// (sudo-rs#1461).
func (c *Conn) findPrivilege(ctx context.Context) error {
	trySudo := c.node.Sudo != "never" && (c.node.Sudo != "" || c.node.Root == "")
	who := newMarker()
	print := "echo " + who.first + `""` + who.second + "=`id -u`"
	script := print
	if trySudo {
		script += "; [ `id -u` -eq 0 ] || sudo -n -- /bin/sh -c " + remote.Quote(print)
	}
	r, err := c.runScript(ctx, c.mark.before(script), c.probeLimit(), probeOutput, remote.Streams{})
	if err != nil {
		var shell *shellError
		if errors.As(err, &shell) {
			return c.noShell(ctx, shell)
		}
		return c.noPrivilege(msg.M("ssh.probe-failed", "user", c.host.user, "error", raw(err)), err)
	}
	found := regexp.MustCompile(`(?m)^`+who.first+who.second+`=(\d+)$`).FindAllStringSubmatch(string(r.Stdout), -1)
	if len(found) == 0 {
		err := errors.New("no user id in the answer")
		return c.noPrivilege(msg.M("ssh.probe-failed", "user", c.host.user, "error", raw(err)), err)
	}
	if c.uid, err = strconv.Atoi(found[0][1]); err != nil {
		return c.noPrivilege(msg.M("ssh.probe-failed", "user", c.host.user, "error", raw(err)), err)
	}
	if c.uid == 0 || !trySudo {
		return nil
	}
	if len(found) > 1 && found[1][1] == "0" {
		c.sudo = true
		return nil
	}
	said := oneLine(strings.TrimSpace(string(r.Stderr)))
	return c.noPrivilege(msg.M("ssh.no-sudo", "user", c.host.user, "said", said), errors.New("sudo -n: "+said))
}

// probeLimit is the deadline of a first command. That of the phase comes before
// it: it is the one that has words for the operator.
func (c *Conn) probeLimit() time.Duration { return 2 * c.opts.Timeouts.Privilege }

// noShell finds the words for an account whose login shell does not run what it
// is given: nologin, a restricted shell, a menu.
func (c *Conn) noShell(ctx context.Context, shell *shellError) error {
	said := oneLine(shell.said)
	x, err := c.plainTrue(ctx)
	switch {
	case err == nil && x.Exit == 0:
		// It runs commands, only not /bin/sh.
		return c.noPrivilege(msg.M("ssh.restricted-shell", "user", c.host.user, "said", said), shell)
	case err == nil && said == "":
		said = oneLine(strings.TrimSpace(string(x.Stdout) + "\n" + string(x.Stderr)))
	}
	return c.noPrivilege(msg.M("ssh.no-shell", "user", c.host.user, "exit", shell.exit, "said", said), shell)
}

// plainTrue runs the word true without any wrapping.
func (c *Conn) plainTrue(ctx context.Context) (remote.Result, error) {
	timeout := c.probeLimit()
	ch, reqs, release, err := c.openSession(ctx, timeout)
	if err != nil {
		return remote.Result{}, err
	}
	x := newExecution(c, ch, probeOutput, remote.Streams{})
	x.stdout.begin()
	x.stderr.begin()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return x.run(ctx, "true", reqs, release)
}

func (c *Conn) noPrivilege(text msg.Msg, err error) error {
	kind := remote.ErrPrivilege
	if c.Err() != nil || errors.Is(err, remote.ErrNotStarted) && !isShell(err) {
		// The node went away, or opens no session: nothing was learnt about rights.
		kind = remote.ErrUnreachable
	}
	return &Error{Node: c.node.Name, Phase: remote.PhasePrivilege, Kind: kind, Text: text, Err: cause(err)}
}

func isShell(err error) bool {
	var shell *shellError
	return errors.As(err, &shell)
}

// cause takes the sentinel of a command off an error, so that the error of a
// connection matches one sentinel only.
func cause(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
