package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// claimsHold compares what a journal says of its steps with the nodes (promise
// D). Steps that are unknown, and what depends on them, are not compared: a
// command that lost its operator may be running. torn: the journal's last line
// is gone, so "never begun" proves nothing.
func claimsHold(ctx context.Context, w World, j journal, clients map[string]*clientv3.Client, torn bool) []string {
	c := &claims{world: w, clients: clients, journal: j, said: j.claims(), begun: j.begun(), torn: torn}
	for _, s := range j.plan.steps() {
		kind, node := kindOf(s.id)
		switch kind {
		case "aside":
			c.aside(s.id, node)
		case "stop":
			c.stopped(ctx, s.id, node)
		case "env":
			if c.said[s.id] == done && !envSays(w, node, j.plan) {
				c.wrong(s.id, "the env file does not say so")
			}
		case "remove":
			c.membership(ctx, s.id, node)
		}
	}
	return c.broken
}

// claims is one comparison of a journal with the nodes.
type claims struct {
	world   World
	clients map[string]*clientv3.Client
	journal journal
	said    map[string]claim
	begun   map[string]bool
	torn    bool
	broken  []string
}

func (c *claims) wrong(step, format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf("D: %s of %s is %s in the journal, and ", step, filepath.Base(c.journal.dir), c.said[step])+fmt.Sprintf(format, args...))
}

// untouched: the step surely was never begun, where the plan has it at all.
func (c *claims) untouched(step string) bool {
	return !c.begun[step] && (c.said[step] == never || c.said[step] == notDone) && !c.torn
}

func (c *claims) aside(step, node string) {
	asides, _ := filepath.Glob(c.world.Path(node, dataDir+asideEnd+c.journal.plan.Tag))
	inside, _ := filepath.Glob(c.world.Path(node, dataDir+"/novatui-"+c.journal.plan.Tag))
	there := len(asides)+len(inside) > 0
	if c.said[step] == done && !there && !empty(c.world, node) {
		c.wrong(step, "nothing was set aside")
	} else if c.untouched(step) && there {
		c.wrong(step, "something was set aside: %v", append(asides, inside...))
	}
}

func (c *claims) stopped(ctx context.Context, step, node string) {
	if c.said[step] != done || !c.untouched("start/"+node) {
		return
	}
	if running, err := c.world.Running(ctx, node); err == nil && running {
		c.wrong(step, "etcd runs there")
	}
}

// String names a claim.
func (c claim) String() string { return [...]string{"not begun", "not done", "unknown", "done"}[c] }

// empty: there is no data directory of the member's any more, or a new one: what
// was set aside was so before this plan.
func empty(w World, node string) bool {
	found, _ := filepath.Glob(filepath.Join(w.Path(node, dataDir), "member", "*"))
	return len(found) == 0
}

// envSays looks for what a plan writes into the env file.
func envSays(w World, node string, p Plan) bool {
	b, err := os.ReadFile(w.Path(node, envFile))
	if err != nil {
		return false
	}
	if p.Procedure == "rejoin" {
		return bytes.Contains(b, []byte("ETCD_INITIAL_CLUSTER_STATE=existing"))
	}
	return bytes.Contains(b, []byte(asideEnd[1:]+p.Tag))
}

// membership asks the other members whether a node's member was removed.
func (c *claims) membership(ctx context.Context, step, node string) {
	said := c.said[step]
	if said == unknown || !c.untouched("add/"+node) {
		return
	}
	own := "etcd" + strings.TrimPrefix(node, "master-")
	for _, other := range c.world.Nodes() {
		if other == node {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		list, err := c.clients[other].MemberList(asking)
		cancel()
		if err != nil {
			continue // it has no quorum for now
		}
		var names []string
		for _, m := range list.Members {
			names = append(names, m.Name)
		}
		if listed := slices.Contains(names, own); said == done && listed || said == never && !listed {
			c.wrong(step, "the members are %v", names)
		}
		return
	}
}

// wayBack checks promise B for one run: before its first step that destroys was
// begun, a copy was saved, checked and on another node, and it is there now.
func wayBack(w World, j journal) []string {
	destroys := map[string]bool{}
	for _, s := range j.plan.steps() {
		destroys[s.id] = s.effect == "destroy"
	}
	finished, holders := map[string]bool{}, map[string]bool{}
	for _, e := range j.events {
		kind, node := kindOf(e.Step)
		switch {
		case e.Type == "step-done" || e.Type == "step-skipped":
			finished[kind] = true
			if slices.Contains([]string{"snapshot", "copy", "verify", "distribute"}, kind) {
				holders[node] = true
			}
		case e.Type == "step-intent" && destroys[e.Step]:
			return copiesThere(w, j, e, finished, holders)
		}
	}
	return nil
}

// needed are the kinds of steps that make a procedure's way back.
var needed = map[string][]string{
	"rejoin": {"snapshot", "copy"}, "restore": {"verify", "distribute", "prepare"}, "salvage": {"snapshot", "distribute", "prepare"},
}

func copiesThere(w World, j journal, destroying Event, finished, holders map[string]bool) []string {
	var broken []string
	wrong := func(format string, args ...any) {
		broken = append(broken, fmt.Sprintf("B: %s, before %s: ", filepath.Base(j.dir), destroying.Step)+fmt.Sprintf(format, args...))
	}
	for _, kind := range needed[j.plan.Procedure] {
		if !finished[kind] {
			wrong("no step %q was done", kind)
		}
	}
	sums := map[string]bool{}
	for node := range holders {
		file := filepath.Join(w.Path(node, runsDir), j.plan.Tag, "snapshot.db")
		info, err := os.Stat(file)
		if err != nil {
			wrong("there is no copy on %s: %v", node, err)
			continue
		}
		if info.ModTime().After(destroying.Time) {
			wrong("the copy on %s is of %s, later than %s", node, stamp(info.ModTime()), stamp(destroying.Time))
		}
		sum, err := soundSnapshot(file)
		if err != nil {
			wrong("the copy on %s: %v", node, err)
		}
		sums[sum] = true
	}
	if len(holders) < 2 || len(sums) != 1 {
		wrong("%d nodes hold %d different copies", len(holders), len(sums))
	}
	return broken
}

// soundSnapshot checks a snapshot as etcd writes it, by itself: the sha256 of
// all before is its last 32 bytes (server/etcdserver/api/v3rpc/maintenance.go),
// and it can be opened and has keys.
func soundSnapshot(file string) (sum string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if len(b) < 512 {
		return "", fmt.Errorf("%d bytes", len(b))
	}
	want := sha256.Sum256(b[:len(b)-sha256.Size])
	if !bytes.Equal(want[:], b[len(b)-sha256.Size:]) {
		return "", fmt.Errorf("its checksum is wrong")
	}
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return "", fmt.Errorf("opening it: %w", err)
	}
	defer func() { _ = db.Close() }()
	return digest(b), db.View(func(tx *bolt.Tx) error {
		if bucket := tx.Bucket([]byte("key")); bucket == nil || bucket.Stats().KeyN == 0 {
			return fmt.Errorf("no keys in it")
		}
		return nil
	})
}
