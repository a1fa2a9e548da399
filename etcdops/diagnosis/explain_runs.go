package diagnosis

import (
	"regexp"
	"slices"
	"strings"
)

// clusterSigns are what a text tells of the cluster by the way.
type clusterSigns struct {
	initial int      // members in an initial-cluster setting; 0: not said
	peers   []string // ids of peers that were met
	leader  bool     // somebody is the leader
	lost    bool     // there is none
	raftIDs int      // members that raft knows
}

// maxSigns bounds the peers told apart.
const maxSigns = 16

// mark reads what a line says of the run it stands in, and begins a new run
// where it must. It returns what the line says, for others like it.
func (r *textReader) mark(n int, l *lowered) sign {
	run := r.run()
	if run.endsBefore(l) && run.spoke {
		r.newRun()
		run = r.run()
	}
	run.banner = run.banner || isBanner(l.line)
	run.ended = run.ended || l.from == fromSystemd && (strings.Contains(l.lowMsg, "exited") || strings.Contains(l.lowMsg, "stopped ") || strings.Contains(l.lowMsg, "stopping "))
	if l.from == fromEtcd && run.pid == 0 {
		run.pid = l.pid
	}
	signs := signsOf(l)
	run.pass(signs, n)
	r.s.readVersion(l.text)
	r.s.signs.read(l)
	return signs
}

// readVersion notes the version with which an etcd introduces itself.
func (s *said) readVersion(text string) {
	if len(s.versions) >= maxSigns || !strings.Contains(text, "ersion") {
		return
	}
	if v := saidVersion.FindStringSubmatch(text); v != nil {
		if rel, err := parseRelease(v[1]); err == nil && !slices.Contains(s.versions, rel) {
			s.versions = append(s.versions, rel)
		}
	}
}

// sign is what a line says of how far its run came.
type sign uint8

const (
	signServed sign = 1 << iota
	signLoaded
	signLeader
	signNoLeader
)

func signsOf(l *lowered) sign {
	var s sign
	if hasServed(l.line) {
		s |= signServed
	}
	if hasLoaded(l.line) {
		s |= signLoaded
	}
	switch {
	case strings.Contains(l.lowMsg, "lost leader"), strings.Contains(l.lowMsg, "is starting a new election"):
		s |= signNoLeader
	case strings.Contains(l.lowMsg, "elected leader"), strings.Contains(l.lowMsg, "became leader at term"), strings.Contains(l.lowMsg, "changed leader from"):
		s |= signLeader
	}
	return s
}

// pass notes the newest place of signs.
func (run *explainedRun) pass(s sign, n int) {
	for _, p := range []struct {
		bit sign
		at  *int
	}{{signServed, &run.served}, {signLoaded, &run.loaded}, {signLeader, &run.leader}, {signNoLeader, &run.noone}} {
		if s&p.bit != 0 {
			*p.at = n
		}
	}
}

func (r *textReader) newRun() {
	s := r.s
	if len(s.runs) >= keepRuns {
		s.runs = append(s.runs[:0], s.runs[1:]...)
		s.dropped++
	}
	s.runs = append(s.runs, newRun())
}

// endsBefore reports whether a line belongs to another process than the run's.
func (run *explainedRun) endsBefore(l *lowered) bool {
	switch {
	case l.from == fromSystemd:
		return startsUnit(l.msg)
	case l.from != fromEtcd:
		return false
	case isBanner(l.line) && run.banner:
		return true
	}
	return l.pid != 0 && run.pid != 0 && l.pid != run.pid && isBanner(l.line)
}

// current are the newest run and those before it up to the last that served,
// newest first, as for diagnose (runs.go).
func (s *said) current() []*explainedRun {
	last := len(s.runs) - 1
	for last > 0 && !s.runs[last].spoke {
		last--
	}
	var list []*explainedRun
	for i := last; i >= 0 && len(list) < maxRuns; i-- {
		if len(list) > 0 && list[len(list)-1].served > 0 {
			break
		}
		list = append(list, s.runs[i])
	}
	return list
}

var (
	initialCluster = regexp.MustCompile(`(?i)initial[-_ ]cluster(?:"?\s?[:=]\s?\[?"?)([^\s"\]]+=[^\s"\]]+)`)
	raftPeers      = regexp.MustCompile(`(?:\[peers: \[|voters=\()([0-9a-f, .…]*)`)
	peerID         = regexp.MustCompile(`\b(?:peer|member) ([0-9a-f]{12,16})\b`)
)

// read notes what a line says of the cluster.
func (c *clusterSigns) read(l *lowered) {
	if strings.Contains(l.text, "=http") { // an address of the list; a look is cheaper than the expression
		if m := initialCluster.FindStringSubmatch(l.text); m != nil {
			c.initial = max(c.initial, strings.Count(m[1], "="))
		}
	}
	if strings.Contains(l.msg, "eers: [") || strings.Contains(l.msg, "voters=(") {
		if m := raftPeers.FindStringSubmatch(l.msg); m != nil {
			ids := len(strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' }))
			c.raftIDs = max(c.raftIDs, ids)
		}
	}
	if id := remoteID(l.line); id != "" {
		c.meet(id)
	} else if strings.Contains(l.msg, "peer ") {
		c.meet(peerInText(l.msg))
	}
	switch {
	case strings.Contains(l.msg, "lost leader"), strings.Contains(l.msg, "no leader"):
		c.lost, c.leader = true, false
	case strings.Contains(l.msg, "elected leader"), strings.Contains(l.msg, "became leader at term"):
		c.leader, c.lost = true, false
	}
}

func (c *clusterSigns) meet(id string) {
	if id != "" && len(c.peers) < maxSigns && !slices.Contains(c.peers, id) {
		c.peers = append(c.peers, id)
	}
}

// peerInText is the id of the peer that a plain line names.
func peerInText(msg string) string {
	if m := peerID.FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	return ""
}
