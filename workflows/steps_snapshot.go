package workflows

import (
	"context"
	"fmt"
	"path"
	"strconv"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// Slots of the one snapshot that a plan saves or restores.
const (
	slotSum      = "snapshot-sha256"
	slotSize     = "snapshot-size"
	slotRevision = "snapshot-revision"
	slotKeys     = "snapshot-keys"
)

// bundle is a snapshot on its way to the nodes. Sum and size are literal
// where the plan knows them, slots where a step finds them out.
type bundle struct {
	node, path string
	archive    bool
	fileSum    string     // of the file as it travels
	fileSize   string     // in bytes
	contentSum string     // of the plain database inside
	maxBytes   int64      // of the unpacked database
	found      *Inspected // what the plan found in it; nil when the plan saves it
	skipHash   bool       // a copied database file has no hash (typed override)
}

// savedBundle is a snapshot that the plan itself saved.
func (w *world) savedBundle(node string) bundle {
	return bundle{
		node: node, path: w.snapshotPath(node),
		fileSum: "@{" + slotSum + "}", fileSize: "@{" + slotSize + "}", contentSum: "@{" + slotSum + "}",
	}
}

// givenBundle is a snapshot that was looked into when the plan was made.
func givenBundle(s Inspected) bundle {
	return bundle{
		node: s.Node, path: s.Path, archive: s.Archive,
		fileSum: s.SHA256, fileSize: strconv.FormatInt(s.SizeBytes, 10), contentSum: s.ContentSHA256,
		maxBytes: s.ContentBytes + 1<<20, skipHash: s.Hash == etcdops.HashMissing, found: &s,
	}
}

// snapshotPath is where a plan keeps its snapshot on a node.
func (w *world) snapshotPath(node string) string {
	return path.Join(w.host(node).RunDir(w.request.Tag), "snapshot.db")
}

// saveSnapshot saves a snapshot of a running member on its own node and
// checks its hash. Once saved under its name it is not saved again.
func (w *world) saveSnapshot(node string) []engine.Step {
	h := w.host(node)
	file := w.snapshotPath(node)
	endpoint := ""
	if urls := h.ClientURLs(); len(urls) > 0 {
		endpoint = urls[0]
	}
	mkdir, mkErr := h.MakeRunDir(w.request.Tag)
	save, saveErr := h.SnapshotSave(endpoint, file)
	stat, statErr := h.Stat(file)
	stat.Quiet = true
	check, checkErr := h.CheckSnapshot(file)
	status, statusErr := h.SnapshotStatus(file)
	saved := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		if !found[file].Exists() {
			return engine.NotDone, nil
		}
		return engine.Done, w.takeSnapshotFacts(ctx, x, node, check, status)
	}
	return []engine.Step{{
		ID: "snapshot/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.snapshot.title", "member", w.label(node)), Why: msg.M("step.snapshot.why"), IfItFails: msg.M("step.snapshot.fail"),
		Commands: []engine.NodeCommand{w.on(node, mkdir, mkErr), w.on(node, save, saveErr)},
		Checks:   []engine.NodeCommand{w.on(node, stat, statErr), w.on(node, check, checkErr), w.on(node, status, statusErr)},
		Probe:    saved,
		Do:       runAll([]engine.NodeCommand{{Node: node, Command: mkdir}, {Node: node, Command: save}}),
		Verify:   func(ctx context.Context, x *engine.Exec) error { return verified(saved(ctx, x)) },
	}}
}

// takeSnapshotFacts checks a plain snapshot's hash and fills the slots. A
// wrong hash is an error: etcdutl snapshot status would not notice it.
func (w *world) takeSnapshotFacts(ctx context.Context, x *engine.Exec, node string, check, status remote.Command) error {
	r, err := x.Run(ctx, node, check)
	if err != nil {
		return err
	}
	c, err := etcdops.ParseCheckSnapshot(r.Stdout)
	if err != nil {
		return fmt.Errorf("reading the check of the snapshot on %s: %w", node, err)
	}
	if c.Hash == etcdops.HashBad {
		return fmt.Errorf("the snapshot on %s is damaged: its checksum is wrong", node)
	}
	if r, err = x.Run(ctx, node, status); err != nil {
		return err
	}
	st, err := etcdops.ParseSnapshotStatus(r.Stdout)
	if err != nil {
		return fmt.Errorf("reading the status of the snapshot on %s: %w", node, err)
	}
	for name, value := range map[string]string{
		slotSum: c.SHA256, slotSize: strconv.FormatInt(c.SizeBytes, 10),
		slotRevision: strconv.FormatInt(st.Revision, 10), slotKeys: strconv.FormatInt(st.TotalKeys, 10),
	} {
		if err := x.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// keepElsewhere copies the saved snapshot to a second node (not the one that
// is repaired), where there is one.
func (w *world) keepElsewhere(from, repaired string) []engine.Step {
	for _, n := range w.base.Facts.Nodes {
		if n.Node != from && n.Node != repaired && n.Reachable {
			s := w.fetch(w.savedBundle(from), n.Node)
			s.ID, s.Title, s.Why, s.IfItFails = "copy/"+n.Node, msg.M("step.copy.title", "node", n.Node), msg.M("step.copy.why"), msg.M("step.copy.fail")
			return []engine.Step{s}
		}
	}
	return nil
}

// verifySnapshot makes sure, on its own node and before it goes anywhere, that
// the chosen snapshot still is what was looked into when the plan was made: the
// sha256 of the database is the same, so etcd's own checksum in it and what the
// tool read are the same too, and nobody has to read a gigabyte for them again.
// A plain database is used where it lies. An archive is unpacked into the run
// folder there, and compared while it is restored.
func (w *world) verifySnapshot(b bundle) engine.Step {
	h, db := w.host(b.node), w.dbPath(b, b.node)
	sum, sumErr := h.FileSHA256(db)
	s := engine.Step{
		ID: "verify/" + b.node, Node: b.node, Effect: remote.Read,
		Title: msg.M("step.verify.title", "path", b.path, "node", b.node), Why: msg.M("step.verify.why"), IfItFails: msg.M("step.verify.fail"),
		Checks: []engine.NodeCommand{w.on(b.node, sum, sumErr)},
		Verify: func(ctx context.Context, x *engine.Exec) error {
			if err := w.sameFile(ctx, x, b.node, db, b, sum); err != nil {
				return err
			}
			return keepSnapshotFacts(x, *b.found)
		},
	}
	if !b.archive {
		return s
	}
	mkdir, mkErr := h.MakeRunDir(w.request.Tag)
	unpack, unpackErr := h.Unpack(b.path, db, max(b.maxBytes, 1), b.contentSum)
	stat, statErr := h.Stat(db)
	stat.Quiet = true
	s.Effect, s.Title, s.Why = remote.Change, msg.M("step.unpack.title", "path", b.path, "node", b.node), msg.M("step.unpack.why")
	s.Commands = []engine.NodeCommand{w.on(b.node, mkdir, mkErr), w.on(b.node, unpack, unpackErr)}
	s.Checks = append(s.Checks, w.on(b.node, stat, statErr))
	s.Probe = w.unpackedBefore(b, b.node, stat, sum)
	s.Do = runAll(s.Commands)
	s.Verify = w.unpackedNow(b, b.node, stat)
	return s
}

// keepSnapshotFacts fills the slots of a snapshot that the plan looked into.
func keepSnapshotFacts(x *engine.Exec, s Inspected) error {
	for name, value := range map[string]string{
		slotSum: s.ContentSHA256, slotSize: strconv.FormatInt(s.ContentBytes, 10),
		slotRevision: strconv.FormatInt(s.Revision, 10), slotKeys: strconv.FormatInt(s.TotalKeys, 10),
	} {
		if err := x.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// unpackedBefore probes whether a node has the database from the archive, whole.
// It is compared: what an earlier try left need not have reached the disk when
// the power failed. One that is another is unpacked again; the script renames it
// first.
func (w *world) unpackedBefore(b bundle, node string, stat, sum remote.Command) func(context.Context, *engine.Exec) (engine.Probed, error) {
	file := w.dbPath(b, node)
	return func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		if !found[file].Exists() {
			return engine.NotDone, nil
		}
		got, err := w.sumOf(ctx, x, node, file, sum)
		if err != nil || got != b.contentSum {
			return engine.NotDone, err
		}
		return engine.Done, keepSnapshotFacts(x, *b.found)
	}
}

// unpackedNow verifies an unpacking of this moment: the whole archive was read,
// and the file has the right size. Its content is compared where it is used, see
// restoreBeside.
func (w *world) unpackedNow(b bundle, node string, stat remote.Command) func(context.Context, *engine.Exec) error {
	file := w.dbPath(b, node)
	return func(ctx context.Context, x *engine.Exec) error {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return err
		}
		if f := found[file]; f.Kind != "file" || f.SizeBytes != b.found.ContentBytes {
			return fmt.Errorf("the snapshot on %s is a %s of %d bytes instead of %d", node, f.Kind, f.SizeBytes, b.found.ContentBytes)
		}
		return keepSnapshotFacts(x, *b.found)
	}
}

// dbPath is where the plain database of a bundle lies, or will lie, on a node.
func (w *world) dbPath(b bundle, node string) string {
	if node == b.node && !b.archive {
		return b.path
	}
	return w.snapshotPath(node)
}

// arrived probes whether a node has the plain database. One that is there and
// is another is an error: it is never overwritten.
func (w *world) arrived(b bundle, node string, stat remote.Command, same func(context.Context, *engine.Exec) error) func(context.Context, *engine.Exec) (engine.Probed, error) {
	file := w.dbPath(b, node)
	return func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		if !found[file].Exists() {
			return engine.NotDone, nil
		}
		return engine.Done, same(ctx, x)
	}
}

// fetch makes sure that a node's run folder holds the plain database of the
// bundle, whole, copied from its node through this machine. A plain one is
// compared by sha256. An archive is unpacked while it arrives, and not kept
// there; what came of it is compared while it is restored.
func (w *world) fetch(b bundle, node string) engine.Step {
	src, h := w.host(b.node), w.host(node)
	dest := w.snapshotPath(node)
	mkdir, mkErr := h.MakeRunDir(w.request.Tag)
	read, readErr := src.CatFile(b.path)
	put, putErr := h.PutFile(dest, b.fileSize, b.fileSum)
	if b.archive {
		put, putErr = h.UnpackReceived(dest, max(b.maxBytes, 1), b.contentSum)
	}
	stat, statErr := h.Stat(dest)
	stat.Quiet = true
	sum, sumErr := h.FileSHA256(dest)
	s := engine.Step{
		ID: "distribute/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.distribute.title", "node", node), Why: msg.M("step.distribute.why"), IfItFails: msg.M("step.distribute.fail"),
		Commands: []engine.NodeCommand{w.on(node, mkdir, mkErr), w.on(b.node, read, readErr), w.on(node, put, putErr)},
		Checks:   []engine.NodeCommand{w.on(node, stat, statErr), w.on(node, sum, sumErr)},
	}
	if b.archive {
		s.Probe = w.unpackedBefore(b, node, stat, sum)
		s.Verify = w.unpackedNow(b, node, stat)
	} else {
		s.Probe = w.arrived(b, node, stat, func(ctx context.Context, x *engine.Exec) error {
			return w.sameFile(ctx, x, node, dest, b, sum)
		})
		s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	}
	s.Do = func(ctx context.Context, x *engine.Exec) error {
		if _, err := x.Run(ctx, node, mkdir); err != nil {
			return err
		}
		return x.Copy(ctx, b.node, read, node, put, w.bundleSize(x, b))
	}
	return s
}

// sameFile checks a copy on another node: with the sha256 of a snapshot that
// was looked into, it is that snapshot.
func (w *world) sameFile(ctx context.Context, x *engine.Exec, node, file string, b bundle, sum remote.Command) error {
	want := b.contentSum
	if want == "@{"+slotSum+"}" {
		want, _ = x.Value(slotSum)
	}
	got, err := w.sumOf(ctx, x, node, file, sum)
	if err == nil && got != want {
		err = fmt.Errorf("the snapshot on %s has sha256 %s instead of %s", node, got, want)
	}
	return err
}

// sumOf asks for the sha256 of a file; empty when it is not there.
func (w *world) sumOf(ctx context.Context, x *engine.Exec, node, file string, sum remote.Command) (string, error) {
	r, err := x.Run(ctx, node, sum)
	if err != nil {
		return "", err
	}
	sums, err := etcdops.ParseSums(r.Stdout)
	if err != nil {
		return "", fmt.Errorf("reading the checksum of the snapshot on %s: %w", node, err)
	}
	return sums[file].SHA256, nil
}

// bundleSize is how many bytes will travel, for the progress shown.
func (w *world) bundleSize(x *engine.Exec, b bundle) int64 {
	size := b.fileSize
	if v, ok := x.Value(slotSize); ok && size == "@{"+slotSize+"}" {
		size = v
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
