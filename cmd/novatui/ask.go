package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/novatui/novatui/remote"
)

// terminalAsker asks the operator on the terminal, one question at a time. With
// no terminal every question is declined, with words that say what to do
// instead.
type terminalAsker struct {
	p  *program
	mu sync.Mutex
}

// Ask implements remote.Asker. An unknown host key is accepted by the word
// "yes" (or its translation) alone: an empty line, an end of input or anything
// else is a no. Secrets are read without echo and never leave the answer.
func (a *terminalAsker) Ask(ctx context.Context, q remote.Question) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("asking about %s: %w", q.Node, err)
	}
	if !a.p.interactive() {
		why := unattended(q)
		a.p.say("%s: %s", q.Node, why)
		return "", fmt.Errorf("%w: %s", remote.ErrDeclined, why)
	}
	switch q.Kind {
	case "host-key":
		return a.askHostKey(ctx, q)
	case "sudo":
		return a.askSudo(ctx, q)
	default:
		return a.askText(q)
	}
}

// unattended says what a question needs when nobody can be asked.
func unattended(q remote.Question) string {
	switch q.Kind {
	case "host-key":
		return fmt.Sprintf("host key of %s (%s %s) is not known and there is no terminal to ask on; "+
			"connect once with ssh, or run novatui on a terminal", q.Host, q.KeyType, q.Fingerprint)
	case "sudo":
		return "sudo was refused and there is no terminal to ask on; allow it on the node again, then resume the run"
	case "passphrase":
		return fmt.Sprintf("%s needs its passphrase and there is no terminal to ask on; add it to ssh-agent", q.Subject)
	}
	return fmt.Sprintf("%s asks for a %s and there is no terminal to ask on", q.Host, q.Kind)
}

func (a *terminalAsker) askHostKey(ctx context.Context, q remote.Question) (string, error) {
	p := a.p
	p.say("%s", p.t("cmd.ask.host-key", "node", q.Node, "host", q.Host))
	p.say("  %s %s", q.KeyType, q.Fingerprint)
	_, _ = fmt.Fprint(p.stderr, p.t("cmd.ask.host-key-prompt")+" ")
	return a.yes(ctx, "the host key of "+q.Host)
}

func (a *terminalAsker) askSudo(ctx context.Context, q remote.Question) (string, error) {
	p := a.p
	p.say("%s", p.msgs().S(q.Text))
	_, _ = fmt.Fprint(p.stderr, p.t("cmd.ask.sudo")+" ")
	return a.yes(ctx, "sudo on "+q.Node)
}

// yes takes the word "yes", or its translation, and nothing else.
func (a *terminalAsker) yes(ctx context.Context, about string) (string, error) {
	answer, err := readLine(awaited(ctx, a.p.stdin))
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("asking about %s: %w", about, context.Cause(ctx))
	case err != nil:
		return "", fmt.Errorf("%w: no answer about %s", remote.ErrDeclined, about)
	case answer != "yes" && answer != a.p.t("common.yes"):
		return "", fmt.Errorf("%w: no to %s", remote.ErrDeclined, about)
	}
	return "yes", nil
}

// awaited reads from a terminal until ctx ends: an operator who interrupts the
// program while it asks shall not have to answer first.
func awaited(ctx context.Context, file *os.File) readerFunc {
	ready := []unix.PollFd{{Fd: int32(file.Fd()), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	return func(b []byte) (int, error) {
		for {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			n, err := unix.Poll(ready, 100) // ms
			if err != nil && !errors.Is(err, unix.EINTR) {
				return 0, fmt.Errorf("waiting for the answer: %w", err)
			}
			if n > 0 {
				return file.Read(b)
			}
		}
	}
}

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func (a *terminalAsker) askText(q remote.Question) (string, error) {
	p := a.p
	prompt := q.Subject
	switch q.Kind {
	case "passphrase":
		prompt = p.t("cmd.ask.passphrase", "file", q.Subject)
	case "password":
		prompt = p.t("cmd.ask.password", "node", q.Node, "host", q.Host)
	}
	_, _ = fmt.Fprintf(p.stderr, "%s: %s ", q.Node, remote.Clean(strings.TrimSpace(prompt)))
	if !q.Secret {
		answer, err := readLine(p.stdin)
		if err != nil || answer == "" {
			return "", fmt.Errorf("%w: no answer for %s", remote.ErrDeclined, q.Host)
		}
		return answer, nil
	}
	secret, err := term.ReadPassword(int(p.stdin.Fd()))
	p.say("")
	if err != nil || len(secret) == 0 {
		return "", fmt.Errorf("%w: no %s given for %s", remote.ErrDeclined, q.Kind, q.Host)
	}
	return string(secret), nil
}

// readLine reads one line of at most 4096 bytes, byte by byte: what follows
// belongs to the next question. A line without its end is no answer.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	var c [1]byte
	for line.Len() < 4096 {
		if _, err := io.ReadFull(r, c[:]); err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if c[0] == '\n' {
			return strings.TrimSpace(line.String()), nil
		}
		line.WriteByte(c[0])
	}
	return "", errors.New("the answer is too long")
}
