//go:build e2e && linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// faults have the names, the defaults and the effects of the lab's (novatui
// lab break --list), and more that need a real machine.
var faults = map[string]func(context.Context, *Hosts, []*node) error{
	"stop":        alone((*node).stop),
	"kill-loop":   alone(killLoop),
	"start-limit": alone(startLimit),
	"hang":        alone(hang),
	"corrupt-db":  alone(damaged(corruptDB, "failed to open database", "panic")),
	"corrupt-wal": alone(damaged(corruptWAL, "crc mismatch")),
	"truncate-db": alone(damaged(truncateDB, "unexpected fault address", "failed to open database", "panic")),
	"wipe-data":   alone(damaged((*node).wipe, "has already been bootstrapped")),
	"stale-data":  each(staleData),
	"lose-quorum": loseQuorum,
	"lose-all":    loseAll,
}

func alone(f func(*node, context.Context) error) func(context.Context, *Hosts, []*node) error {
	return each(func(ctx context.Context, _ *Hosts, n *node) error { return f(n, ctx) })
}

func each(f func(context.Context, *Hosts, *node) error) func(context.Context, *Hosts, []*node) error {
	return func(ctx context.Context, h *Hosts, nodes []*node) error {
		for _, n := range nodes {
			if err := f(ctx, h, n); err != nil {
				return err
			}
		}
		return nil
	}
}

// Break implements suite.World. Without nodes it takes the lab's: the second,
// for lose-quorum the last ones, for lose-all every one.
func (h *Hosts) Break(ctx context.Context, fault string, names ...string) error {
	inject, ok := faults[fault]
	if !ok {
		return fmt.Errorf("unknown fault %q", fault)
	}
	nodes := h.nodes[1:2]
	switch fault {
	case "lose-quorum":
		nodes = h.nodes[len(h.nodes)/2:]
	case "lose-all":
		nodes = h.nodes
	}
	if len(names) > 0 {
		nodes = nil
	}
	for _, name := range names {
		n, err := h.node(name)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	if err := inject(ctx, h, nodes); err != nil {
		return fmt.Errorf("%s: %w%s", fault, err, h.lastWords())
	}
	return h.settle(ctx, nodes)
}

func (n *node) stop(ctx context.Context) error {
	_, err := n.in(ctx, "systemctl", "stop", etcdUnit)
	return err
}

// start starts etcd without waiting; what happened before does not count
// against the start limit.
func (n *node) start(ctx context.Context) error {
	_, err := n.sh(ctx, "systemctl reset-failed $1; systemctl start --no-block $1", etcdUnit)
	return err
}

// mark is a place in the node's journal: what comes later is read by dies.
func (n *node) mark(ctx context.Context) (string, error) {
	out, err := n.sh(ctx, "journalctl --sync; journalctl -n 1 --show-cursor -o cat")
	_, cursor, found := strings.Cut(out, "-- cursor: ")
	if err == nil && !found {
		err = fmt.Errorf("journalctl gives no cursor: %s", out)
	}
	return strings.TrimSpace(cursor), err
}

// dies waits until etcd has said one of the texts since the mark, and systemd
// holds it for a restart or has given up.
func (n *node) dies(ctx context.Context, mark string, texts ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	return until(ctx, func() error {
		out, err := n.sh(ctx, `systemctl show --property=SubState --value $1; journalctl --sync
journalctl -u $1 --after-cursor="$2" -o cat`, etcdUnit, mark)
		if err != nil {
			return err
		}
		state, said, _ := strings.Cut(out, "\n")
		if state != "auto-restart" && state != "failed" {
			return fmt.Errorf("etcd is %s", state)
		}
		if !slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(said, t) }) {
			return fmt.Errorf("etcd died of something else: %s", tail([]byte(said)))
		}
		return nil
	})
}

// damaged makes a fault of something that is done to the files of a stopped
// etcd, and of how the next start ends.
func damaged(damage func(*node, context.Context) error, texts ...string) func(*node, context.Context) error {
	return func(n *node, ctx context.Context) error {
		if err := n.stop(ctx); err != nil {
			return err
		}
		if err := damage(n, ctx); err != nil {
			return err
		}
		mark, err := n.mark(ctx)
		if err == nil {
			err = n.start(ctx)
		}
		if err != nil {
			return err
		}
		return n.dies(ctx, mark, texts...)
	}
}

// killLoop kills etcd at every start until systemd gives up. The restarts come
// at once for that time, as with systemd's own default, so that the start
// limit of 5 in 10 s is hit.
func killLoop(n *node, ctx context.Context) error {
	_, err := n.sh(ctx, `d=/run/systemd/system/$1.d; mkdir -p $d
printf '[Service]\nRestartSec=100ms\n' >$d/50-kill-loop.conf
systemctl daemon-reload
until [ "$(systemctl show -p ActiveState --value $1)" = failed ]; do
	systemctl kill --signal=KILL $1 2>/dev/null || :
	sleep 0.05
done
rm -r $d; systemctl daemon-reload`, etcdUnit)
	return err
}

// startLimit is killLoop with a start limit that holds: 5 starts in 10 minutes,
// and no reload of the configuration that would forget them.
func startLimit(n *node, ctx context.Context) error {
	_, err := n.sh(ctx, `d=/etc/systemd/system/$1.d; mkdir -p $d
printf '[Unit]\nStartLimitIntervalSec=600\n[Service]\nRestartSec=100ms\n' >$d/40-limit.conf
systemctl daemon-reload
until [ "$(systemctl show -p ActiveState --value $1)" = failed ]; do
	systemctl kill --signal=KILL $1 2>/dev/null || :
	sleep 0.05
done`, etcdUnit)
	return err
}

// hang suspends etcd: the process is there, its ports are open, and nothing
// answers.
func hang(n *node, ctx context.Context) error {
	_, err := n.in(ctx, "systemctl", "kill", "--signal=STOP", etcdUnit)
	return err
}

func (n *node) wipe(_ context.Context) error {
	for _, dir := range []string{dataDir, walDir} {
		if err := emptyFolder(n.path(dir)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return n.setState("new")
}

// setState writes ETCD_INITIAL_CLUSTER_STATE into the env file.
func (n *node) setState(state string) error {
	const name = "ETCD_INITIAL_CLUSTER_STATE="
	b, err := os.ReadFile(n.path(envPath))
	if err != nil {
		return err
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, name) {
			lines[i] = name + state
		}
	}
	return os.WriteFile(n.path(envPath), []byte(strings.Join(lines, "\n")), 0o644)
}

// loseQuorum empties a majority, all of them before any starts again, and
// waits until those that are left have noticed that they have no leader.
func loseQuorum(ctx context.Context, h *Hosts, nodes []*node) error {
	if err := each(func(ctx context.Context, _ *Hosts, n *node) error { return n.stop(ctx) })(ctx, h, nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.wipe(ctx); err != nil {
			return err
		}
	}
	if err := startAndDie(ctx, nodes, "has already been bootstrapped"); err != nil {
		return err
	}
	for _, n := range h.nodes {
		if slices.Contains(nodes, n) {
			continue
		}
		if err := leaderless(ctx, h, n); err != nil {
			return err
		}
	}
	return nil
}

// loseAll leaves no sound data on any node.
func loseAll(ctx context.Context, h *Hosts, nodes []*node) error {
	if err := each(func(ctx context.Context, _ *Hosts, n *node) error { return n.stop(ctx) })(ctx, h, nodes); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := n.ruin(); err != nil {
			return err
		}
	}
	return startAndDie(ctx, nodes, "failed to open database", "crc mismatch", "panic")
}

func startAndDie(ctx context.Context, nodes []*node, texts ...string) error {
	marks := make([]string, len(nodes))
	for i, n := range nodes {
		var err error
		if marks[i], err = n.mark(ctx); err != nil {
			return err
		}
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	for i, n := range nodes {
		if err := n.dies(ctx, marks[i], texts...); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// staleData puts an older copy of a member's data back. The member must have
// acknowledged what the copy lacks to a leader that still leads; then that
// leader tells it to commit what it does not have, and it panics.
func staleData(ctx context.Context, h *Hosts, n *node) error {
	if err := h.leadElsewhere(ctx, n); err != nil {
		return err
	}
	old := filepath.Join(n.dir, "stale")
	copyData := func(from, to string) error {
		return run(ctx, "cp", "--archive", "--sparse=always", "--no-target-directory", from, to)
	}
	if err := errors.Join(n.stop(ctx), os.RemoveAll(old), copyData(n.path(dataDir), old), n.start(ctx)); err != nil {
		return err
	}
	if err := h.Healthy(ctx); err != nil {
		return err
	}
	if err := h.leadElsewhere(ctx, n); err != nil {
		return err
	}
	c, err := h.client(n)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for i := range 300 {
		// The same keys again, as leases are renewed; through the member, so
		// that it has acknowledged them.
		if _, err := c.Put(ctx, "/registry/leases/kube-node-lease/worker-"+strconv.Itoa(i%40), strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if err := n.stop(ctx); err != nil {
		return err
	}
	err = errors.Join(emptyFolder(n.path(dataDir)), copyData(old, n.path(dataDir)), os.RemoveAll(old))
	if err != nil {
		return err
	}
	return startAndDie(ctx, []*node{n}, "is out of range")
}
