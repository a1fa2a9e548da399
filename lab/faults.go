package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/novatui/novatui/assets/msg"
)

// FaultInfo describes a fault that Break can inject.
type FaultInfo struct {
	Name        string  `json:"name"`
	Description msg.Msg `json:"description"`
	// Nodes are the nodes that are chosen in a lab of three when none is named.
	Nodes []string `json:"nodes"`
}

// fault is one way to break nodes.
type fault struct {
	name string
	// count says how many nodes the fault takes in a lab of n.
	count func(n int) (least, most int)
	// from picks the default nodes: least of them, from this index on.
	from   func(n int) int
	inject func(ctx context.Context, s *supervisor, nodes []*node) error
}

func one(int) (int, int) { return 1, 1 }

// majority is so many that the rest has no quorum, but leaves one.
func majority(n int) (int, int) { return n - (n/2 + 1) + 1, n - 1 }

func everyone(n int) (int, int) { return n, n }

func second(n int) int { return min(1, n-1) }

func lastOnes(n int) int { least, _ := majority(n); return n - least }

func first(int) int { return 0 }

// faults in the order in which they are listed.
var faults = []fault{
	{"stop", one, second, each(faultStop)},
	{"kill-loop", one, second, each(faultKillLoop)},
	{"hang", one, second, each(faultHang)},
	{"corrupt-db", one, second, each(faultCorruptDB)},
	{"corrupt-wal", one, second, each(faultCorruptWAL)},
	{"wipe-data", one, second, each(faultWipeData)},
	{"stale-data", one, second, each(faultStaleData)},
	{"lose-quorum", majority, lastOnes, faultLoseQuorum},
	{"lose-all", everyone, first, faultLoseAll},
}

// each makes a fault of one node from a function over it.
func each(f func(context.Context, *supervisor, *node) error) func(context.Context, *supervisor, []*node) error {
	return func(ctx context.Context, s *supervisor, nodes []*node) error {
		for _, n := range nodes {
			if err := f(ctx, s, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// Faults lists the faults that Break knows.
func Faults() []FaultInfo {
	out := make([]FaultInfo, len(faults))
	for i, f := range faults {
		out[i] = FaultInfo{Name: f.name, Description: msg.M("lab.fault." + f.name)}
		least, _ := f.count(3)
		for k := range least {
			out[i].Nodes = append(out[i].Nodes, fmt.Sprintf("master-%d", f.from(3)+k+1))
		}
	}
	return out
}

// noEffect wraps the error of a wait for a symptom.
func noEffect(n *node, err error) error {
	return fmt.Errorf("%w on %s: %w%s", ErrNoEffect, n.Name, err, lastWords(n.journal))
}

// stop stops a node's etcd and waits until it is down.
func stop(ctx context.Context, n *node) error {
	result, err := n.etcd().runJob(ctx, (*machine).Stop)
	if err == nil && result != jobDone {
		err = errors.New("the stop was " + result)
	}
	if err != nil {
		return fmt.Errorf("stopping etcd on %s: %w", n.Name, err)
	}
	return nil
}

// start starts a node's etcd without waiting. What happened before does not
// count against the start limit.
func start(n *node) {
	n.etcd().do(func(m *machine) {
		m.ResetFailed()
		m.Start(newJob())
	})
}

// crashes waits until etcd has ended with one of the texts in its journal since
// seq, and systemd holds it for a restart or has given up.
func crashes(ctx context.Context, n *node, seq uint64, texts ...string) error {
	err := n.etcd().wait(ctx, func(st unitState) bool {
		if st.Sub != subAutoRestart && st.Sub != subFailed {
			return false
		}
		return slices.ContainsFunc(texts, func(t string) bool {
			_, found := n.journal.find(seq, t)
			return found
		})
	})
	if err != nil {
		return noEffect(n, err)
	}
	return nil
}

func faultStop(ctx context.Context, _ *supervisor, n *node) error { return stop(ctx, n) }

// killLoopDropIn makes systemd restart etcd at once (which is systemd's own
// default), so that its start limit of 5 in 10 s is hit within seconds. With the
// unit's 2 s it never would be.
const killLoopDropIn = "[Service]\nRestartSec=100ms\n"

func (u *unit) killLoopPath() string {
	return filepath.Join(u.root, "run/systemd/system", u.name+".d", "50-kill-loop.conf")
}

// faultKillLoop kills etcd at the first line of every start, until systemd gives
// up.
func faultKillLoop(ctx context.Context, _ *supervisor, n *node) error {
	u := n.etcd()
	if err := os.MkdirAll(filepath.Dir(u.killLoopPath()), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(u.killLoopPath(), []byte(killLoopDropIn), 0o644); err != nil {
		return err
	}
	if err := u.reload(); err != nil {
		return err
	}
	u.do(func(m *machine) {
		u.killer = true
		m.fx.kill(m.st.MainPID, syscall.SIGKILL)
		m.fx.kill(m.st.MainPID, syscall.SIGCONT)
		if m.st.Sub == subDead || m.st.Sub == subFailed {
			m.ResetFailed()
			m.Start(newJob())
		}
	})
	if err := u.wait(ctx, func(st unitState) bool { return st.Sub == subFailed }); err != nil {
		return noEffect(n, err)
	}
	u.endKilling()
	return nil
}

// endKilling ends kill-loop and takes its drop-in away.
func (u *unit) endKilling() {
	u.mu.Lock()
	u.killer = false
	u.mu.Unlock()
	if err := os.Remove(u.killLoopPath()); err != nil {
		return // there was none
	}
	_ = os.Remove(filepath.Dir(u.killLoopPath()))
	_ = u.reload() // the unit file itself was read before
}

// faultHang suspends etcd: its process is there, its ports are open, nothing
// answers.
func faultHang(ctx context.Context, _ *supervisor, n *node) error {
	u := n.etcd()
	st, _ := u.state()
	if st.Sub != subRunning {
		return fmt.Errorf("etcd on %s is not running", n.Name)
	}
	u.do(func(m *machine) { m.fx.kill(m.st.MainPID, syscall.SIGSTOP) })
	for !suspended(st.MainPID) {
		select {
		case <-ctx.Done():
			return noEffect(n, ctx.Err())
		case <-time.After(poll):
		}
	}
	return nil
}

// dbOf is the file of a node's key space.
func dbOf(n *node) string { return filepath.Join(n.dataDir(), "member/snap/db") }

func faultCorruptDB(ctx context.Context, _ *supervisor, n *node) error {
	if err := stop(ctx, n); err != nil {
		return err
	}
	if err := scribble(dbOf(n), 0, 8<<10); err != nil {
		return err
	}
	seq := n.journal.last()
	start(n)
	return crashes(ctx, n, seq, "failed to open database")
}

func faultCorruptWAL(ctx context.Context, _ *supervisor, n *node) error {
	if err := stop(ctx, n); err != nil {
		return err
	}
	if err := corruptWAL(filepath.Join(n.dataDir(), "member/wal")); err != nil {
		return err
	}
	seq := n.journal.last()
	start(n)
	return crashes(ctx, n, seq, "crc mismatch")
}

// faultWipeData takes the data away. The env file says state new again, as the
// installer left it, which is why etcd asks to bootstrap a second time.
func faultWipeData(ctx context.Context, _ *supervisor, n *node) error {
	if err := stop(ctx, n); err != nil {
		return err
	}
	if err := emptyFolder(n.dataDir()); err != nil {
		return err
	}
	if err := setState(n, "new"); err != nil {
		return err
	}
	seq := n.journal.last()
	start(n)
	return crashes(ctx, n, seq, "has already been bootstrapped")
}

func faultLoseQuorum(ctx context.Context, s *supervisor, nodes []*node) error {
	for _, n := range nodes {
		if err := stop(ctx, n); err != nil {
			return err
		}
	}
	seqs := make([]uint64, len(nodes))
	for i, n := range nodes {
		if err := emptyFolder(n.dataDir()); err != nil {
			return err
		}
		if err := setState(n, "new"); err != nil {
			return err
		}
		seqs[i] = n.journal.last()
		start(n)
	}
	for i, n := range nodes {
		if err := crashes(ctx, n, seqs[i], "has already been bootstrapped"); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if slices.Contains(nodes, n) {
			continue
		}
		if err := leaderless(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// leaderless waits until a survivor that runs has noticed that it has no leader.
func leaderless(ctx context.Context, n *node) error {
	c, err := dialEtcd(n.nodeInfo)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		if st, _ := n.etcd().state(); st.Sub != subRunning {
			return nil // it was broken before
		}
		if st, err := c.Status(ctx, n.clientURL()); err == nil && st.Leader == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return noEffect(n, ctx.Err())
		case <-time.After(poll):
		}
	}
}

// faultLoseAll leaves no sound data on any node.
func faultLoseAll(ctx context.Context, _ *supervisor, nodes []*node) error {
	for _, n := range nodes {
		if err := stop(ctx, n); err != nil {
			return err
		}
	}
	seqs := make([]uint64, len(nodes))
	for i, n := range nodes {
		if err := ruin(n); err != nil {
			return err
		}
		seqs[i] = n.journal.last()
		start(n)
	}
	for i, n := range nodes {
		if err := crashes(ctx, n, seqs[i], "failed to open database", "crc mismatch"); err != nil {
			return err
		}
	}
	return nil
}

// ruin scribbles over a node's key space and its log.
func ruin(n *node) error {
	if err := scribble(dbOf(n), 0, 0); err != nil {
		return err
	}
	segments, err := walSegments(filepath.Join(n.dataDir(), "member/wal"))
	if err != nil {
		return err
	}
	for _, path := range segments {
		if err := scribble(path, 0, 1<<20); err != nil {
			return err
		}
	}
	return nil
}

// setState writes ETCD_INITIAL_CLUSTER_STATE into the env file.
func setState(n *node, state string) error {
	const name = "ETCD_INITIAL_CLUSTER_STATE="
	path := n.path("etc/etcd.env")
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the env file: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), name) {
			lines[i] = name + state
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return fmt.Errorf("writing the env file: %w", err)
	}
	return nil
}
