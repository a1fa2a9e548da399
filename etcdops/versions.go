package etcdops

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file is the only place that knows what differs between versions of
// etcd and its tools. Sources: etcd's change logs and what was measured on
// 3.4.45, 3.5.33, 3.6.14 and 3.7.1 (facts-etcd, "Versions").

// ErrToolMissing: no tool on the node can do what is asked.
var ErrToolMissing = errors.New("no tool for it on the node")

// Version is a release of etcd.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "3.6.14" (also "v3.6.14", "3.6.14-rc.0"); ok is false for
// anything else.
func ParseVersion(s string) (v Version, ok bool) {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	s, _, _ = strings.Cut(s, "-")
	s, _, _ = strings.Cut(s, "+")
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, false
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || n[i] < 0 || n[i] > 1_000_000 {
			return Version{}, false
		}
	}
	return Version{n[0], n[1], n[2]}, true
}

// String is "3.6.14".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// AtLeast compares with a release.
func (v Version) AtLeast(major, minor, patch int) bool {
	switch {
	case v.Major != major:
		return v.Major > major
	case v.Minor != minor:
		return v.Minor > minor
	}
	return v.Patch >= patch
}

// SameMinor reports whether both are releases of one minor version.
func (v Version) SameMinor(w Version) bool { return v.Major == w.Major && v.Minor == w.Minor }

// SnapshotTool is the program that restores and reads snapshots on this node:
// etcdutl since 3.5.0, etcdctl before 3.6.0 (where the commands were removed:
// etcdctl snapshot restore prints help and exits 0 there). The error wraps
// ErrToolMissing.
func (t ToolVersions) SnapshotTool() (string, error) {
	if _, ok := ParseVersion(t.Etcdutl); ok {
		return "etcdutl", nil
	}
	if v, ok := ParseVersion(t.Etcdctl); ok && !v.AtLeast(3, 6, 0) {
		return "etcdctl", nil
	}
	return "", fmt.Errorf("restoring a snapshot needs etcdutl (or etcdctl before 3.6): %w", ErrToolMissing)
}

// CanBump reports whether the snapshot tool knows --bump-revision and
// --mark-compacted: from 3.4.27 (etcdctl), 3.5.10, 3.6.0 on.
func (t ToolVersions) CanBump() bool {
	tool, err := t.SnapshotTool()
	if err != nil {
		return false
	}
	s := t.Etcdutl
	if tool == "etcdctl" {
		s = t.Etcdctl
	}
	v, ok := ParseVersion(s)
	switch {
	case !ok:
		return false
	case v.Major == 3 && v.Minor == 4:
		return v.Patch >= 27
	case v.Major == 3 && v.Minor == 5:
		return v.Patch >= 10
	}
	return v.AtLeast(3, 6, 0)
}

// CanHashKV reports whether etcdutl knows hashkv (3.6.0).
func (t ToolVersions) CanHashKV() bool {
	v, ok := ParseVersion(t.Etcdutl)
	return ok && v.AtLeast(3, 6, 0)
}

// CanLearner reports whether etcd knows learners that can be promoted safely.
// They exist since 3.4.0, but promoting an unstarted learner was accepted
// before 3.4.24 and 3.5.7.
func (t ToolVersions) CanLearner() bool {
	v, ok := ParseVersion(t.Etcd)
	switch {
	case !ok:
		return false
	case v.Major == 3 && v.Minor == 4:
		return v.Patch >= 24
	case v.Major == 3 && v.Minor == 5:
		return v.Patch >= 7
	}
	return v.AtLeast(3, 6, 0)
}

// RunsDataOf reports whether etcd of version run starts on data restored from
// a snapshot of version from. It must not be of an older minor version
// (measured: 3.6 refuses 3.7's, "version \"3.7.0\" is not supported").
func RunsDataOf(run, from Version) bool {
	return run.SameMinor(from) || run.AtLeast(from.Major, from.Minor, 0)
}
