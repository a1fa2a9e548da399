package etcdops

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// DefaultBump is how far revisions are moved forward by a restore, so that the
// watchers of Kubernetes never see time go back: etcd's documentation takes
// 1 000 000 000 as more than a week at 1500 writes a second
// (op-guide/recovery.md, "Restoring with revision bump").
const DefaultBump = 1_000_000_000

// Restore says how a snapshot becomes a member's data.
type Restore struct {
	// Snapshot is the plain .db file on the node.
	Snapshot string
	// Sum is the sha256 that Snapshot must have, compared while it is being
	// restored; empty when somebody compares it before. EtcdSum does the same
	// without reading it all once more: Snapshot must end in this sha256, as
	// etcd appends it, which the tool compares with everything before it. So it
	// cannot stand beside SkipHashCheck, and Sum is not needed beside it.
	Sum, EtcdSum string
	// Name, PeerURLs: this member; InitialCluster: all of them
	// ("etcd1=https://…:2380,…"); Token: the new cluster token.
	Name           string
	PeerURLs       []string
	InitialCluster string
	Token          string
	// Bump is added to the revision; it needs ToolVersions.CanBump, and 0
	// means not to.
	Bump uint64
	// SkipHashCheck is for a copied database file, which has no hash.
	SkipHashCheck bool
	// Tag names the staging directories.
	Tag string
}

// StagingPath is where a snapshot is restored to before it is renamed into
// place: on the same file system as the final directory.
func StagingPath(d DirFacts, tag string) string { return AsidePath(d, tag) + ".new" }

// RestoreSnapshot restores a snapshot into StagingPath of the data directory
// (and of a separate WAL directory), with the owner, mode and label of the
// data directory. It never touches the final directory: a failed restore
// leaves a db without WAL, on which etcd must not be started (facts-etcd 23).
// A staging directory that an earlier try left is renamed to ….failed-N.
// Done before and complete: says so and changes nothing. A snapshot that has not
// Restore.Sum leaves a staging directory without its mark, which is never used.
func (h Host) RestoreSnapshot(r Restore) (remote.Command, error) {
	tool, err := h.Facts.Versions.SnapshotTool()
	if err != nil {
		return remote.Command{}, err
	}
	if r.Bump > 0 && !h.Facts.Versions.CanBump() {
		return remote.Command{}, fmt.Errorf("%s %s cannot move revisions forward: %w",
			tool, h.Facts.Versions.Etcdutl, ErrToolMissing)
	}
	staging, walStaging := StagingPath(h.Facts.Data, r.Tag), ""
	argv := []string{
		h.Tool(tool), "snapshot", "restore", r.Snapshot,
		"--name=" + r.Name,
		"--initial-cluster=" + r.InitialCluster,
		"--initial-cluster-token=" + r.Token,
		"--initial-advertise-peer-urls=" + strings.Join(r.PeerURLs, ","),
		"--data-dir=" + staging,
	}
	if h.SeparateWAL() {
		walStaging = StagingPath(h.Facts.WAL, r.Tag)
		argv = append(argv, "--wal-dir="+walStaging)
	}
	if r.Bump > 0 {
		argv = append(argv, "--bump-revision="+strconv.FormatUint(r.Bump, 10), "--mark-compacted")
	}
	if r.SkipHashCheck {
		argv = append(argv, "--skip-hash-check")
	}
	o := h.DataOwner()
	args := append([]string{staging, walStaging, o.User, o.Group, o.Mode, o.SELinux, r.Snapshot, r.sum()}, argv...)
	c := h.script("restore.sh", remote.Change, bulkTimeout,
		msg.M("command.restore", "snapshot", path.Base(r.Snapshot), "path", staging), args...)
	return detached(c), firstErr(r.validateSums(),
		h.ValidateDataDir(h.Facts.Data.Path), validateTag(r.Tag), validatePath(r.Snapshot),
		validateOwner(o), validateMemberName(r.Name), validateURLs(r.PeerURLs), r.validateCluster())
}

// sum is how restore.sh is told what the snapshot must be.
func (r Restore) sum() string {
	switch {
	case r.EtcdSum != "":
		return "etcd:" + r.EtcdSum
	case r.Sum != "":
		return "sha256:" + r.Sum
	}
	return ""
}

func (r Restore) validateSums() error {
	for _, s := range []string{r.Sum, r.EtcdSum} {
		if s == "" {
			continue
		}
		if err := validateSHA256(s); err != nil {
			return err
		}
	}
	if r.EtcdSum != "" && r.SkipHashCheck {
		return errors.New("the tool does not compare the checksum that etcd appended when it is told to skip it")
	}
	return nil
}

// validateCluster checks that the member stands in the initial cluster with
// its own peer URLs, as etcdutl demands.
func (r Restore) validateCluster() error {
	if r.Token == "" || strings.ContainsAny(r.Token, " \t\n\"'") {
		return fmt.Errorf("%q cannot be a cluster token", r.Token)
	}
	if isSlot(r.InitialCluster) {
		return nil
	}
	mine := map[string]bool{}
	for _, part := range splitList(r.InitialCluster) {
		name, url, ok := strings.Cut(part, "=")
		if err := validateURLs([]string{url}); !ok || err != nil {
			return fmt.Errorf("initial cluster: %q is not name=url", part)
		}
		if name == r.Name {
			mine[url] = true
		}
	}
	if len(mine) != len(r.PeerURLs) {
		return fmt.Errorf("the initial cluster does not name %s with exactly its peer URLs", r.Name)
	}
	for _, u := range r.PeerURLs {
		if !mine[u] {
			return fmt.Errorf("the initial cluster does not name %s with %s", r.Name, u)
		}
	}
	return nil
}

// PlaceRestored renames a staging directory into its final place, which must
// be free: absent or empty (of a mount point: free of what the staging
// directory holds). One command for each of StateDirs. Done before: says so.
func (h Host) PlaceRestored(d DirFacts, tag string) (remote.Command, error) {
	c := h.script("place.sh", remote.Change, fileTimeout, msg.M("command.place", "path", d.Path),
		StagingPath(d, tag), d.Actual(), flag(d.MountPoint))
	return detached(c), firstErr(h.ValidateDataDir(d.Path), h.ValidateDataDir(d.Actual()), validateTag(tag))
}

// SnapshotStatus reads a plain .db snapshot with the node's own tool, as JSON;
// ParseSnapshotStatus reads the answer. It does not check the hash.
func (h Host) SnapshotStatus(file string) (remote.Command, error) {
	tool, err := h.Facts.Versions.SnapshotTool()
	return remote.Command{
		Argv:   []string{h.Tool(tool), "snapshot", "status", file, "--write-out=json"},
		Effect: remote.Read, Timeout: bulkTimeout,
	}, firstErr(err, validatePath(file))
}

// CopyData copies a stopped member's data (and its separate WAL) into a fresh
// folder below the run folder, for work that must not touch the original.
// Refused while a process holds the original. Complete before: says so.
func (h Host) CopyData(tag string) (remote.Command, error) {
	wal := ""
	if h.SeparateWAL() {
		wal = h.Facts.WAL.Actual()
	}
	c := h.script("copy-data.sh", remote.Change, bulkTimeout, msg.M("command.copy-data", "path", h.Facts.Data.Path),
		h.Facts.Data.Actual(), wal, path.Join(h.RunDir(tag), "salvage"))
	return detached(c), firstErr(h.ValidateDataDir(h.Facts.Data.Path), validateTag(tag))
}

// SalvageSnapshot starts etcd once on the copy that CopyData made, alone
// (force-new-cluster) and on loopback ports that nobody knows, saves a
// snapshot from it to file, and stops it again; the process is proved gone.
// The copy is spent afterwards. limit bounds the whole.
func (h Host) SalvageSnapshot(tag, file string, clientPort, peerPort int, limit time.Duration) (remote.Command, error) {
	var err error
	if clientPort < 1024 || peerPort < 1024 || clientPort > 65535 || peerPort > 65535 || clientPort == peerPort {
		err = errors.New("two different ports between 1024 and 65535 are needed")
	}
	name := h.Facts.Env.Name()
	if name == "" {
		name = "default"
	}
	c := h.script("salvage.sh", remote.Change, limit,
		msg.M("command.salvage", "path", file),
		path.Join(h.RunDir(tag), "salvage"), file, h.Tool("etcd"), h.Tool("etcdctl"), name,
		strconv.Itoa(clientPort), strconv.Itoa(peerPort), strconv.Itoa(int(limit/time.Second)-15))
	if limit < 30*time.Second {
		err = errors.New("less than 30 seconds is not enough")
	}
	return detached(c), firstErr(err, validatePath(file), validateTag(tag), validateMemberName(name))
}
