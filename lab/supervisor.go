package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// orders is what Up writes to the supervisor's standard input, one JSON line.
// The pipe stays open: its end tells that the caller is gone.
type orders struct {
	Dir       string `json:"dir"`
	Created   bool   `json:"created"`
	Nodes     int    `json:"nodes"`
	Cluster   string `json:"cluster"`
	Keys      int    `json:"keys"`
	Owned     bool   `json:"owned"`
	UnitInEtc bool   `json:"unit_in_etc"`
}

// verdict is what the supervisor writes back on descriptor 3 when the lab is
// healthy, or has failed.
type verdict struct {
	Error string `json:"error,omitempty"`
}

// Time limits of coming up. They are for machines under heavy load; an idle one
// with two cores takes less than 3 s altogether.
const (
	bootTime   = 90 * time.Second
	healthTime = time.Second // of one member's answer to Status
)

// supervisor is the running lab.
type supervisor struct {
	orders
	exe      string
	nodes    []*node
	servers  []*sshServer
	control  *controlServer
	guard    *guard
	lifeline *os.File // write end: closing it ends every etcd
	file     labFile

	snapshotMu sync.Mutex // boot writes while a client may ask already
	snapshot   SnapshotInfo

	down    context.CancelFunc // ends the lab
	wg      sync.WaitGroup
	breakMu sync.Mutex // one fault at a time

	logMu sync.Mutex
	logTo io.Writer
}

// playSupervisor is the supervisor's main.
func playSupervisor() int {
	var o orders
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		fmt.Fprintln(os.Stderr, "lab supervisor: reading the orders:", err)
		return 2
	}
	report := os.NewFile(3, "report")
	syscall.CloseOnExec(3)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	// Caught and dropped, not ignored: what is ignored stays ignored in every
	// process that is started from here, and a shell needs its SIGHUP.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	defer cancel()
	s := &supervisor{orders: o, down: cancel, logTo: os.Stderr}

	ready := make(chan struct{})
	s.wg.Add(1)
	go func() { // until the process ends; the pipe has no other reader
		defer s.wg.Done()
		defer s.recovered("owner watch")
		s.watchOwner(ctx, ready)
	}()
	err := s.boot(ctx)
	if err == nil {
		// First, because the caller may end as soon as it has the verdict. One
		// that is gone already takes no verdict, and nobody knows of the lab.
		close(ready)
		if json.NewEncoder(report).Encode(verdict{}) == nil {
			_ = report.Close()
			<-ctx.Done()
			s.logf("taking the lab down")
		}
		s.takeDown()
		return 0
	}
	s.takeDown()
	if err != nil {
		_ = json.NewEncoder(report).Encode(verdict{Error: err.Error()})
	}
	return 1
}

// watchOwner ends the lab when the caller of Up dies before the lab is ready,
// and later too when it owns the lab.
func (s *supervisor) watchOwner(ctx context.Context, ready <-chan struct{}) {
	ended := make(chan struct{})
	go func() { // ends with the process or with the pipe
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case <-ctx.Done():
		return
	case <-ended:
	}
	select {
	case <-ready:
		if !s.Owned {
			return
		}
	default:
	}
	s.logf("the caller is gone")
	s.down()
}

func (s *supervisor) logf(format string, args ...any) {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	fmt.Fprintf(s.logTo, time.Now().Format("2006-01-02 15:04:05.000 ")+format+"\n", args...)
}

func (s *supervisor) recovered(what string) {
	if r := recover(); r != nil {
		s.logf("panic in %s: %v", what, r)
	}
}

// boot makes the lab and returns when every member is healthy and all data is
// in place.
func (s *supervisor) boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	exe, err := executable()
	if err != nil {
		return err
	}
	s.exe = exe
	if err := os.Chdir(s.Dir); err != nil { // for the notify sockets' short paths
		return fmt.Errorf("entering the lab's folder: %w", err)
	}
	if s.guard, err = startGuard(exe, s.Dir); err != nil {
		return fmt.Errorf("starting the guard: %w", err)
	}
	// Data is made while etcd starts.
	made := make(chan dataset, 1)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer close(made)
		defer s.recovered("data set")
		made <- makeDataset(s.Keys, uint64(os.Getpid()))
	}()
	if err := s.build(); err != nil {
		return err
	}
	s.logf("laid out")
	s.serve()
	if err := s.startMembers(ctx); err != nil {
		return err
	}
	if err := s.waitUp(ctx); err != nil {
		return err
	}
	s.logf("members are up")
	data, ok := <-made
	if !ok {
		return errors.New("making the data failed, see supervisor.log")
	}
	infos := s.infos()
	info, err := seed(ctx, infos, filepath.Join(s.Dir, dirState), data)
	if err != nil {
		return fmt.Errorf("filling the cluster: %w", err)
	}
	s.snapshotMu.Lock()
	s.snapshot = info
	s.snapshotMu.Unlock()
	s.logf("filled")
	return s.waitHealthy(ctx)
}

// executable is the path of this program without links.
func executable() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return exe, nil
}

// build lays every node's folder and opens every port.
func (s *supervisor) build() error {
	base, control, sshListeners, err := claimPorts(s.Nodes)
	if err != nil {
		return err
	}
	infos := planNodes(s.Dir, s.Nodes, base)
	s.file = labFile{
		Schema: statusSchema, PID: os.Getpid(), Port: base + portControl, Token: randomHex(16),
		Cluster: s.Cluster, Nodes: infos, Created: s.Created,
	}
	if err := s.file.write(s.Dir); err != nil {
		return err
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	user, err := newKey(filepath.Join(s.Dir, fileKey), sshUser+"@"+s.Cluster)
	if err != nil {
		return err
	}
	child, held, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("opening the lifeline: %w", err)
	}
	s.lifeline = held
	var keys []ssh.PublicKey
	for i, info := range infos {
		hostKey, err := layNode(info, infos, ca, s.exe, s.UnitInEtc)
		if err != nil {
			return err
		}
		keys = append(keys, hostKey.PublicKey())
		n, err := newNode(info, hostKey)
		if err != nil {
			return err
		}
		u, err := newUnit(s.Dir, info.Root, unitEtcd, n.journal, child)
		if err != nil {
			return err
		}
		u.onReady = n.clearFaults
		n.units[unitEtcd] = u
		s.nodes = append(s.nodes, n)
		s.servers = append(s.servers, newSSHServer(n, s.Dir, sshListeners[i], user.PublicKey(), s.logf))
	}
	s.control = &controlServer{listener: control, token: s.file.Token, handle: s.handle, log: s.logf}
	return layCluster(s.Dir, s.Cluster, infos, keys)
}

func (s *supervisor) infos() []nodeInfo {
	infos := make([]nodeInfo, len(s.nodes))
	for i, n := range s.nodes {
		infos[i] = n.nodeInfo
	}
	return infos
}

// serve opens the doors: the SSH servers and the control port. Its clients are
// cancelled when the lab goes down.
func (s *supervisor) serve() {
	for _, server := range s.servers {
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer s.recovered("SSH server")
			server.serve()
		}()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.control.cancel = cancel
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer s.recovered("control port")
		s.control.serve(ctx)
	}()
}

// startMembers starts the first member alone and the others when it has asked
// its peers whether the cluster exists already. Started together, each could
// find the others' ports open and not yet served, and wait a second for an
// answer (etcd 3.7, server/etcdserver/cluster_util.go).
func (s *supervisor) startMembers(ctx context.Context) error {
	for i, n := range s.nodes {
		n.etcd().do(func(m *machine) { m.Start(newJob()) })
		for i == 0 {
			entries, changed := n.journal.since(0)
			st, _ := n.etcd().state()
			if st.Sub != subStart || slices.ContainsFunc(entries, func(e entry) bool {
				return strings.Contains(e.Message, "bootstrapping raft")
			}) {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return fmt.Errorf("%s did not start: %w%s", n.Name, ctx.Err(), lastWords(n.journal))
			}
		}
	}
	return nil
}

// waitUp waits until systemd would call every unit active.
func (s *supervisor) waitUp(ctx context.Context) error {
	for _, n := range s.nodes {
		failed := func(st unitState) bool { return st.Sub == subAutoRestart || st.Sub == subFailed }
		err := n.etcd().wait(ctx, func(st unitState) bool { return st.Sub == subRunning || failed(st) })
		if err != nil {
			return fmt.Errorf("%s did not come up: %w%s", n.Name, err, lastWords(n.journal))
		}
		if st, _ := n.etcd().state(); failed(st) {
			return fmt.Errorf("etcd on %s ended at once (%s)%s", n.Name, st.Result, lastWords(n.journal))
		}
	}
	return nil
}

// lastWords is the end of a journal, for an error about the node.
func lastWords(j *journal) string {
	entries, _ := j.since(0)
	out := ""
	for _, e := range entries[max(0, len(entries)-5):] {
		out += "\n  " + e.Identifier + ": " + e.Message
	}
	return out
}

// waitHealthy waits until every member answers a linearizable read.
func (s *supervisor) waitHealthy(ctx context.Context) error {
	for {
		states := s.health(ctx, s.nodes)
		bad := ""
		for i, h := range states {
			if !h.Healthy {
				bad += " " + s.nodes[i].Name + ": " + h.Error
			}
		}
		if bad == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not healthy:%s: %w", bad, ctx.Err())
		case <-time.After(poll):
		}
	}
}
