package workflows

import (
	"errors"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// identityHolds: the node is the one we mean. Its machine id is the one it had
// when the plan was made, no other node has the same, and the env file, the
// membership and the certificates agree on its name and peer URL. Mapping goes
// by peer URL, since member names and host names need not match.
func (w *world) identityHolds(nodes []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			n, _ := f.NodeByName(node)
			if !n.Reachable {
				return block(msg.M("guard.identity.unreachable", "node", node))
			}
			if then := w.node(node).Host.MachineID; then != "" && n.Host.MachineID != then {
				return block(msg.M("guard.identity.machine", "node", node)).on("machine id %s, was %s", n.Host.MachineID, then)
			}
			if other := sameMachine(f, n); other != "" {
				return block(msg.M("guard.identity.twice", "node", node, "other", other)).on("machine id %s", n.Host.MachineID)
			}
			if r, wrong := envAgrees(f, n); wrong {
				return r
			}
		}
		return pass(msg.M("guard.identity.pass"))
	}
}

// sameMachine finds another node with the same boot id: one machine under two
// names. (Machine ids alone are often shared by cloned virtual machines.)
func sameMachine(f etcdops.Facts, n etcdops.NodeFacts) string {
	for _, o := range f.Nodes {
		if o.Node != n.Node && o.Reachable && o.Root == n.Root && n.Host.BootID != "" && o.Host.BootID == n.Host.BootID {
			return o.Node
		}
	}
	return ""
}

func envAgrees(f etcdops.Facts, n etcdops.NodeFacts) (ruling, bool) {
	switch {
	case !n.Env.Exists || n.Env.Error != "":
		return block(msg.M("guard.identity.env", "node", n.Node, "path", n.Env.Path)).on("%s", n.Env.Error), true
	case n.Env.Name() == "":
		return block(msg.M("guard.identity.name", "node", n.Node, "path", n.Env.Path)), true
	case len(n.Env.PeerURLs()) == 0:
		return block(msg.M("guard.identity.peer", "node", n.Node, "path", n.Env.Path)), true
	}
	for _, m := range f.Members {
		sharesURL := slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(n.Env.PeerURLs(), u) })
		switch {
		case sharesURL && m.Name != "" && m.Name != n.Env.Name():
			return block(msg.M("guard.identity.other-name", "node", n.Node, "env", n.Env.Name(), "member", m.Name)), true
		case !sharesURL && m.Name == n.Env.Name():
			return block(msg.M("guard.identity.other-peer", "node", n.Node, "env", n.Env.PeerURLs(), "member", m.PeerURLs)), true
		}
	}
	return ruling{}, false
}

// dataDirSane: absolute, no system folder, holds member/ or is empty, and
// nothing else's.
func dataDirSane(nodes []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			n, _ := f.NodeByName(node)
			dir := n.Env.DataDir()
			if err := etcdops.ValidateDataDir(dir); err != nil {
				return block(msg.M("guard.data-dir-sane.path", "node", node, "why", firstLine(err))).on("ETCD_DATA_DIR=%q", dir)
			}
			if wal := n.Env.WALDir(); wal != "" {
				if err := etcdops.ValidateDataDir(wal); err != nil {
					return block(msg.M("guard.data-dir-sane.path", "node", node, "why", firstLine(err))).on("ETCD_WAL_DIR=%q", wal)
				}
			}
			switch {
			case n.Data.Error != "":
				return block(msg.M("guard.data-dir-sane.unread", "node", node, "path", dir)).on("%s", n.Data.Error)
			case n.Data.Exists && !n.Data.Empty && !n.Data.HasMember:
				return block(msg.M("guard.data-dir-sane.foreign", "node", node, "path", dir))
			}
		}
		return pass(msg.M("guard.data-dir-sane.pass"))
	}
}

// spaceFor: room on the file system of the data directory for what the
// procedure will put there, in bytes, beside a tenth of head room.
func spaceFor(nodes []string, need func(f etcdops.Facts, n etcdops.NodeFacts) int64) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			n, _ := f.NodeByName(node)
			want := need(f, n) + need(f, n)/10
			if n.Data.FreeBytes < want {
				return block(msg.M("guard.space.block", "node", node, "need", bytesText(want), "free", bytesText(n.Data.FreeBytes))).
					on("%s: %d bytes free, %d needed", n.Data.Path, n.Data.FreeBytes, want)
			}
			if n.Data.FreeInodes >= 0 && n.Data.FreeInodes < 64 {
				return block(msg.M("guard.space.inodes", "node", node, "n", n.Data.FreeInodes))
			}
		}
		return pass(msg.M("guard.space.pass"))
	}
}

// stoppedFirst: nothing is moved before the unit is down and masked, no
// process holds the directory and etcd's ports are closed. The step before has
// proved it; this looks again right before the move.
func stoppedFirst(node string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		n, _ := f.NodeByName(node)
		switch {
		case !n.Reachable:
			return block(msg.M("guard.identity.unreachable", "node", node))
		case n.Unit.Active != "inactive" && n.Unit.Active != "failed":
			return block(msg.M("guard.stopped-first.unit", "node", node, "state", n.Unit.Active+" ("+n.Unit.Sub+")"))
		case !n.Unit.Masked():
			return block(msg.M("guard.stopped-first.mask", "node", node))
		case len(n.Data.Holders) > 0:
			return block(msg.M("guard.stopped-first.held", "node", node, "path", n.Data.Path)).on("pids %v", n.Data.Holders)
		}
		for _, p := range n.Ports {
			if p.Listening && p.Use != "metrics" {
				return block(msg.M("guard.stopped-first.port", "node", node, "port", p.Port, "process", p.Process))
			}
		}
		return pass(msg.M("guard.stopped-first.pass", "node", node))
	}
}

// sameCluster: every node's env file describes one and the same cluster.
func sameCluster(f etcdops.Facts, _ etcdops.Verdict) ruling {
	var first etcdops.NodeFacts
	for _, n := range f.Nodes {
		if !n.Reachable {
			continue
		}
		own := slices.Sorted(slices.Values(strings.Split(n.Env.InitialCluster(), ",")))
		if first.Node == "" {
			first = n
		}
		want := slices.Sorted(slices.Values(strings.Split(first.Env.InitialCluster(), ",")))
		if !slices.Equal(own, want) {
			return block(msg.M("guard.same-cluster.members", "node", n.Node, "other", first.Node)).
				on("%q / %q", n.Env.InitialCluster(), first.Env.InitialCluster())
		}
		if n.Env.Token() != first.Env.Token() {
			return block(msg.M("guard.same-cluster.token", "node", n.Node, "other", first.Node)).
				on("%q / %q", n.Env.Token(), first.Env.Token())
		}
		for _, url := range n.Env.PeerURLs() {
			if !slices.Contains(own, n.Env.Name()+"="+url) {
				return block(msg.M("guard.same-cluster.self", "node", n.Node, "entry", n.Env.Name()+"="+url)).on("%q", n.Env.InitialCluster())
			}
		}
	}
	if first.Node == "" {
		return block(msg.M("guard.same-cluster.none"))
	}
	return pass(msg.M("guard.same-cluster.pass"))
}

// bytesText is a size for people ("1.2 GiB").
func bytesText(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// firstLine is an error's innermost text, which is the one that tells.
func firstLine(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			return line
		}
		err = inner
	}
}
