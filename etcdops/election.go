package etcdops

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// How long Collect looks again while the members may be electing a leader. etcd
// elects within one to two election timeouts, 1 s each unless the env file says
// otherwise (etcd documentation, "Tuning"); after three it has failed.
const (
	electionTimeout  = time.Second
	electionTimeouts = 3
	electionLongest  = 6 * time.Second
	electionPoll     = 200 * time.Millisecond
)

// awaitLeader asks again while a quorum answers and has no leader that answers:
// in the moments after a leader was lost every member looks ill, and who judges
// then advises to restart members that are well. It ends when a leader is agreed
// on, or when an election would have been over.
func (c *Collector) awaitLeader(ctx context.Context, f *Facts, answers []answer, errs []error) {
	limit := time.Duration(0)
	for _, n := range f.Nodes {
		own := electionTimeout
		if ms, err := strconv.Atoi(n.Env.Values["ETCD_ELECTION_TIMEOUT"]); err == nil && ms > 0 {
			own = time.Duration(ms) * time.Millisecond
		}
		limit = max(limit, own)
	}
	// Only the waiting is cut short: a question that was cut off would make a
	// silent member of one that answers.
	over := time.NewTimer(min(electionTimeouts*limit, electionLongest))
	defer over.Stop()
	tick := time.NewTicker(electionPoll)
	defer tick.Stop()
	for electing(*f) {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			return
		case <-tick.C:
		}
		remote.Each(f.Nodes, func(i int, n NodeFacts) error {
			s, ok := c.state(n.Node)
			if !ok || !n.Endpoint.Answers || n.Endpoint.Via != "" {
				return nil
			}
			answers[i] = c.askNode(ctx, &f.Nodes[i], s)
			return nil
		})
		c.finish(ctx, f, answers, errs)
	}
}

// electing reports whether a quorum of the voters answers, and does not name a
// leader that answers as well, or has just got one.
func electing(f Facts) bool {
	voters := 0
	for _, m := range f.Members {
		if !m.Learner {
			voters++
		}
	}
	var ids []string
	named, between := map[string]int{}, false
	for _, n := range f.Nodes {
		if e := n.Endpoint; e.Answers && !e.Learner {
			ids = append(ids, e.MemberID)
			named[e.LeaderID]++
			// The read was asked of one leader and answered under the next.
			between = between || strings.Contains(e.HealthError, "leader changed")
		}
	}
	if voters == 0 || 2*len(ids) <= voters {
		return false
	}
	if between {
		return true
	}
	for leader, by := range named {
		if 2*by > voters && slices.Contains(ids, leader) {
			return false
		}
	}
	return true
}
