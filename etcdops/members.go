package etcdops

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// The values of Facts.MembersFrom.
const (
	FromLinearizable = "linearizable"
	FromLocal        = "local"
	FromPeer         = "peer"
	FromEnv          = "env"
)

// mergeMembers decides on the membership: the list that a quorum confirmed; or
// else the own list of the member that knows most (highest term, then highest
// applied index); or else what the env files say. Where nodes belong to
// different clusters, the cluster with most healthy, then most answering nodes
// counts. Members get their node, and stand in the order of the nodes.
func mergeMembers(f *Facts, answers map[string]answer) {
	f.Members, f.MembersFrom = nil, ""
	main := mainCluster(f, answers)
	var best *NodeFacts
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Endpoint.ClusterID != main || main == "" {
			continue
		}
		if a, ok := answers[n.Node]; ok && len(a.confirmed) > 0 && f.MembersFrom == "" {
			f.Members, f.MembersFrom = slices.Clone(a.confirmed), FromLinearizable
		}
		if len(n.Endpoint.OwnMembers) > 0 && (best == nil || knowsMore(n.Endpoint, best.Endpoint)) {
			best = n
		}
	}
	switch {
	case f.MembersFrom != "":
	case best != nil:
		f.Members, f.MembersFrom = slices.Clone(best.Endpoint.OwnMembers), best.Endpoint.OwnMembersFrom
	default:
		f.Members = envMembers(f.Nodes)
		if len(f.Members) > 0 {
			f.MembersFrom = FromEnv
		}
	}
	for i := range f.Members {
		f.Members[i].Node = nodeOf(f.Nodes, f.Members[i])
	}
	order := func(m Member) int {
		i := slices.IndexFunc(f.Nodes, func(n NodeFacts) bool { return n.Node == m.Node })
		if i < 0 {
			return len(f.Nodes)
		}
		return i
	}
	slices.SortStableFunc(f.Members, func(a, b Member) int { return order(a) - order(b) })
}

func knowsMore(a, b EndpointFacts) bool {
	if a.RaftTerm != b.RaftTerm {
		return a.RaftTerm > b.RaftTerm
	}
	return a.Applied > b.Applied
}

func mainCluster(f *Facts, answers map[string]answer) string {
	weight := map[string]int{}
	for _, n := range f.Nodes {
		id := n.Endpoint.ClusterID
		if id == "" {
			continue
		}
		weight[id]++
		if n.Endpoint.Healthy || len(answers[n.Node].confirmed) > 0 {
			weight[id] += 100
		}
	}
	main := ""
	for _, n := range f.Nodes {
		// In the order of the nodes, so that a tie is decided the same way
		// each time.
		if id := n.Endpoint.ClusterID; id != "" && (main == "" || weight[id] > weight[main]) {
			main = id
		}
	}
	return main
}

// envMembers is the union of the env files' initial clusters, without ids.
func envMembers(nodes []NodeFacts) []Member {
	var members []Member
	for _, n := range nodes {
		for _, part := range splitList(n.Env.InitialCluster()) {
			name, peer, ok := strings.Cut(part, "=")
			if !ok {
				continue
			}
			i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
			if i < 0 {
				members = append(members, Member{Name: name})
				i = len(members) - 1
			}
			if !slices.Contains(members[i].PeerURLs, peer) {
				members[i].PeerURLs = append(members[i].PeerURLs, peer)
			}
		}
	}
	return members
}

// nodeOf finds the node of a member: by the peer URL that its env file
// advertises; or, where the env file could not be read, by the node's address
// standing in a peer URL.
func nodeOf(nodes []NodeFacts, m Member) string {
	for _, n := range nodes {
		for _, u := range n.Env.PeerURLs() {
			if slices.ContainsFunc(m.PeerURLs, func(p string) bool { return sameURL(p, u) }) {
				return n.Node
			}
		}
	}
	for _, n := range nodes {
		if len(n.Env.PeerURLs()) > 0 || n.Address == "" {
			continue
		}
		for _, p := range m.PeerURLs {
			if u, err := url.Parse(p); err == nil && sameHost(u.Hostname(), n.Address) {
				return n.Node
			}
		}
	}
	return ""
}

// sameURL compares URLs as etcd would: the host in any case, no final slash.
func sameURL(a, b string) bool {
	u, err := url.Parse(a)
	v, err2 := url.Parse(b)
	if err != nil || err2 != nil {
		return a == b
	}
	return u.Scheme == v.Scheme && u.Port() == v.Port() && sameHost(u.Hostname(), v.Hostname())
}

func sameHost(a, b string) bool {
	if x, y := net.ParseIP(a), net.ParseIP(b); x != nil && y != nil {
		return x.Equal(y)
	}
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
