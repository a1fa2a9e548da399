package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
	"github.com/novatui/novatui/remote/ssh"
	"github.com/novatui/novatui/workflows/engine"
)

// operator answers a question.
type operator func(engine.Question) (string, error)

func (f operator) Ask(_ context.Context, q engine.Question) (string, error) { return f(q) }

// pair is two nodes, each behind a real SSH server.
type pair map[string]*site

func (p pair) Conn(ctx context.Context, node string) (remote.Conn, error) {
	return p[node].Conn(ctx, node)
}

// newPair makes two nodes on which a sudo of ours gives root's rights until the
// file expired is there.
func newPair(t *testing.T) (p pair, expired func(node string) string) {
	p = pair{}
	for _, name := range []string{"n1", "n2"} {
		s := newSite(t)
		expired = func(node string) string { return filepath.Join(p[node].bin, "expired") }
		for program, script := range map[string]string{
			"sudo": `if [ -e ` + filepath.Join(s.bin, "expired") + ` ]; then echo 'sudo: a password is required' >&2; exit 1; fi
shift 2
FAKE_UID=0 exec "$@"
`,
			"id": "echo ${FAKE_UID:-1000}\n",
		} {
			if err := os.WriteFile(filepath.Join(s.bin, program), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it must run
				t.Fatal(err)
			}
		}
		s.server = remotetest.NewServer(t, remotetest.ServerOptions{Env: []string{"PATH=" + s.bin + ":/usr/bin:/bin"}})
		s.node = s.server.Node(name)
		s.node.Sudo = "auto"
		s.transport = ssh.New(ssh.Options{SSHBinary: "none"})
		p[name] = s
	}
	return p, expired
}

// plan makes a file on each node.
func (p pair) plan(t *testing.T) engine.Plan {
	var steps []engine.Step
	for _, node := range []string{"n1", "n2"} {
		file := p.done(node)
		c := remote.Command{Argv: []string{"touch", file}, Effect: remote.Change, Timeout: 20 * time.Second}
		look := remote.Command{Argv: []string{"test", "-f", file}, Effect: remote.Read, Timeout: 20 * time.Second, Quiet: true}
		steps = append(steps, engine.Step{
			ID: "work/" + node, Title: msg.Raw("work"), Why: msg.Raw("to see it"), Node: node, Effect: remote.Change,
			Commands: []engine.NodeCommand{{Node: node, Command: c}}, Checks: []engine.NodeCommand{{Node: node, Command: look}},
			Probe: func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
				res, err := x.Try(ctx, node, look)
				if err != nil || res.Exit != 0 {
					return engine.NotDone, err
				}
				return engine.Done, nil
			},
			Do: func(ctx context.Context, x *engine.Exec) error { _, err := x.Run(ctx, node, c); return err },
			Verify: func(ctx context.Context, x *engine.Exec) error {
				_, err := x.Run(ctx, node, look)
				return err
			},
		})
	}
	plan, err := engine.NewPlan("demo", "nova-test", "lab", jobTag, time.Now()).Title(msg.Raw("a test")).Identity("digest").
		Stage("one", msg.Raw("one"), steps...).Build()
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (p pair) done(node string) string { return filepath.Join(p[node].bin, "done") }

// TestFaultSudoExpiresInARun (22): a node whose sudo refuses in the middle of a
// run waits for the operator, while the other goes on; its step is unchanged,
// and goes on, or stops, as the operator says.
func TestFaultSudoExpiresInARun(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		name := map[bool]string{true: "allowed again", false: "declined"}[allowed]
		t.Run(name, func(t *testing.T) {
			p, expired := newPair(t)
			for node := range p { // connected while sudo still works
				if _, err := p.Conn(t.Context(), node); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(expired("n1"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			var asked []engine.Question
			ask := operator(func(q engine.Question) (string, error) {
				asked = append(asked, q)
				p["n2"].until("the other node's work", func() bool { _, err := os.Stat(p.done("n2")); return err == nil })
				if _, err := os.Stat(p.done("n1")); err == nil {
					t.Error("the step went on")
				}
				if !allowed {
					return "", remote.ErrDeclined
				}
				return "yes", os.Remove(expired("n1"))
			})
			r, err := engine.Start(t.Context(), engine.Options{
				Plan: p.plan(t), Conns: p, Dir: t.TempDir(), Version: "test", Asker: ask,
				Approval: engine.Approval{Confirm: "nova-test"},
			})
			if err != nil {
				t.Fatal(err)
			}
			res := r.Wait()
			_, errDone := os.Stat(p.done("n1"))
			want := engine.OutcomeDone
			if !allowed {
				want = engine.OutcomeStopped
			}
			if res.Outcome != want || (errDone == nil) != allowed {
				t.Errorf("%s: %v; work on n1: %v", res.Outcome, res.Err, errDone)
			}
			if len(asked) == 0 || asked[0].Kind != "sudo" || asked[0].Node != "n1" ||
				!strings.Contains(msg.New("en").S(asked[0].Text), "a password is required") {
				t.Errorf("asked %+v", asked)
			}
			if allowed && len(asked) != 1 {
				t.Errorf("asked %d times", len(asked))
			}
		})
	}
}
