package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Where etcd and novatui keep their things on a node of either world.
const (
	dataDir  = "/var/lib/etcd"
	runsDir  = "/var/lib/novatui"
	envFile  = "/etc/etcd.env"
	asideEnd = ".novatui-"
)

// relic is a file of the broken data that must be there at the end.
type relic struct {
	node, file string
	inode      uint64
	sum        string // empty: etcd could write into it after it was broken
}

// relics are the databases and logs of all nodes as they are. Those of which no
// etcd can get at are taken with a checksum.
func relics(w World, d Damage) ([]relic, error) {
	var all []relic
	for i, node := range w.Nodes() {
		sealed := func(string) bool { return false }
		if slices.Contains(d.Nodes, i) {
			switch d.Fault {
			case "lose-all", "corrupt-db":
				sealed = func(string) bool { return true }
			case "corrupt-wal":
				sealed = func(file string) bool { return strings.HasSuffix(file, ".wal") }
			}
		}
		for _, pattern := range []string{"member/snap/db", "member/wal/*.wal"} {
			files, err := filepath.Glob(filepath.Join(w.Path(node, dataDir), pattern))
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				r := relic{node: node, file: strings.TrimPrefix(file, w.Path(node, dataDir)), inode: inode(file)}
				if sealed(file) {
					if r.sum, err = sumOf(file); err != nil {
						return nil, err
					}
				}
				all = append(all, r)
			}
		}
	}
	return all, nil
}

func inode(file string) uint64 {
	var st syscall.Stat_t
	if syscall.Stat(file, &st) != nil {
		return 0
	}
	return st.Ino
}

func sumOf(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return digest(b), nil
}

// digest is suite.ReadKeys' of a value.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// lost tells which relics are not there any more, or have been changed.
func lost(w World, all []relic) []string {
	var broken []string
	for _, r := range all {
		name := filepath.Base(r.file)
		found := false
		for _, place := range []string{dataDir, dataDir + asideEnd + "*", dataDir + "/novatui-*"} {
			dirs, _ := filepath.Glob(w.Path(r.node, place))
			for _, dir := range dirs {
				file := filepath.Join(dir, r.file)
				if inode(file) != r.inode {
					continue
				}
				found = true
				if sum, err := sumOf(file); r.sum != "" && (err != nil || sum != r.sum) {
					broken = append(broken, fmt.Sprintf("A: %s of %s is not what was broken any more: %s", name, r.node, file))
				}
			}
		}
		if !found {
			broken = append(broken, fmt.Sprintf("A: %s of %s is gone (%s)", name, r.node, r.file))
		}
	}
	return broken
}

// fingerprint is everything of the nodes that a procedure could change and a
// refusal must not: names, and contents outside of what etcd itself writes. The
// lease, which every try takes and gives back, and the copies of the journal are
// no part of it.
func fingerprint(w World) map[string]string {
	all := map[string]string{}
	for _, node := range w.Nodes() {
		root := filepath.Clean(w.Path(node, "/"))
		for _, pattern := range []string{"/etc/etcd.env*", "/etc/systemd/system", dataDir + "*", runsDir, "/tmp/etcd_snapshot*"} {
			found, _ := filepath.Glob(w.Path(node, pattern))
			for _, top := range found {
				_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
					rel := node + strings.TrimPrefix(path, root)
					switch {
					case err != nil:
						return nil //nolint:nilerr // it went while we looked
					case strings.HasPrefix(rel, node+runsDir) && d.IsDir():
						if filepath.Base(path) == "run" { // the copies of plans and journals
							return fs.SkipDir
						}
						return nil
					case strings.HasSuffix(rel, dataDir+"/member"), strings.HasPrefix(filepath.Base(path), "lease"):
						return skip(d)
					}
					all[rel] = content(path, d)
					return nil
				})
			}
		}
	}
	return all
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

func content(path string, d fs.DirEntry) string {
	info, err := d.Info()
	switch {
	case err != nil:
		return "gone"
	case d.Type()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return to
	case !d.Type().IsRegular():
		return d.Type().String()
	case info.Size() > 1<<20:
		return fmt.Sprint(info.Size())
	}
	sum, _ := sumOf(path)
	return sum
}

// differences of two fingerprints, some of them.
func differences(before, after map[string]string) []string {
	var all []string
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[path]; !ok {
			all = append(all, path+" is new")
		} else if was != after[path] {
			all = append(all, path+" is another")
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[path]; !ok {
			all = append(all, path+" is gone")
		}
	}
	return all[:min(len(all), 8)]
}

// outside is what can be seen of a cluster from outside.
type outside struct {
	cluster uint64
	members []string // names and ids, sorted
}

// healthy looks at every member: it serves, it is a voter among exactly three,
// in one cluster, and all have one hash at one revision.
func healthy(ctx context.Context, w World, clients map[string]*clientv3.Client) (outside, error) {
	var o outside
	revision := int64(0)
	for i, node := range w.Nodes() {
		seen, at, err := member(ctx, node, clients[node], len(w.Nodes()))
		switch {
		case err != nil:
			return o, err
		case i > 0 && (seen.cluster != o.cluster || !slices.Equal(seen.members, o.members)):
			return o, fmt.Errorf("%s is in cluster %x with %v, the first in %x with %v", node, seen.cluster, seen.members, o.cluster, o.members)
		}
		o = seen
		if revision == 0 || at < revision {
			revision = at
		}
	}
	hashes := map[uint32][]string{}
	for _, node := range w.Nodes() {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		c := clients[node]
		h, err := c.HashKV(asking, c.Endpoints()[0], revision)
		if err != nil {
			return o, fmt.Errorf("%s gives no hash: %w", node, err)
		}
		hashes[h.Hash] = append(hashes[h.Hash], node)
	}
	if len(hashes) != 1 {
		return o, fmt.Errorf("hashes at revision %d: %v", revision, hashes)
	}
	return o, nil
}

// member looks at one member, and gives its revision too.
func member(ctx context.Context, node string, c *clientv3.Client, voters int) (outside, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	got, err := c.Get(ctx, "health", clientv3.WithCountOnly())
	if err != nil {
		return outside{}, 0, fmt.Errorf("%s does not serve: %w", node, err)
	}
	list, err := c.MemberList(ctx)
	if err != nil {
		return outside{}, 0, fmt.Errorf("%s gives no members: %w", node, err)
	}
	o := outside{cluster: got.Header.ClusterId}
	own, learner := false, false
	for _, m := range list.Members {
		o.members = append(o.members, fmt.Sprintf("%s %x learner=%v", m.Name, m.ID, m.IsLearner))
		own = own || m.ID == got.Header.MemberId && m.Name != ""
		learner = learner || m.IsLearner
	}
	slices.Sort(o.members)
	if len(o.members) != voters || !own || learner {
		return o, 0, fmt.Errorf("%s, member %x, has the members %v", node, got.Header.MemberId, o.members)
	}
	return o, got.Header.Revision, nil
}

// wanted is what must be in the cluster at the end.
type wanted struct {
	base  map[string]string // keys and digests that nobody wrote to since
	exact bool              // and no other
	skip  string            // prefix of keys that the breaking itself changes
}

// wrongKeys compares the keys of one node with what must be there.
func (k wanted) wrongKeys(node string, have map[string]string, writes []write, cluster uint64) []string {
	byKey := map[string][]write{}
	for _, w := range writes {
		byKey[w.key] = append(byKey[w.key], w)
	}
	all := maps.Clone(have)
	maps.Copy(all, k.base)
	for key := range byKey {
		all[key] = ""
	}
	var lost, other, extra []string
	for key := range all {
		_, known := k.base[key]
		got, there := have[key]
		switch known = known || len(byKey[key]) > 0; {
		case !known && !k.exact, k.skip != "" && strings.HasPrefix(key, k.skip), known && k.allowed(key, byKey[key], cluster)[got]:
		case !known:
			extra = append(extra, key)
		case !there:
			lost = append(lost, key)
		default:
			other = append(other, key)
		}
	}
	var broken []string
	for what, keys := range map[string][]string{"lost": lost, "not what was acknowledged": other, "from nowhere": extra} {
		if len(keys) > 0 {
			slices.Sort(keys)
			broken = append(broken, fmt.Sprintf("keys: on %s %d are %s, of %d: %v", node, len(keys), what, len(k.base), keys[:min(3, len(keys))]))
		}
	}
	return broken
}

// allowed are the digests that a key may have at the end, after these writes to
// it; "" is that it is not there.
func (k wanted) allowed(key string, writes []write, cluster uint64) map[string]bool {
	allowed := map[string]bool{k.base[key]: true}
	for _, w := range writes {
		if w.acked && (w.cluster == cluster || !k.exact) {
			clear(allowed)
			for _, v := range writes { // what was not acknowledged may have come later
				allowed[digest([]byte(v.value))] = !v.acked
			}
			allowed[digest([]byte(w.value))] = true
		} else if !w.acked {
			allowed[digest([]byte(w.value))] = true
		}
	}
	return allowed
}

// survivorKeys reads what a member without a leader has.
func survivorKeys(ctx context.Context, c *clientv3.Client) (map[string]string, error) {
	r, err := c.Get(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithSerializable())
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(r.Kvs))
	for _, kv := range r.Kvs {
		keys[string(kv.Key)] = digest(kv.Value)
	}
	return keys, nil
}
