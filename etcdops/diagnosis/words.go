package diagnosis

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// headline is the one sentence for the top of the screen: what is down, what
// quorum says, whether writes work.
func (j *judge) headline(state etcdops.ClusterState) msg.Msg {
	q := j.quorum
	args := []any{"healthy", q.Healthy, "needed", q.Needed, "voters", q.Voters}
	if all(j.nodes, func(c nodeCase) bool { return !c.facts.Reachable }) {
		return msg.M("diagnosis.head.no-host", "n", len(j.nodes))
	}
	switch state {
	case etcdops.ClusterSplit:
		return msg.M("diagnosis.head.split", args...)
	case etcdops.ClusterNotFormed:
		return msg.M("diagnosis.head.not-formed", args...)
	case etcdops.ClusterQuorumLost:
		if n := j.unseen(); n > 0 {
			return msg.M("diagnosis.head.quorum-unseen", append(args, "n", n)...)
		}
		return msg.M("diagnosis.head.quorum-lost", args...)
	case etcdops.ClusterHealthy:
		return msg.M("diagnosis.head.healthy", append(args, "n", len(j.members))...)
	default:
	}
	writes := "works"
	for i := range j.nodes {
		for _, alarm := range j.nodes[i].facts.Endpoint.Alarms {
			writes = map[string]string{"NOSPACE": "nospace", "CORRUPT": "corrupt"}[alarm]
		}
	}
	args = append(args, "writes", msg.M("diagnosis.writes."+writes))
	down, odd := 0, 0
	for i := range j.members {
		switch s := &j.members[i]; s.State {
		case etcdops.StateHealthy, etcdops.StateLearner:
		case etcdops.StateInconsistent:
			odd++
		default:
			down++
		}
	}
	args = append(args, "total", number("of", len(j.members)))
	switch {
	case down > 0:
		return msg.M("diagnosis.head.down", append(args, "n", down, "count", number("count", down))...)
	case odd > 0:
		return msg.M("diagnosis.head.differ", append(args, "n", odd, "count", number("count", odd))...)
	}
	return msg.M("diagnosis.head.alarm", args...)
}

// number is a small number as a word, a larger one in digits: "count" begins a
// sentence, "of" stands after "of".
func number(form string, n int) any {
	if n < 1 || n > 9 {
		return n
	}
	return msg.M("diagnosis.number." + form + "." + string(rune('0'+n)))
}

// second names the best cause, with its member and how sure it is.
func (j *judge) second(v etcdops.Verdict) msg.Msg {
	for _, c := range v.Causes {
		if c.ID == "quorum-lost" || weight(c.Confidence) == 0 {
			continue
		}
		said := msg.M(strings.TrimSuffix(c.Title.ID, ".title") + ".said")
		sure := msg.M("diagnosis.confidence." + string(c.Confidence))
		if c.Node == "" {
			return msg.M("diagnosis.second.cluster", "said", said, "sure", sure)
		}
		member := j.memberName(c.Node)
		if member == c.Node {
			return msg.M("diagnosis.second.node", "node", c.Node, "said", said, "sure", sure)
		}
		return msg.M("diagnosis.second.member", "member", member, "node", c.Node, "said", said, "sure", sure)
	}
	return msg.Msg{}
}
