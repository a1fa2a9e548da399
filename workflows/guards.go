package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// ruling is what a rule says about the facts.
type ruling struct {
	result engine.GuardResult
	reason msg.Msg
	fact   string
	// typed blocks may be overridden by typing Override.
	typed bool
}

func pass(reason msg.Msg) ruling  { return ruling{result: engine.Pass, reason: reason} }
func warn(reason msg.Msg) ruling  { return ruling{result: engine.Warn, reason: reason} }
func block(reason msg.Msg) ruling { return ruling{result: engine.Block, reason: reason} }
func typed(reason msg.Msg) ruling {
	return ruling{result: engine.Block, reason: reason, typed: true}
}

// on attaches the fact that a ruling rests on.
func (r ruling) on(format string, args ...any) ruling {
	r.fact = fmt.Sprintf(format, args...)
	return r
}

// rule is a guard before it is given a world.
type rule func(f etcdops.Facts, v etcdops.Verdict) ruling

// guard makes a rule of procedures.md §4 into a guard of a plan. The phrase
// that overrides a typed block is the rule's id and the cluster's name, so that
// it cannot be typed by habit.
func (w *world) guard(id string, check rule) engine.Guard {
	title := msg.M("guard." + id + ".title")
	return engine.Guard{ID: id, Title: title, Check: func() engine.Finding {
		f, v := w.now()
		said := check(f, v)
		finding := engine.Finding{ID: id, Title: title, Result: said.result, Reason: said.reason, Fact: said.fact}
		if said.typed {
			finding.Override = OverridePhrase(id, f.Config.Cluster)
		}
		return finding
	}}
}

// OverridePhrase is what must be typed to go on against a guard.
func OverridePhrase(guard, cluster string) string { return guard + " " + cluster }

// memberDown: a restart is for members that are down.
func memberDown(nodes []string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		for _, node := range nodes {
			m, ok := v.MemberOn(node)
			if ok && (m.Healthy || m.State == etcdops.StateNoQuorum) {
				return block(msg.M("guard.member-down.up", "member", m.Member.Name, "node", node, "state", stateText(m.State)))
			}
		}
		return pass(msg.M("guard.member-down.pass", "nodes", nodes))
	}
}

// removeHealthy: never remove or wipe a healthy member (procedures §4).
func removeHealthy(node string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		m, ok := v.MemberOn(node)
		switch {
		case !ok:
			return pass(msg.M("guard.remove-healthy.none", "node", node))
		case m.Healthy:
			return block(msg.M("guard.remove-healthy.block", "member", m.Member.Name, "node", node))
		}
		return pass(msg.M("guard.remove-healthy.pass", "member", m.Member.Name, "state", stateText(m.State)))
	}
}

// quorumHoldsRemove: the rest, counted as healthy voters, must be a quorum of
// the membership without the node's member. etcd itself accepts the removal of
// one of two healthy members (measured), so the rule has to be ours.
func quorumHoldsRemove(node string) rule {
	return func(f etcdops.Facts, v etcdops.Verdict) ruling {
		if !v.Quorum.Holds {
			return block(msg.M("guard.quorum-holds-remove.lost", "healthy", v.Quorum.Healthy, "needed", v.Quorum.Needed))
		}
		voters, healthy := 0, 0
		for _, m := range v.Members {
			if m.Member.Learner || m.Node == node && node != "" {
				continue
			}
			voters++
			if m.Healthy {
				healthy++
			}
		}
		needed := voters/2 + 1
		if healthy < needed {
			return block(msg.M("guard.quorum-holds-remove.block", "healthy", healthy, "needed", needed))
		}
		return pass(msg.M("guard.quorum-holds-remove.pass", "healthy", healthy, "needed", needed)).
			on("%d of %d voters healthy without %s; quorum %d", healthy, voters, node, needed)
	}
}

// oneAtATime: no membership change while an unstarted member or a learner of
// another node is pending.
func oneAtATime(node string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, m := range f.Members {
			if m.Node != node && (m.Unstarted() || m.Learner) {
				return block(msg.M("guard.one-at-a-time.block", "member", memberLabel(m))).
					on("member %s: started %t, learner %t", m.ID, !m.Unstarted(), m.Learner)
			}
		}
		return pass(msg.M("guard.one-at-a-time.pass"))
	}
}

// causeOutsideData: while a cause outside the data is open on the node, taking
// its data away would not help.
func causeOutsideData(nodes []string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		for _, c := range v.Causes {
			if c.Outside && c.Confidence != etcdops.Possible && (c.Node == "" || slices.Contains(nodes, c.Node)) {
				return typed(msg.M("guard.cause-outside-data.block", "node", c.Node, "cause", c.Title)).on("cause %s (%s)", c.ID, c.Confidence)
			}
		}
		return pass(msg.M("guard.cause-outside-data.pass"))
	}
}

// dataCause: what destroys a member's data needs positive evidence that they
// are broken, lost or foreign.
func dataCause(node string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		for _, c := range v.CausesOn(node) {
			if c.Data && c.Confidence != etcdops.Possible {
				return pass(msg.M("guard.data-cause.pass", "node", node, "cause", c.Title)).on("cause %s (%s)", c.ID, c.Confidence)
			}
		}
		return typed(msg.M("guard.data-cause.block", "node", node))
	}
}

// logGone: a listed member whose data directory or WAL is gone is never simply
// started: a former leader would come up looking sound, having forgotten what
// it had acknowledged (facts-etcd, pitfall 39a).
func logGone(nodes []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			n, _ := f.NodeByName(node)
			if !n.Reachable || n.Data.Error != "" {
				continue // hosts-reachable and data-known speak of these
			}
			m, listed := f.MemberOf(node)
			if listed && !m.Unstarted() && withoutLog(n) {
				return block(msg.M("guard.log-gone.block", "member", m.Name, "node", node, "dir", n.WAL.Path)).
					on("%s: exists %t, wal files %t", n.Data.Path, n.Data.Exists, n.WAL.HasWAL)
			}
		}
		return pass(msg.M("guard.log-gone.pass"))
	}
}

// withoutLog reports whether the member on a node lacks its data directory or
// its WAL.
func withoutLog(n etcdops.NodeFacts) bool { return !n.Data.Exists || !n.WAL.HasWAL }

// hostsReachable: everything that a procedure counts on must answer.
func hostsReachable(nodes []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			if n, _ := f.NodeByName(node); !n.Reachable {
				return block(msg.M("guard.hosts-reachable.block", "node", node)).on("%s", n.Error)
			}
		}
		return pass(msg.M("guard.hosts-reachable.pass", "n", len(nodes)))
	}
}

// notInconsistent: restarting a member whose data differ would hide the
// difference, not mend it.
func notInconsistent(nodes []string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		for _, node := range nodes {
			if m, _ := v.MemberOn(node); m.State == etcdops.StateInconsistent {
				return block(msg.M("guard.data-differ.block", "member", m.Member.Name))
			}
		}
		return pass(msg.M("guard.data-differ.pass"))
	}
}

// usefulRestart warns where the causes say that a restart will not cure.
func usefulRestart(nodes []string) rule {
	return func(_ etcdops.Facts, v etcdops.Verdict) ruling {
		for _, c := range v.Causes {
			if (c.Data || c.Outside) && c.Confidence != etcdops.Possible && slices.Contains(nodes, c.Node) {
				return warn(msg.M("guard.restart-useful.warn", "node", c.Node, "cause", c.Title))
			}
		}
		return pass(msg.M("guard.restart-useful.pass"))
	}
}

// enoughSound: without a quorum a restart helps only if it brings one back.
func enoughSound(nodes []string) rule {
	return func(f etcdops.Facts, v etcdops.Verdict) ruling {
		if v.Quorum.Holds {
			return pass(msg.M("guard.enough-sound.holds"))
		}
		sound := 0
		for _, m := range v.Members {
			up := m.Healthy || m.State == etcdops.StateNoQuorum
			down := slices.Contains(nodes, m.Node) && (m.Sound || !m.SoundKnown)
			if !m.Member.Learner && (up || down) {
				sound++
			}
		}
		if sound < v.Quorum.Needed {
			return warn(msg.M("guard.enough-sound.warn", "sound", sound, "needed", v.Quorum.Needed))
		}
		return pass(msg.M("guard.enough-sound.pass", "sound", sound, "needed", v.Quorum.Needed))
	}
}

// clock: more than a second of skew makes logs and certificates hard to judge.
func clock(f etcdops.Facts, _ etcdops.Verdict) ruling {
	for _, n := range f.Nodes {
		skew := time.Duration(n.Host.SkewMillis) * time.Millisecond
		if margin := time.Duration(n.Host.SkewErrorMillis) * time.Millisecond; n.Reachable && skew.Abs() > time.Second+margin {
			return warn(msg.M("guard.clock.warn", "node", n.Node, "skew", skew.Round(100*time.Millisecond).String()))
		}
	}
	return pass(msg.M("guard.clock.pass"))
}

// certsValid: expired, not yet valid or mismatched certificates on a node that
// must start.
func certsValid(nodes []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range nodes {
			n, _ := f.NodeByName(node)
			now := f.CollectedAt.Add(time.Duration(n.Host.SkewMillis) * time.Millisecond)
			for _, c := range n.Certs {
				switch {
				case c.Error != "":
					return block(msg.M("guard.certs-valid.unreadable", "node", node, "path", c.Path)).on("%s", c.Error)
				case now.After(c.NotAfter):
					return block(msg.M("guard.certs-valid.expired", "node", node, "path", c.Path, "date", c.NotAfter.Format(time.DateTime)))
				case now.Before(c.NotBefore):
					return block(msg.M("guard.certs-valid.early", "node", node, "path", c.Path, "date", c.NotBefore.Format(time.DateTime)))
				case c.KeyMatches != nil && !*c.KeyMatches:
					return block(msg.M("guard.certs-valid.key", "node", node, "path", c.Path))
				case c.ChainOK != nil && !*c.ChainOK:
					return block(msg.M("guard.certs-valid.chain", "node", node, "path", c.Path))
				}
			}
		}
		return pass(msg.M("guard.certs-valid.pass"))
	}
}

// versionsFit: etcd versions within one minor, and one major.
func versionsFit(f etcdops.Facts, _ etcdops.Verdict) ruling {
	low, high := "", ""
	for _, n := range f.Nodes {
		v := n.Versions.Etcd
		if v == "" {
			continue
		}
		if older(v, low) || low == "" {
			low = v
		}
		if older(high, v) || high == "" {
			high = v
		}
	}
	l, okLow := etcdops.ParseVersion(low)
	h, okHigh := etcdops.ParseVersion(high)
	if okLow && okHigh && (l.Major != h.Major || h.Minor-l.Minor > 1) {
		return block(msg.M("guard.versions.block", "low", low, "high", high))
	}
	return pass(msg.M("guard.versions.pass", "version", high))
}

// older reports whether release a comes before release b; false where either
// cannot be read.
func older(a, b string) bool {
	v, ok := etcdops.ParseVersion(a)
	w, ok2 := etcdops.ParseVersion(b)
	return ok && ok2 && v != w && w.AtLeast(v.Major, v.Minor, v.Patch)
}

// memberLabel names a member for people: its name, or its id while unstarted.
func memberLabel(m etcdops.Member) string {
	if m.Name != "" {
		return m.Name
	}
	return m.ID + " (" + strings.Join(m.PeerURLs, ",") + ")"
}

// stateText is a member state as a word in the reader's language.
func stateText(s etcdops.MemberState) msg.Msg { return msg.M("state." + string(s)) }
