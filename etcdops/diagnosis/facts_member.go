package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// checkEnv compares the env file with the membership. It matters where etcd
// must bootstrap: with a WAL of its own it ignores the initial cluster.
func (j *judge) checkEnv(c *nodeCase) {
	env := c.facts.Env
	switch {
	case env.Path != "" && !env.Exists && env.Error == "":
		j.fact(c, "bad-config", "env-missing", etcdops.Certain, "env", env.Path, env.Path+" does not exist")
		return
	case env.Error != "":
		j.fact(c, "bad-config", "env-broken", etcdops.Likely, "env", env.Path, env.Path+": "+env.Error)
		return
	case !env.Exists || hasWAL(c.facts) || !c.listed || j.f.MembersFrom == "env" || j.f.MembersFrom == "":
		return
	}
	if env.State() == "existing" {
		if missing, extra := differ(initialURLs(env), membersURLs(j.f.Members)); len(missing)+len(extra) > 0 && env.InitialCluster() != "" {
			j.fact(c, "initial-cluster-mismatch", "", etcdops.Likely, "env", strings.Join(append(missing, extra...), ", "),
				fmt.Sprintf("ETCD_INITIAL_CLUSTER=%s; in the membership but not there: %v; there but not in it: %v",
					env.InitialCluster(), extra, missing))
		}
	}
	if c.member.Unstarted() && env.State() == "new" {
		j.fact(c, "initial-cluster-mismatch", "state-new", etcdops.Certain, "env", env.Path,
			"ETCD_INITIAL_CLUSTER_STATE=new, but the member was added to a cluster that exists")
	}
}

// initialURLs are the peer URLs of an env file's initial cluster.
func initialURLs(env etcdops.EnvFacts) []string {
	var urls []string
	for _, part := range strings.Split(env.InitialCluster(), ",") {
		if _, url, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
			urls = append(urls, url)
		}
	}
	return urls
}

func membersURLs(members []etcdops.Member) []string {
	var urls []string
	for _, m := range members {
		urls = append(urls, m.PeerURLs...)
	}
	return urls
}

// differ lists what is only in a, and what is only in b.
func differ(a, b []string) (onlyA, onlyB []string) {
	for _, s := range a {
		if !slices.Contains(b, s) {
			onlyA = append(onlyA, s)
		}
	}
	for _, s := range b {
		if !slices.Contains(a, s) {
			onlyB = append(onlyB, s)
		}
	}
	return onlyA, onlyB
}

// logGone reports whether a member that had started has no WAL any more. It
// must not simply be started again: it would come back under its old id having
// forgotten what it had acknowledged (facts-etcd.md pitfall 39a, measured on
// 3.5 to 3.7). A directory that could not be read says nothing.
func (j *judge) logGone(c *nodeCase) bool {
	n := c.facts
	if !n.Reachable || n.Data.Path == "" || n.Data.Error != "" || n.WAL.Error != "" || hasWAL(n) {
		return false
	}
	if !c.listed || c.member.Unstarted() {
		return false
	}
	if j.f.MembersFrom == "env" || j.f.MembersFrom == "" {
		// Only the env files say that this is a member: that it ever started
		// must be shown by something else.
		return j.everFormed()
	}
	return true
}

// checkListed: the membership, confirmed by quorum, does not know this node,
// though its env file belongs to the cluster. Where a member exists that is no
// node of ours, that one may be it under another URL, and nothing is said.
func (j *judge) checkListed(c *nodeCase) {
	n := c.facts
	if c.listed || n.Endpoint.Answers || !j.confirmed() ||
		slices.ContainsFunc(j.f.Members, func(m etcdops.Member) bool { return m.Node == "" }) {
		return
	}
	if len(n.Env.PeerURLs()) == 0 || !overlap(initialURLs(n.Env), membersURLs(j.f.Members)) {
		return
	}
	j.fact(c, "removed-member", "not-listed", etcdops.Certain, "etcdctl", "",
		fmt.Sprintf("no member has the peer URL %s", strings.Join(n.Env.PeerURLs(), ", ")))
}

// confirmed reports whether the membership is what a quorum says.
func (j *judge) confirmed() bool { return j.f.MembersFrom == "linearizable" && j.quorum.Holds }

// checkLogGone names the loss of a member's log by the id that fits what
// etcd itself says about it.
func (j *judge) checkLogGone(c *nodeCase) {
	if !j.logGone(c) {
		return
	}
	d := c.facts.Data
	id, variant := "already-bootstrapped", "gone"
	switch {
	case j.has(c.facts.Node, "raft-lost-log"):
		id = "raft-lost-log"
	case j.has(c.facts.Node, "already-bootstrapped"):
	case d.Exists && d.HasDB && d.DBBytes > 64<<10:
		// etcd itself makes a small new database before it refuses to bootstrap.
		id, variant = "wal-corrupt", "gone"
	case c.facts.Env.State() == "existing":
		id = "raft-lost-log"
	}
	text := d.Path + ": no WAL inside"
	switch {
	case !d.Exists:
		text = d.Path + " does not exist"
	case d.Empty || !d.HasMember:
		text = d.Path + " is empty"
	}
	j.fact(c, id, variant, etcdops.Certain, "disk", d.Path,
		fmt.Sprintf("%s, but the membership lists %s as started", text, j.memberName(c.facts.Node)))
}

// has reports whether a cause is known on a node with more than a suspicion.
func (j *judge) has(node, cause string) bool {
	return slices.ContainsFunc(j.causes, func(c etcdops.Cause) bool {
		return c.Node == node && c.ID == cause && weight(c.Confidence) > 1
	})
}

// checkUnit reads who or what ended an etcd that did not end itself.
func (j *judge) checkUnit(c *nodeCase) {
	u := c.facts.Unit
	switch {
	case suspended(c.facts):
		j.fact(c, "stopped-by-supervisor", "suspended", etcdops.Certain, "unit", "",
			fmt.Sprintf("process %d is in state T (stopped by a signal); %s", u.MainPID, unitText(u)))
	case u.Active != "" && u.Restarts > 0 && killed(u) && len(c.facts.OOM) == 0:
		j.fact(c, "unknown", "killed", etcdops.Likely, "unit", "", unitText(u))
	case u.Active == "" || u.Running():
	case u.Masked():
		yes := true
		j.add(found{
			cause: "stopped-by-supervisor", node: c.facts.Node, confidence: etcdops.Certain, variant: "masked", outside: &yes,
			evidence: etcdops.Evidence{Source: "unit", Node: c.facts.Node, Text: unitText(u) + ", masked (" + u.UnitFile + ")"},
		})
	case u.Load == "not-found":
		j.fact(c, "bad-config", "no-unit", etcdops.Likely, "unit", u.Name, u.Name+": not found")
	default:
		j.checkEnd(c)
	}
}

// checkEnd reads how a unit that is down came to its end.
func (j *judge) checkEnd(c *nodeCase) {
	u := c.facts.Unit
	switch {
	case u.Result == "oom-kill" || j.has(c.facts.Node, "oom-killed"):
	case j.rebooted(c):
		j.fact(c, "host-crash", "", etcdops.Likely, "unit", "",
			fmt.Sprintf("the host booted %d s ago; etcd wrote no word of a stop before; %s", c.facts.Host.UptimeSeconds, unitText(u)))
	case u.Active == "inactive" && endedCleanly(u):
		j.fact(c, "stopped-by-supervisor", "", etcdops.Certain, "unit", "", unitText(u))
	case killed(u):
		j.fact(c, "unknown", "killed", etcdops.Likely, "unit", "", unitText(u))
	}
}

// suspended reports whether the unit's own process was stopped by a signal.
func suspended(n etcdops.NodeFacts) bool {
	return slices.ContainsFunc(n.Running, func(p etcdops.ProcessFacts) bool {
		return p.StoppedState && (n.Unit.MainPID == 0 || p.PID == n.Unit.MainPID)
	})
}

// endedCleanly reports whether a unit that is inactive was stopped: systemd
// counts an end by SIGTERM as success (systemd.service, SuccessExitStatus=).
func endedCleanly(u etcdops.UnitFacts) bool {
	if u.ExitCode == "killed" || u.ExitCode == "dumped" {
		return u.ExitStatus == 15 || u.ExitStatus == 2 || u.Result == "success"
	}
	return u.ExitStatus == 0 && (u.Result == "success" || u.Result == "")
}

// killed reports whether the unit's process was ended by SIGKILL from outside.
func killed(u etcdops.UnitFacts) bool { return u.ExitCode == "killed" && u.ExitStatus == 9 }

// rebooted reports whether the host booted after etcd's last words, which
// were no farewell, and etcd was not started since.
func (j *judge) rebooted(c *nodeCase) bool {
	r := c.newest()
	if r == nil || !r.spoke || c.facts.Host.UptimeSeconds <= 0 || j.f.CollectedAt.IsZero() {
		return false
	}
	boot := j.nodeTime(c).Add(-time.Duration(c.facts.Host.UptimeSeconds) * time.Second)
	last := r.lines[len(r.lines)-1].at
	return !last.IsZero() && last.Before(boot) && !saidFarewell(r)
}

func saidFarewell(r *run) bool {
	return slices.ContainsFunc(r.lines, func(l line) bool {
		return strings.Contains(l.msg, "received signal; shutting down") ||
			strings.Contains(l.msg, "signal, shutting down") || strings.Contains(l.msg, "closed etcd server")
	})
}

// compareData names members whose data differ. Which one is wrong is known
// only where a majority of all voters holds one hash.
func (j *judge) compareData() {
	for _, node := range j.hashes.odd {
		c := j.caseOf(node)
		j.fact(c, "data-inconsistent", "", etcdops.Certain, "status", c.facts.Endpoint.Hash,
			fmt.Sprintf("hash %s at revision %d; the majority has another", c.facts.Endpoint.Hash, j.f.HashRevision))
	}
	for _, node := range j.hashes.split {
		c := j.caseOf(node)
		j.add(found{
			cause: "data-inconsistent", confidence: etcdops.Certain, variant: "undecided",
			evidence: etcdops.Evidence{Source: "status", Node: node, Text: fmt.Sprintf(
				"hash %s at revision %d, compacted at %d", c.facts.Endpoint.Hash, j.f.HashRevision, c.facts.Endpoint.CompactRevision)},
		})
	}
	for i := range j.nodes {
		c := &j.nodes[i]
		if !slices.Contains(c.facts.Endpoint.Alarms, "CORRUPT") {
			continue
		}
		sure, variant := etcdops.Likely, "alarm"
		if slices.Contains(j.hashes.odd, c.facts.Node) {
			sure, variant = etcdops.Certain, ""
		}
		j.fact(c, "data-inconsistent", variant, sure, "status", "", "alarm CORRUPT")
	}
}

// blameNobody gives every member that is down or silent, and for which nothing
// is known, the cause "unknown" with etcd's last words.
func (j *judge) blameNobody() {
	for i := range j.nodes {
		c := &j.nodes[i]
		if c.healthy || !c.facts.Reachable || j.explained(c.facts.Node) || j.faultless(c) {
			continue
		}
		u := c.facts.Unit
		f := found{cause: "unknown", node: c.facts.Node, confidence: etcdops.Possible}
		if u.Running() {
			f.variant = "silent"
		}
		words := lastWords(c)
		if u.Active != "" {
			words = append(words, etcdops.Evidence{Source: "unit", Node: c.facts.Node, Text: unitText(u)})
		}
		if len(words) == 0 {
			j.add(f)
		}
		for _, f.evidence = range words {
			j.add(f)
		}
	}
	if !j.quorum.Holds && j.everFormed() {
		sure := etcdops.Certain
		if j.unseen() > 0 {
			sure = etcdops.Possible
		}
		j.add(found{cause: "quorum-lost", confidence: sure, evidence: etcdops.Evidence{
			Source: "status", Text: fmt.Sprintf("%d of %d voters healthy, %d needed", j.quorum.Healthy, j.quorum.Voters, j.quorum.Needed),
		}})
	}
}

// faultless reports whether no fault of its own is known of a member that is
// not healthy: it answers without quorum, learns, was not started yet, or is
// on its way.
func (j *judge) faultless(c *nodeCase) bool {
	e := c.facts.Endpoint
	return e.Answers || e.Learner || c.member.Learner || c.member.Unstarted() && c.listed || j.onItsWay(c)
}

// isolatedAfter is how long a member may look for its peers, in seconds, while
// a quorum of them serves. Elections take a few seconds.
const isolatedAfter = 60

// waits reports whether a member has read its data and looks for its peers,
// which is in order as long as there is no quorum to be found.
func (j *judge) waits(c *nodeCase) bool {
	r := c.newest()
	looks := r != nil && r.loaded && r.served < 0 || c.facts.Endpoint.PeerAnswers
	return looks && !suspended(c.facts) && (!j.quorum.Holds || c.facts.Unit.SinceSeconds < isolatedAfter)
}

// explained reports whether a cause surer than a suspicion is known on a node.
func (j *judge) explained(node string) bool {
	return slices.ContainsFunc(j.causes, func(c etcdops.Cause) bool { return c.Node == node && weight(c.Confidence) > 1 })
}
