//go:build e2e && linux

package hosts

import "strings"

// Options says what hosts to start. The zero value is three nodes with the
// newest etcd, run by root, and root logs in.
type Options struct {
	// Nodes is how many; 0 means 3.
	Nodes int
	// Versions are etcd's, the first for the first node and so on; the last
	// holds for the rest. Empty means Newest.
	Versions []string
	// EtcdUser makes etcd run as the user etcd, who owns its data.
	EtcdUser bool
	// DataMount makes the data directory a file system of its own (ext4, with
	// its lost+found), so that it cannot be renamed and can be full.
	DataMount bool
	// SeparateWAL sets ETCD_WAL_DIR.
	SeparateWAL bool
	// Sudo: who logs in is the user ops, who may sudo without a password.
	Sudo bool
	// NoisyShell makes the login shell print on both streams.
	NoisyShell bool
	// SmallTmp gives each node a /tmp of 1 MiB.
	SmallTmp bool
	// UnitInLib lays the unit file into /usr/lib/systemd/system, where systemctl
	// mask works; in /etc/systemd/system, where vendors lay it, it refuses.
	UnitInLib bool
	// SlowStop makes systemd's stop of a running etcd run into its limit (4 s):
	// the signal that should end etcd does not.
	SlowStop bool
}

// Newest is the newest etcd that the hosts are tested with, and the one of
// this project's go.mod.
const Newest = "3.7.3"

func (o Options) nodes() int {
	if o.Nodes == 0 {
		return 3
	}
	return o.Nodes
}

func (o Options) version(i int) string {
	if len(o.Versions) == 0 {
		return Newest
	}
	return o.Versions[min(i, len(o.Versions)-1)]
}

// versions names the versions for a result: "3.6.16" or "3.6.12+3.6.16".
func (o Options) versions() string {
	if len(o.Versions) == 0 {
		return Newest
	}
	return strings.Join(o.Versions, "+")
}
