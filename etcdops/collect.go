package etcdops

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/novatui/novatui/remote"
)

// Conns gives the connection to a node. It may connect again when the last
// connection broke. An error matches one of remote's sentinels.
type Conns interface {
	Conn(ctx context.Context, node string) (remote.Conn, error)
}

// Collector learns facts about a cluster. It keeps connections to etcd open
// between calls; Close ends them. Its methods may be called from several
// goroutines at once.
type Collector struct {
	cfg   Config
	nodes []remote.Node
	conns Conns

	mu      sync.Mutex
	known   map[string]nodeState
	clients map[string]*endpoint
}

// nodeState is what the collector keeps of a node between calls. It holds
// private keys and never leaves the collector. It is replaced as a whole: a call
// that goes on at the same time keeps what it began with.
type nodeState struct {
	material material
	limit    time.Duration
}

// askTimeout is how long an endpoint may take to answer on a fast network.
const askTimeout = 2 * time.Second

// hashTimeout bounds the computation of a hash over all keys of a member.
const hashTimeout = 10 * time.Second

// NewCollector makes a Collector; nothing is asked before Collect.
func NewCollector(cfg Config, nodes []remote.Node, conns Conns) *Collector {
	return &Collector{
		cfg: cfg, nodes: slices.Clone(nodes), conns: conns,
		known: map[string]nodeState{}, clients: map[string]*endpoint{},
	}
}

// Close ends the connections to etcd. The nodes' own connections belong to
// whoever gave Conns.
func (c *Collector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.clients {
		e.close()
	}
	c.known, c.clients = map[string]nodeState{}, map[string]*endpoint{}
	return nil
}

// Collect learns everything: one probe script on every node at the same time,
// then the questions to etcd. A node or an endpoint that fails is told in its
// own facts; the error is for what makes the whole impossible: the platform is
// not supported (ErrPlatform), no nodes, or the context ended.
func (c *Collector) Collect(ctx context.Context) (Facts, error) {
	began := time.Now()
	if _, err := LayoutFor(c.cfg.Platform); err != nil {
		return Facts{}, err
	}
	if len(c.nodes) == 0 {
		return Facts{}, errors.New("collecting facts: no nodes")
	}
	f := Facts{Config: c.cfg, CollectedAt: began, Nodes: make([]NodeFacts, len(c.nodes))}
	answers := make([]answer, len(c.nodes))
	errs := remote.Each(c.nodes, func(i int, n remote.Node) error {
		f.Nodes[i], answers[i] = c.collectNode(ctx, n)
		return nil
	})
	c.finish(ctx, &f, answers, errs)
	c.awaitLeader(ctx, &f, answers, errs)
	c.fillHashes(ctx, &f)
	f.Took = Millis(time.Since(began).Milliseconds())
	return f, ctx.Err()
}

// CollectNodes is Collect for the machines of the named nodes, and Status for
// the others: before a step on one node, what lies on the others need not be
// read again, what their etcd says must. prev must come from the same
// Collector; a node of which it knows nothing is looked at whole. Errors are
// Collect's.
func (c *Collector) CollectNodes(ctx context.Context, prev Facts, names []string) (Facts, error) {
	began := time.Now()
	if len(prev.Nodes) != len(c.nodes) {
		return c.Collect(ctx)
	}
	f := prev
	f.CollectedAt, f.HashRevision = began, 0
	f.Nodes = slices.Clone(prev.Nodes)
	answers := make([]answer, len(c.nodes))
	errs := remote.Each(c.nodes, func(i int, n remote.Node) error {
		if slices.Contains(names, n.Name) || f.Nodes[i].Node != n.Name || c.toolsOf(n.Name) == nil {
			f.Nodes[i], answers[i] = c.collectNode(ctx, n)
		} else {
			f.Nodes[i], answers[i] = c.statusNode(ctx, f.Nodes[i], began.Sub(prev.CollectedAt))
		}
		return nil
	})
	c.finish(ctx, &f, answers, errs)
	c.awaitLeader(ctx, &f, answers, errs)
	c.fillHashes(ctx, &f)
	f.Took = Millis(time.Since(began).Milliseconds())
	return f, ctx.Err()
}

func (c *Collector) fillHashes(ctx context.Context, f *Facts) {
	if f.HashRevision = commonRevision(f.Nodes); f.HashRevision > 0 {
		remote.Each(f.Nodes, func(i int, _ NodeFacts) error {
			c.fillHash(ctx, &f.Nodes[i], f.HashRevision)
			return nil
		})
	}
}

// finish does what needs the answers of all nodes.
func (c *Collector) finish(ctx context.Context, f *Facts, answers []answer, errs []error) {
	byNode := map[string]answer{}
	for i, err := range errs {
		if err != nil { // a panic, turned into an error by Each
			f.Nodes[i].Node, f.Nodes[i].Address = c.nodeName(i, f.Nodes[i])
			f.Nodes[i].ErrorKind, f.Nodes[i].Error = "probe", err.Error()
		}
		byNode[f.Nodes[i].Node] = answers[i]
	}
	mergeMembers(f, byNode)
	if c.askUnreachable(ctx, f, byNode) {
		mergeMembers(f, byNode)
	}
}

func (c *Collector) nodeName(i int, n NodeFacts) (name, address string) {
	if n.Node != "" || i >= len(c.nodes) {
		return n.Node, n.Address
	}
	return c.nodes[i].Name, c.nodes[i].Address
}

// collectNode probes a node and asks its etcd.
func (c *Collector) collectNode(ctx context.Context, node remote.Node) (NodeFacts, answer) {
	n := NodeFacts{Node: node.Name, Address: node.Address, Root: node.Root}
	conn, err := c.conns.Conn(ctx, node.Name)
	if err != nil {
		n.ErrorKind, n.Error = errorKind(err), remote.Clean(err.Error())
		return n, answer{}
	}
	out, err := probe(ctx, conn, c.cfg, c.toolsOf(node.Name))
	if err != nil {
		n.ErrorKind, n.Error = errorKind(err), remote.Clean(err.Error())
	}
	if len(out.parts) == 0 {
		return n, answer{}
	}
	n.Reachable = true
	m := out.fill(&n, c.cfg)
	s := c.remember(node.Name, m, out.first.Sub(out.sent))
	a := c.askNode(ctx, &n, s)
	if !a.facts.Answers || a.facts.LeaderID == "" {
		c.askPeerPort(ctx, conn, &n, s)
	}
	return n, a
}

// state is what is kept of a node; false before its first Collect.
func (c *Collector) state(node string) (nodeState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.known[node]
	return s, ok
}

// toolsOf is what the node's tools said before.
func (c *Collector) toolsOf(node string) toolsKnown {
	s, _ := c.state(node)
	return s.material.tools
}

// remember keeps what the tunnel's client needs. A client made with another
// identity is closed.
func (c *Collector) remember(node string, m material, trip time.Duration) nodeState {
	// A slow link slows the questions as well: opening the tunnel, TLS and the
	// question are about four round trips.
	s := nodeState{material: m, limit: askTimeout + min(4*trip, 4*askTimeout)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !m.client.same(c.known[node].material.client) {
		c.drop(node)
	}
	c.known[node] = s
	return s
}

// drop closes the client of a node; c.mu is held.
func (c *Collector) drop(node string) {
	if e := c.clients[node]; e != nil {
		e.close()
		delete(c.clients, node)
	}
}

// client gives the open connection to a node's endpoint, or a fresh one when
// there is none, when dialling failed before, or when the URL is another one.
func (c *Collector) client(node, url string) (*endpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.clients[node]; e != nil {
		if !e.broken() && e.url == url {
			return e, nil
		}
		c.drop(node)
	}
	m := c.known[node].material
	e, err := newEndpoint(url, c.dialFrom(node), m.client, m.now)
	if err != nil {
		return nil, err
	}
	c.clients[node] = e
	return e, nil
}

func (m material) now() time.Time { return time.Now().Add(m.skew) }

// dialFrom opens connections as seen from a node.
func (c *Collector) dialFrom(node string) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := c.conns.Conn(ctx, node)
		if err != nil {
			return nil, err
		}
		return conn.Dial(ctx, network, addr)
	}
}

// askNode asks the etcd of a node at the first client URL that it advertises.
func (c *Collector) askNode(ctx context.Context, n *NodeFacts, s nodeState) answer {
	urls := Host{Config: c.cfg, Facts: *n}.ClientURLs()
	if len(urls) == 0 {
		n.Endpoint = EndpointFacts{Error: "the env file names no client URL"}
		return answer{}
	}
	e, err := c.client(n.Node, reachableURL(urls[0]))
	if err != nil {
		n.Endpoint = EndpointFacts{ClientURL: urls[0], Error: err.Error()}
		return answer{}
	}
	a := e.ask(ctx, s.limit)
	n.Endpoint = a.facts
	return a
}

// reachableURL replaces an address that only means "every interface".
func reachableURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	if host := u.Hostname(); host == "0.0.0.0" || host == "::" {
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	}
	return u.String()
}

// askPeerPort fills in what the peer port of a silent or leaderless member
// knows. Its private key is read for this alone, and forgotten at once.
func (c *Collector) askPeerPort(ctx context.Context, conn remote.Conn, n *NodeFacts, s nodeState) {
	urls := n.Env.PeerURLs()
	closed := slices.ContainsFunc(n.Ports, func(p PortFact) bool { return p.Use == "peer" && !p.Listening })
	if len(urls) == 0 || closed || len(n.Endpoint.OwnMembers) > 0 {
		return
	}
	id := identity{ca: s.material.peerCA, cert: s.material.peerCert}
	if file := n.Env.PeerCert().Key; file != "" {
		key, err := readSecret(ctx, conn, file)
		if err != nil {
			return
		}
		id.key = key
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return conn.Dial(ctx, network, addr)
	}
	v, err := askPeer(ctx, reachableURL(urls[0]), dial, id, s.material.now, s.limit)
	if err != nil {
		return
	}
	e := &n.Endpoint
	e.PeerAnswers = true
	e.OwnMembers, e.OwnMembersFrom = v.members, "peer"
	e.ClusterID = firstOf(e.ClusterID, v.clusterID)
	e.Version = firstOf(e.Version, v.version)
	for _, m := range v.members {
		if e.MemberID == "" && slices.ContainsFunc(m.PeerURLs, func(p string) bool { return sameURL(p, urls[0]) }) {
			e.MemberID = m.ID
		}
	}
}

// askUnreachable asks the members of nodes that cannot be reached over SSH
// through the tunnel of another node: their etcd may be well. It reports
// whether anything was learnt.
func (c *Collector) askUnreachable(ctx context.Context, f *Facts, answers map[string]answer) bool {
	via := slices.IndexFunc(f.Nodes, func(n NodeFacts) bool { return n.Reachable && n.Endpoint.Answers })
	if via < 0 {
		return false
	}
	helper, ok := c.state(f.Nodes[via].Node)
	if !ok {
		return false
	}
	found := make([]*answer, len(f.Nodes))
	remote.Each(f.Nodes, func(i int, n NodeFacts) error {
		m, ok := f.MemberOf(n.Node)
		if n.Reachable || !ok || len(m.ClientURLs) == 0 {
			return nil
		}
		e, err := newEndpoint(reachableURL(m.ClientURLs[0]), c.dialFrom(f.Nodes[via].Node),
			helper.material.client, helper.material.now)
		if err != nil {
			return err
		}
		defer e.close()
		a := e.ask(ctx, helper.limit)
		a.facts.Via = f.Nodes[via].Node
		found[i] = &a
		return nil
	})
	learnt := false
	for i, a := range found {
		if a != nil {
			f.Nodes[i].Endpoint = a.facts
			answers[f.Nodes[i].Node] = *a
			learnt = true
		}
	}
	return learnt
}

// commonRevision is the revision at which the members' hashes can be compared:
// the lowest of those that answer. It is 0 with fewer than two of them.
func commonRevision(nodes []NodeFacts) int64 {
	var lowest int64
	count := 0
	for _, n := range nodes {
		if !n.Endpoint.Answers || n.Endpoint.Learner || n.Endpoint.Revision <= 0 {
			continue
		}
		count++
		if lowest == 0 || n.Endpoint.Revision < lowest {
			lowest = n.Endpoint.Revision
		}
	}
	if count < 2 {
		return 0
	}
	return lowest
}

// fillHash takes the hash of a member at a revision. A member that has already
// compacted that revision, or is a learner, has none.
func (c *Collector) fillHash(ctx context.Context, n *NodeFacts, revision int64) {
	if !n.Endpoint.Answers || n.Endpoint.Learner || n.Endpoint.Via != "" {
		return
	}
	c.mu.Lock()
	e := c.clients[n.Node]
	c.mu.Unlock()
	if e == nil {
		return
	}
	hash, compact, err := e.hash(ctx, hashTimeout, revision)
	if err != nil {
		n.Endpoint.HashError = remote.Clean(err.Error())
		return
	}
	n.Endpoint.Hash, n.Endpoint.CompactRevision = hash, compact
}

// errorKind sorts an error by remote's sentinels, as NodeFacts.ErrorKind says.
func errorKind(err error) string {
	for _, k := range []struct {
		is   error
		kind string
	}{
		{remote.ErrHostKeyUnknown, "host-key-unknown"},
		{remote.ErrHostKeyChanged, "host-key-changed"},
		{remote.ErrAuth, "auth"},
		{remote.ErrDeclined, "auth"},
		{remote.ErrPrivilege, "privilege"},
		{context.DeadlineExceeded, "timeout"},
		{remote.ErrUnreachable, "unreachable"},
		{remote.ErrNotStarted, "unreachable"},
		{remote.ErrOutcomeUnknown, "unreachable"},
	} {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return "probe"
}

// readSecret reads a private key of a node into memory.
func readSecret(ctx context.Context, conn remote.Conn, file string) (secret, error) {
	if err := validatePath(file); err != nil {
		return nil, err
	}
	c := remote.Command{
		Argv: []string{"cat", "--", file}, Effect: remote.Read, Timeout: quickTimeout, Quiet: true,
		MaxOutput: 64 << 10,
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	res, err := conn.Run(ctx, c, remote.Streams{})
	if err == nil {
		err = res.Check(conn.Node().Name, c)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	return secret(res.Stdout), nil
}
