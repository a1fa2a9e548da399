package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
	"github.com/novatui/novatui/remote/ssh"
	"github.com/novatui/novatui/workflows/engine"
)

// site is one node behind a real SSH server, with real jobs.
type site struct {
	t         testing.TB
	server    *remotetest.Server
	node      remote.Node
	transport *ssh.Transport
	dir       string // of the runs
	bin       string // where the test's commands leave what they did

	mu    sync.Mutex
	conn  remote.Conn
	fresh int
	all   []remote.Conn
}

func newSite(t testing.TB) *site {
	server := remotetest.NewServer(t, remotetest.ServerOptions{})
	s := &site{
		t: t, server: server, node: server.Node("n1"), dir: t.TempDir(), bin: t.TempDir(),
		transport: ssh.New(ssh.Options{SSHBinary: "none"}),
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.all {
			_ = c.Close()
		}
	})
	return s
}

func (s *site) Conn(ctx context.Context, node string) (remote.Conn, error) {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	return s.Reconnect(ctx, node)
}

func (s *site) Reconnect(ctx context.Context, _ string) (remote.Conn, error) {
	c, err := s.transport.Connect(ctx, s.node, nil)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
	s.fresh++
	s.all = append(s.all, c)
	return c, nil
}

const jobTag = "20261103-140314"

// plan has one step, done when the file done is there, by one detached command.
func (s *site) plan(script string, limit time.Duration, took func(remote.Result)) engine.Plan {
	s.t.Helper()
	c := remote.Command{
		Argv: []string{"/bin/sh", "-c", `cd "$1" && echo run >>count; ` + script, "job", s.bin}, Effect: remote.Change,
		Timeout: limit, Detach: true, MaxOutput: 16 << 20,
	}
	look := remote.Command{Argv: []string{"test", "-f", filepath.Join(s.bin, "done")}, Effect: remote.Read, Timeout: 20 * time.Second, Quiet: true}
	probe := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		res, err := x.Try(ctx, "n1", look)
		if err != nil {
			return engine.Unknown, err
		}
		if res.Exit == 0 {
			return engine.Done, nil
		}
		return engine.NotDone, nil
	}
	p, err := engine.NewPlan("demo", "nova-test", "lab", jobTag, time.Now()).Title(msg.Raw("a test")).Identity("digest").
		Stage("one", msg.Raw("one"), engine.Step{
			ID: "work/n1", Title: msg.Raw("work"), Why: msg.Raw("to see it"), Node: "n1", Effect: remote.Change,
			Commands: []engine.NodeCommand{{Node: "n1", Command: c}}, Checks: []engine.NodeCommand{{Node: "n1", Command: look}},
			Probe: probe,
			Do: func(ctx context.Context, x *engine.Exec) error {
				res, err := x.Run(ctx, "n1", c)
				if took != nil {
					took(res)
				}
				return err
			},
			Verify: func(ctx context.Context, x *engine.Exec) error {
				if p, err := probe(ctx, x); err != nil || p != engine.Done {
					return fmt.Errorf("not done: %s, %w", p, errors.Join(err, errors.New("no file")))
				}
				return nil
			},
		}).Build()
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *site) options(p engine.Plan) engine.Options {
	return engine.Options{
		Plan: p, Conns: s, Dir: s.dir, Version: "test", Jobs: etcdops.NewJobs([]remote.Node{s.node}, jobTag),
		Approval: engine.Approval{Confirm: "nova-test"},
	}
}

func (s *site) start(p engine.Plan) *engine.Run {
	s.t.Helper()
	r, err := engine.Start(context.Background(), s.options(p))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Abort(); r.Wait() })
	return r
}

func (s *site) resume(p engine.Plan, id string) (*engine.Run, engine.Result) {
	s.t.Helper()
	r, err := engine.Resume(context.Background(), s.options(p), id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Abort(); r.Wait() })
	return r, r.Wait()
}

// jobs are the folders of jobs on the node, in order.
func (s *site) jobs() []string {
	found, _ := filepath.Glob(filepath.Join(s.node.Root, "var/lib/novatui", jobTag, "jobs", "*"))
	return found
}

func (s *site) runs() int {
	b, _ := os.ReadFile(filepath.Join(s.bin, "count"))
	return strings.Count(string(b), "\n")
}

func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited for: %s", what)
		}
	}
}

// output waits until a job of the node has written something.
func (s *site) output() {
	s.t.Helper()
	s.until("output of the job", func() bool {
		found := s.jobs()
		if len(found) == 0 {
			return false
		}
		st, err := os.Stat(filepath.Join(found[len(found)-1], "out"))
		return err == nil && st.Size() > 0
	})
}

func (s *site) touch(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.bin, name), nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func transcript(t testing.TB, r *engine.Run) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.Dir(), "transcript-n1.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// numbers prints many lines and goes on when the test lets it.
const numbers = `n() { i=$1; while [ $i -lt $2 ]; do i=$((i+1)); echo "line $i"; echo "error $i" >&2; done; }
	hold() { while [ ! -f "$1" ]; do sleep 0.02; done; }; `

func wantLines(name string, n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%s %d\n", name, i)
	}
	return b.String()
}

func TestAJobOutlivesItsConnection(t *testing.T) {
	s := newSite(t)
	var got remote.Result
	p := s.plan(numbers+`n 0 1000; hold a; n 1000 2000; hold b; n 2000 3000; touch done`, time.Minute, func(r remote.Result) { got = r })
	r := s.start(p)
	s.output()
	for i, name := range []string{"a", "b"} {
		s.server.DropConnections()
		// A connection that is dropped before anybody follows the job over it is
		// none that was lost.
		s.until("the link to be back", func() bool { return texts(r)["engine.link-back"] > i })
		s.touch(name)
		s.until("more output", func() bool {
			b, _ := os.ReadFile(filepath.Join(s.jobs()[0], "out"))
			return strings.Count(string(b), "\n") >= 1000*(i+2)
		})
	}
	res := r.Wait()
	if res.Outcome != engine.OutcomeDone || res.Err != nil || s.runs() != 1 || len(s.jobs()) != 1 {
		t.Fatalf("%s %v, ran %d times, jobs %v", res.Outcome, res.Err, s.runs(), s.jobs())
	}
	if string(got.Stdout) != wantLines("line", 3000) || string(got.Stderr) != wantLines("error", 3000) || got.Truncated {
		t.Errorf("the result has %d and %d bytes", len(got.Stdout), len(got.Stderr))
	}
	text := transcript(t, r)
	for _, line := range []string{"line 1\n", "line 1000\n", "line 1001\n", "line 3000\n"} {
		if n := strings.Count(text, "  "+line); n != 1 {
			t.Errorf("the transcript has %q %d times", line, n)
		}
	}
	if strings.Contains(text, "novatui-job") || strings.Contains(text, "setsid") {
		t.Error("the transcript shows the wrapper")
	}
	events, _ := r.Since(0, 0)
	starts, notes := 0, texts(r)
	for _, e := range events {
		if e.Type == engine.CommandStart && e.Effect == remote.Change {
			starts++
			if strings.Contains(e.Line, "novatui-job") || e.Job == "" {
				t.Errorf("the journal shows %s, job %q", e.Line, e.Job)
			}
		}
	}
	if starts != 1 || notes["engine.link-lost"] != 2 || notes["engine.link-back"] != 2 {
		t.Errorf("%d starts, notes %v", starts, notes)
	}
}

// texts counts the messages of a run's events.
func texts(r *engine.Run) map[string]int {
	events, _ := r.Since(0, 0)
	n := map[string]int{}
	for _, e := range events {
		n[e.Text.ID]++
	}
	return n
}

func TestAnAbortLeavesTheJobRunningAndResumeJoinsIt(t *testing.T) {
	s := newSite(t)
	p := s.plan(numbers+`n 0 10; hold go; n 10 20; touch done`, time.Minute, nil)
	r := s.start(p)
	s.output()
	r.Abort()
	res := r.Wait()
	if res.Outcome != engine.OutcomeUnknown || !strings.Contains(res.Err.Error(), "goes on by itself on n1") {
		t.Fatalf("%s %v", res.Outcome, res.Err)
	}
	events, _ := r.Since(0, 0)
	if st := engine.Replay(events); st.Step("work/n1").Status != engine.StatusUnknown {
		t.Errorf("the journal says %+v", st.Step("work/n1"))
	}
	if _, err := os.Stat(filepath.Join(s.jobs()[0], "exit")); err == nil {
		t.Fatal("the abort ended the job")
	}
	var got remote.Result
	p = s.plan(numbers+`n 0 10; hold go; n 10 20; touch done`, time.Minute, func(r remote.Result) { got = r })
	time.AfterFunc(200*time.Millisecond, func() { s.touch("go") })
	r, res = s.resume(p, r.ID())
	if res.Outcome != engine.OutcomeDone || s.runs() != 1 || len(s.jobs()) != 1 || string(got.Stdout) != wantLines("line", 20) {
		t.Errorf("%s %v, ran %d times, jobs %v, %q", res.Outcome, res.Err, s.runs(), s.jobs(), got.Stdout)
	}
	events, _ = r.Since(0, 0)
	joined := false
	for _, e := range events {
		joined = joined || e.Text.ID == "engine.job-joined"
	}
	if !joined {
		t.Error("nobody said that the job was joined")
	}
}

// TestAFailedJobIsRunAgainByAResume: its end was seen, so that its key is used
// up; the reason is told as that of any command.
func TestAFailedJobIsRunAgainByAResume(t *testing.T) {
	s := newSite(t)
	var got remote.Result
	p := s.plan(`echo words; if [ -f go ]; then touch done; exit 0; fi; echo 'refused: no room' >&2; exit 3`, time.Minute,
		func(r remote.Result) { got = r })
	r := s.start(p)
	res := r.Wait()
	var exit *remote.ExitError
	if !errors.As(res.Err, &exit) || exit.Result.Exit != 3 || got.Exit != 3 || !strings.HasSuffix(exit.Error(), "exit status 3: refused: no room") || string(got.Stderr) != "refused: no room\n" {
		t.Fatalf("%v, %+v", res.Err, got)
	}
	s.touch("go")
	_, res = s.resume(p, r.ID())
	if jobs := s.jobs(); res.Outcome != engine.OutcomeDone || s.runs() != 2 || len(jobs) != 2 || jobs[1] != jobs[0]+"-2" {
		t.Errorf("%s %v, ran %d times, jobs %v", res.Outcome, res.Err, s.runs(), jobs)
	}
}

// TestAJobThatIsGoneIsAskedOfReality: the node was started anew, or the job was
// killed there. What is not done is done once more, under another key.
func TestAJobThatIsGoneIsAskedOfReality(t *testing.T) {
	for name, gone := range map[string]func(job string) error{
		"killed": func(job string) error {
			b, err := os.ReadFile(filepath.Join(job, "pid"))
			if err != nil {
				return err
			}
			return exec.Command("pkill", "-KILL", "-s", strings.Fields(string(b))[0]).Run()
		},
		"rebooted": func(job string) error {
			return os.WriteFile(filepath.Join(job, "boot"), []byte("another\n"), 0o600)
		},
	} {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, done %t", name, done), func(t *testing.T) {
				s := newSite(t)
				p := s.plan(numbers+`n 0 10; if [ $(wc -l <count) = 1 ]; then hold never; fi; touch done`, time.Minute, nil)
				r := s.start(p)
				s.output()
				if done {
					s.touch("done")
				}
				job := s.jobs()[0]
				if err := gone(job); err != nil {
					t.Fatal(err)
				}
				s.server.DropConnections()
				res := r.Wait()
				want := 2
				if done {
					want = 1
				}
				if res.Outcome != engine.OutcomeDone || s.runs() != want || len(s.jobs()) != want {
					t.Errorf("%s %v, ran %d times, jobs %v", res.Outcome, res.Err, s.runs(), s.jobs())
				}
				events, _ := r.Since(0, 0)
				outcomes := ""
				for _, e := range events {
					if e.Type == engine.CommandEnd && e.Effect == remote.Change {
						outcomes += string(e.Outcome) + ";"
					}
				}
				if !strings.HasPrefix(outcomes, "unknown;") {
					t.Errorf("the journal says %q", outcomes)
				}
				s.touch("never") // what is left of the first ends
				s.until("the end of the first job", func() bool {
					_, err := os.Stat(filepath.Join(job, "exit"))
					return err == nil || name == "killed"
				})
			})
		}
	}
}

func TestAJobPastItsDeadlineIsEndedOnTheNode(t *testing.T) {
	s := newSite(t)
	p := s.plan(`echo begun; trap 'touch told; exit 1' TERM; sleep 60 & wait`, time.Second, nil)
	r := s.start(p)
	res := r.Wait()
	if res.Outcome != engine.OutcomeStopped || !errors.Is(res.Err, context.DeadlineExceeded) || s.runs() != 1 {
		t.Errorf("%s %v, ran %d times", res.Outcome, res.Err, s.runs())
	}
	if _, err := os.Stat(filepath.Join(s.bin, "told")); err != nil {
		t.Error("the job was not ended")
	}
}

func TestAJobWithMegabytes(t *testing.T) {
	s := newSite(t)
	var got remote.Result
	p := s.plan(`echo first; while [ ! -f go ]; do sleep 0.02; done; i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo "line $i of very many lines that a tool may well write"; [ $i != 50000 ] || while [ ! -f end ]; do sleep 0.02; done; done; touch done`,
		time.Minute, func(r remote.Result) { got = r })
	r := s.start(p)
	s.output()
	s.touch("go")
	// Cut wherever it is just now, again and again.
	for range 3 {
		was := s.server.Connections.Load()
		s.server.DropConnections()
		s.until("a new connection", func() bool {
			select {
			case <-r.Done():
				t.Fatalf("it ended: %v", r.Wait().Err)
			default:
			}
			return s.server.Connections.Load() > was
		})
	}
	s.touch("end")
	if res := r.Wait(); res.Outcome != engine.OutcomeDone || s.runs() != 1 {
		t.Fatalf("%s %v, ran %d times", res.Outcome, res.Err, s.runs())
	}
	lines := strings.Split(strings.TrimSuffix(string(got.Stdout), "\n"), "\n")
	if len(lines) != 60001 || lines[0] != "first" || !strings.HasPrefix(lines[60000], "line 60000 of") || !strings.HasPrefix(lines[30000], "line 30000 of") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// TestAJobThatTheNodeCannotKeep: nothing is run that could not be found again.
func TestAJobThatTheNodeCannotKeep(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(filepath.Join(s.node.Root, "var/lib/novatui"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.node.Root, "var/lib/novatui", jobTag), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	res := s.start(s.plan(`touch done`, time.Minute, nil)).Wait()
	if res.Outcome != engine.OutcomeFailed || res.Changed || !errors.Is(res.Err, remote.ErrNotStarted) || !strings.Contains(res.Err.Error(), "cannot make") || s.runs() != 0 {
		t.Errorf("%s %v, changed %t, ran %d times", res.Outcome, res.Err, res.Changed, s.runs())
	}
}
