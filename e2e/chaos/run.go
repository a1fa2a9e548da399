package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Limits of a run.
const (
	// tryLimit bounds one call of novatui that repairs.
	tryLimit = 4 * time.Minute
	// mostTries bounds how often an operator has to begin or resume.
	mostTries = 12
	// settleLimit is how long a cluster may take to be itself again after a
	// fault of a node that was struck around the proof.
	settleLimit = 40 * time.Second
)

// Runner runs scenarios in a world.
type Runner struct {
	World World
	// Dir is a folder for plans and novatui's state, a new one each run.
	Dir string
	// Log gets what happens, line by line.
	Log func(format string, args ...any)
}

// run is one run of a scenario.
type run struct {
	Runner
	s       Scenario
	mu      sync.Mutex // of result.Broken
	result  Result
	state   string // XDG state folder of the operator
	seats   int    // machines that were lost
	clients map[string]*clientv3.Client
	writer  *writer
	watcher *watcher
	world   sync.WaitGroup // strikes of nodes that are under way
	strikes *strikes
	relics  []relic
	want    wanted
	units   map[string]string // the fingerprint of before
}

// Run breaks the cluster, repairs it under the scenario's faults, and judges.
// The error is of the campaign itself: a world that could not be broken. Broken
// promises are in the result. The cluster can be used again when there are none.
func (r Runner) Run(ctx context.Context, s Scenario) (Result, error) {
	x := &run{Runner: r, s: s, state: filepath.Join(r.Dir, "state"), clients: map[string]*clientv3.Client{}}
	x.result = Result{Seed: s.Seed, Damage: s.Damage.Name, Nodes: s.Damage.Nodes, Procedure: s.Damage.Procedure}
	x.result.World, x.result.Version = r.World.About()
	x.strikes = newStrikes(x)
	for _, node := range r.World.Nodes() {
		c, err := r.World.Client(node)
		if err != nil {
			return x.result, err
		}
		defer func() { _ = c.Close() }()
		x.clients[node] = c
	}
	if err := x.prepare(ctx); err != nil {
		return x.result, fmt.Errorf("preparing: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { x.watcher.run(ctx) })
	writing, stopWriting := context.WithCancel(ctx)
	var writes sync.WaitGroup
	writes.Go(func() { x.writer.run(writing) })
	defer func() { cancel(); stopWriting(); writes.Wait(); beside.Wait(); x.world.Wait() }()

	if err := x.damage(ctx); err != nil {
		return x.result, fmt.Errorf("breaking: %w", err)
	}
	began := time.Now()
	proved := x.repair(ctx)
	x.world.Wait()
	stopWriting()
	writes.Wait()
	x.judge(ctx, proved)
	x.result.Faults = x.strikes.report()
	if first := x.strikes.first(); !first.IsZero() {
		began = first
	}
	if !proved.IsZero() {
		x.result.Seconds = max(proved.Sub(began), 0).Round(10 * time.Millisecond).Seconds()
	}
	return x.result, nil
}

// breaks notes a broken promise.
func (x *run) breaks(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Broken = append(x.result.Broken, text)
	x.Log("BROKEN %s", text)
}

// elsewhere goes on from another machine, which knows nothing of the first.
func (x *run) elsewhere() {
	x.seats++
	x.state = filepath.Join(x.Dir, fmt.Sprintf("state-%d", x.seats+1))
}

// prepare cleans up after the last run and reads what must be kept.
func (x *run) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	nodes := x.World.Nodes()
	if err := os.MkdirAll(x.state, 0o700); err != nil {
		return err
	}
	if err := x.World.Clean(ctx); err != nil {
		return err
	}
	if _, err := x.clients[nodes[0]].Delete(ctx, keyPrefix, clientv3.WithPrefix()); err != nil {
		return err
	}
	before, err := x.World.Keys(ctx, nodes[0])
	if err != nil {
		return err
	}
	_, archived, err := x.World.Snapshot(ctx)
	if err != nil {
		return err
	}
	const leases = "/registry/leases/" // the breaking itself writes some of them
	var old []string
	for _, key := range slices.Sorted(maps.Keys(archived)) {
		if _, there := before[key]; there && !strings.HasPrefix(key, leases) {
			old = append(old, key)
		}
	}
	if len(old) < 16 {
		return fmt.Errorf("only %d keys are in the snapshot and in the cluster", len(old))
	}
	var chosen []string
	for i := range 16 {
		chosen = append(chosen, old[i*len(old)/16])
	}
	x.want = wanted{base: before}
	if x.s.Damage.Fault == "stale-data" {
		x.want.skip = leases
	}
	if x.s.Damage.Procedure == "restore" {
		x.want = wanted{base: archived, exact: true}
	}
	x.writer = &writer{nodes: nodes, clients: x.clients, seed: x.s.Seed, old: chosen, fresh: true}
	x.watcher = &watcher{nodes: nodes, clients: x.clients}
	x.units = unitFiles(fingerprint(x.World))
	return nil
}

// unitFiles is the part of a fingerprint that says what may start. A drop-in
// that was released is kept under a name that systemd does not read.
func unitFiles(all map[string]string) map[string]string {
	units := map[string]string{}
	for path, content := range all {
		folder := content == fs.ModeDir.String()
		if strings.Contains(path, "/etc/systemd/") && !folder && !strings.HasSuffix(path, ".released") {
			units[path] = content
		}
	}
	return units
}

// damage breaks the cluster and takes stock of what must not be lost.
func (x *run) damage(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d := x.s.Damage
	var names []string
	for _, i := range d.Nodes {
		names = append(names, x.World.Nodes()[i])
	}
	if d.Procedure == "restore" || d.Procedure == "salvage" {
		x.writer.onlyOld()
	}
	if err := x.World.Break(limited, d.Fault, names...); err != nil {
		return err
	}
	var err error
	if x.relics, err = relics(x.World, d); err != nil {
		return err
	}
	if d.Procedure != "salvage" {
		return nil
	}
	for i, node := range x.World.Nodes() {
		if slices.Contains(d.Nodes, i) {
			continue
		}
		keys, err := survivorKeys(limited, x.clients[node])
		x.want = wanted{base: keys, exact: true}
		return err
	}
	return nil
}

// judge looks at everything when the repair is over.
func (x *run) judge(ctx context.Context, proved time.Time) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	o, err := x.settled(ctx)
	if err != nil {
		x.breaks("the end: %v", err)
	}
	if proved.IsZero() && err == nil {
		x.breaks("the end: the cluster is healthy, and novatui did not say so")
	}
	writes := x.writer.all()
	for _, node := range x.World.Nodes() {
		if err != nil {
			break // they cannot be read
		}
		keys, err := x.World.Keys(ctx, node)
		if err != nil {
			x.breaks("keys: %s: %v", node, err)
			continue
		}
		for _, b := range x.want.wrongKeys(node, keys, writes, o.cluster) {
			x.breaks("%s", b)
		}
	}
	for _, b := range lost(x.World, x.relics) {
		x.breaks("%s", b)
	}
	x.watcher.mu.Lock()
	looks := slices.Clone(x.watcher.looks)
	x.watcher.mu.Unlock()
	if b := twoClusters(looks, writes); b != "" {
		x.breaks("C: %s", b)
	}
	runs, err := journals(x.state)
	if err != nil {
		x.breaks("D: %v", err)
	}
	for _, j := range runs {
		for _, b := range wayBack(x.World, j) {
			x.breaks("%s", b)
		}
	}
	if d := differences(x.units, unitFiles(fingerprint(x.World))); len(d) > 0 {
		x.breaks("the end: the units are not as they were: %v", d)
	}
	acked := 0
	for _, w := range writes {
		if w.acked {
			acked++
		}
	}
	x.Log("%d of %d writes were acknowledged, %d looks", acked, len(writes), len(looks))
}

// settled looks at the cluster from outside, and again for some time when a node
// was hurt around the end.
func (x *run) settled(ctx context.Context) (outside, error) {
	deadline := time.Now().Add(settleLimit)
	for {
		o, err := healthy(ctx, x.World, x.clients)
		if err == nil || time.Now().After(deadline) || !x.strikes.nodeHurtSince(time.Now().Add(-settleLimit)) || !after(time.Second, ctx.Done()) {
			return o, err
		}
	}
}
