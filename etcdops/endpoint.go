package etcdops

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/novatui/novatui/remote"
)

// endpoint is a connection to one member's client port through a node's
// tunnel. Client v3 speaks over it. Its own dialler and balancer are left out:
// TLS is done here, below gRPC, so that a refused connection or a bad
// certificate is known at once and word for word, and every question goes to
// this member and no other.
type endpoint struct {
	url         string
	conn        *grpc.ClientConn
	kv          clientv3.KV
	cluster     clientv3.Cluster
	maintenance clientv3.Maintenance

	mu sync.Mutex
	// failed is the last error of dialling; the waiters are calls that it
	// ends.
	failed  error
	waiters map[int]context.CancelCauseFunc
	next    int
}

// dialFunc opens a connection as seen from a node.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// newEndpoint prepares a connection to a client URL; nothing is dialled before
// the first call.
func newEndpoint(rawURL string, dial dialFunc, id identity, now func() time.Time) (*endpoint, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("client URL %q cannot be read", rawURL)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "2379")
	}
	var secure *tls.Config
	if u.Scheme == "https" {
		id.host = u.Hostname()
		if secure, err = id.config(now); err != nil {
			return nil, err
		}
	}
	e := &endpoint{url: rawURL, waiters: map[int]context.CancelCauseFunc{}}
	e.conn, err = grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := dialSecure(ctx, dial, addr, secure)
			if err != nil {
				e.fail(err)
			}
			return c, err
		}),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", rawURL, err)
	}
	e.kv = clientv3.NewKVFromKVClient(pb.NewKVClient(e.conn), nil)
	e.cluster = clientv3.NewClusterFromClusterClient(pb.NewClusterClient(e.conn), nil)
	e.maintenance = clientv3.NewMaintenanceFromMaintenanceClient(pb.NewMaintenanceClient(e.conn), nil)
	return e, nil
}

func dialSecure(ctx context.Context, dial dialFunc, addr string, secure *tls.Config) (net.Conn, error) {
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		return raw, nil
	}
	c := tls.Client(raw, secure)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return c, nil
}

// fail ends every call that waits for the connection.
func (e *endpoint) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = err
	for _, cancel := range e.waiters {
		cancel(err)
	}
}

func (e *endpoint) close() { _ = e.conn.Close() }

// broken reports whether dialling failed since the connection was made: it is
// then thrown away, so that the next call does not wait for gRPC's own back-off.
func (e *endpoint) broken() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed != nil
}

// call runs one request with a deadline; a failed dial ends it at once.
func (e *endpoint) call(ctx context.Context, limit time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.mu.Lock()
	n := e.next
	e.next++
	e.waiters[n] = cancel
	failed := e.failed
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.waiters, n)
	}()
	if failed != nil {
		return failed
	}
	timed, stop := context.WithTimeout(ctx, limit)
	defer stop()
	err := fn(timed) // wrapped below, for all questions alike
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if timed.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within %s: %w", limit.Round(time.Millisecond), context.DeadlineExceeded)
	}
	return rpctypes.Error(err)
}

// answer is what one endpoint said. EndpointFacts is filled from it.
type answer struct {
	facts EndpointFacts
	// confirmed is the membership that a quorum confirmed; nil without.
	confirmed []Member
}

// ask puts all questions to the endpoint at once.
func (e *endpoint) ask(ctx context.Context, limit time.Duration) answer {
	a := answer{facts: EndpointFacts{ClientURL: e.url, Asked: true}}
	var (
		status      *clientv3.StatusResponse
		own, agreed *clientv3.MemberListResponse
		revision    int64
		took        time.Duration
	)
	questions := []func(context.Context) error{
		func(ctx context.Context) (err error) {
			status, err = e.maintenance.Status(ctx, e.url)
			return err
		},
		func(ctx context.Context) error {
			// What etcdctl endpoint health asks; the count alone, no value.
			began := time.Now()
			r, err := e.kv.Get(clientv3.WithRequireLeader(ctx), "health", clientv3.WithCountOnly())
			took = time.Since(began)
			if err == nil {
				revision = r.Header.GetRevision()
			}
			return err
		},
		func(ctx context.Context) (err error) {
			own, err = e.cluster.MemberList(ctx, clientv3.WithSerializable())
			return err
		},
		func(ctx context.Context) (err error) {
			agreed, err = e.cluster.MemberList(clientv3.WithRequireLeader(ctx))
			return err
		},
	}
	errs := remote.Each(questions, func(_ int, q func(context.Context) error) error {
		return e.call(ctx, limit, q)
	})
	if errs[0] != nil {
		a.facts.Error = remote.Clean(errs[0].Error())
	} else {
		a.facts.fillStatus(status)
	}
	// Permission denied is an answer that went through consensus: healthy, by
	// etcdctl's own rule.
	a.facts.Healthy = errs[1] == nil || errors.Is(errs[1], rpctypes.ErrPermissionDenied)
	a.facts.TookMillis = took.Milliseconds()
	a.facts.Revision = max(a.facts.Revision, revision)
	if !a.facts.Healthy {
		a.facts.HealthError = remote.Clean(errs[1].Error())
	}
	if errs[2] == nil {
		a.facts.OwnMembers, a.facts.OwnMembersFrom = membersOf(own), "local"
	}
	if errs[3] == nil && a.confirms() {
		a.confirmed = membersOf(agreed)
	}
	return a
}

// confirms reports whether a linearizable member list of this endpoint is
// really one: 3.4 answers from its own view (facts-etcd, "Versions").
func (a answer) confirms() bool {
	v, ok := ParseVersion(a.facts.Version)
	return ok && v.AtLeast(3, 5, 0) && a.facts.Healthy
}

func (f *EndpointFacts) fillStatus(response *clientv3.StatusResponse) {
	s := (*pb.StatusResponse)(response)
	f.Answers = true
	h := s.GetHeader()
	f.ClusterID, f.MemberID = hexID(h.GetClusterId()), hexID(h.GetMemberId())
	f.Revision, f.RaftTerm = h.GetRevision(), s.GetRaftTerm()
	f.Version = remote.Clean(s.GetVersion())
	if s.GetLeader() != 0 {
		f.LeaderID = hexID(s.GetLeader())
	}
	f.Learner = s.GetIsLearner()
	f.RaftIndex, f.Applied = s.GetRaftIndex(), s.GetRaftAppliedIndex()
	f.DBSize, f.DBSizeInUse, f.DBSizeQuota = s.GetDbSize(), s.GetDbSizeInUse(), s.GetDbSizeQuota()
	for i, e := range s.GetErrors() {
		if i >= 50 {
			break
		}
		f.Errors = append(f.Errors, clip(remote.Clean(e)))
		if member, alarm, ok := parseAlarm(e); ok && member == h.GetMemberId() {
			f.Alarms = append(f.Alarms, alarm)
		}
	}
}

// alarmText is an alarm in the errors of a status ("memberID:123 alarm:NOSPACE").
// It is read there because asking for the alarms themselves goes through the
// raft log: it would write, and hang without quorum.
var alarmText = regexp.MustCompile(`^memberID:\s*(\d+)\s+alarm:\s*([A-Z]+)`)

func parseAlarm(s string) (member uint64, alarm string, ok bool) {
	m := alarmText.FindStringSubmatch(s)
	if m == nil {
		return 0, "", false
	}
	id, err := strconv.ParseUint(m[1], 10, 64)
	return id, m[2], err == nil
}

// hash asks for the hash of all keys and values at a revision.
func (e *endpoint) hash(ctx context.Context, limit time.Duration, revision int64) (hash string, compact int64, err error) {
	err = e.call(ctx, limit, func(ctx context.Context) error {
		r, err := e.maintenance.HashKV(ctx, e.url, revision)
		if err == nil {
			hash, compact = hexHash(r.Hash), r.CompactRevision
		}
		return err
	})
	return hash, compact, err
}

// countKeys counts all keys as they were at a revision, 0 for now: from "\0" to
// the end is etcd's way to say that.
func (e *endpoint) countKeys(ctx context.Context, limit time.Duration, revision int64) (n int64, err error) {
	err = e.call(ctx, limit, func(ctx context.Context) error {
		r, err := e.kv.Get(clientv3.WithRequireLeader(ctx), "\x00", clientv3.WithFromKey(), clientv3.WithCountOnly(), clientv3.WithRev(revision))
		if err == nil {
			n = r.Count
		}
		return err
	})
	if errors.Is(err, rpctypes.ErrCompacted) {
		err = fmt.Errorf("%w: %w", ErrCompacted, err)
	}
	return n, err
}

func membersOf(r *clientv3.MemberListResponse) []Member {
	var members []Member
	for _, m := range r.Members {
		members = append(members, cleanMember(Member{
			ID: hexID(m.GetID()), Name: m.GetName(), PeerURLs: m.GetPeerURLs(), ClientURLs: m.GetClientURLs(),
			Learner: m.GetIsLearner(),
		}))
	}
	return members
}

// cleanMember makes what a member said of itself safe to show.
func cleanMember(m Member) Member {
	m.Name = remote.Clean(m.Name)
	for _, list := range [][]string{m.PeerURLs, m.ClientURLs} {
		for i := range list {
			list[i] = strings.TrimSpace(remote.Clean(list[i]))
		}
	}
	return m
}
