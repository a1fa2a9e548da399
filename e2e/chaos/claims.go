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
	said, begun := j.claims(), j.begun()
	untouched := func(id string) bool { // surely never begun, where the plan has it at all
		return !begun[id] && (said[id] == never || said[id] == notDone) && !torn
	}
	var broken []string
	wrong := func(step, format string, args ...any) {
		broken = append(broken, fmt.Sprintf("D: %s of %s is %s in the journal, and ", step, filepath.Base(j.dir), said[step])+fmt.Sprintf(format, args...))
	}
	for _, s := range j.plan.steps() {
		kind, node := kindOf(s.id)
		switch kind {
		case "aside":
			asides, _ := filepath.Glob(w.Path(node, dataDir+asideEnd+j.plan.Tag))
			inside, _ := filepath.Glob(w.Path(node, dataDir+"/novatui-"+j.plan.Tag))
			there := len(asides)+len(inside) > 0
			if said[s.id] == done && !there && !empty(w, node) {
				wrong(s.id, "nothing was set aside")
			} else if untouched(s.id) && there {
				wrong(s.id, "something was set aside: %v", append(asides, inside...))
			}
		case "stop":
			if said[s.id] == done && untouched("start/"+node) {
				if running, err := w.Running(ctx, node); err == nil && running {
					wrong(s.id, "etcd runs there")
				}
			}
		case "env":
			if said[s.id] == done && !envSays(w, node, j.plan) {
				wrong(s.id, "the env file does not say so")
			}
		case "remove":
			if untouched("add/" + node) {
				broken = append(broken, membership(ctx, w, s.id, said[s.id], node, clients, wrong)...)
			}
		}
	}
	return broken
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

// membership asks the healthy members whether a node's member was removed.
func membership(ctx context.Context, w World, step string, said claim, node string, clients map[string]*clientv3.Client, wrong func(string, string, ...any)) []string {
	if said == unknown {
		return nil
	}
	own := fmt.Sprintf("etcd%s", strings.TrimPrefix(node, "master-"))
	for _, other := range w.Nodes() {
		if other == node {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		list, err := clients[other].MemberList(asking)
		cancel()
		if err != nil {
			continue // it has no quorum for now
		}
		var names []string
		for _, m := range list.Members {
			names = append(names, m.Name)
		}
		switch listed := slices.Contains(names, own); {
		case said == done && listed:
			wrong(step, "the members are %v", names)
		case said == never && !listed:
			wrong(step, "the members are %v", names)
		}
		return nil
	}
	return nil
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
		return "", err
	}
	defer func() { _ = db.Close() }()
	return digest(b), db.View(func(tx *bolt.Tx) error {
		if bucket := tx.Bucket([]byte("key")); bucket == nil || bucket.Stats().KeyN == 0 {
			return fmt.Errorf("no keys in it")
		}
		return nil
	})
}
