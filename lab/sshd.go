package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Bounds of a node's SSH server. maxSessions is OpenSSH's default.
const (
	sshMaxConns    = 64
	sshMaxSessions = 10
	sshMaxForwards = 128
	sshLoginTime   = 20 * time.Second
)

// sshServer is one node's SSH server.
type sshServer struct {
	node     *node
	lab      string
	listener net.Listener
	config   *ssh.ServerConfig
	log      func(format string, args ...any)

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup // connections
	procs  procSet        // commands that may outlive their connection
}

// newSSHServer makes a server that lets user ops in with the lab's key alone.
func newSSHServer(n *node, lab string, l net.Listener, user ssh.PublicKey, log func(string, ...any)) *sshServer {
	s := &sshServer{node: n, lab: lab, listener: l, log: log, conns: map[net.Conn]struct{}{}}
	s.procs.init()
	s.config = &ssh.ServerConfig{
		MaxAuthTries:  6,
		ServerVersion: "SSH-2.0-novatui_lab",
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() != sshUser || !bytes.Equal(key.Marshal(), user.Marshal()) {
				return nil, errors.New("not the lab's key")
			}
			return &ssh.Permissions{}, nil
		},
	}
	s.config.AddHostKey(n.hostKey)
	return s
}

// serve accepts connections until close.
func (s *sshServer) serve() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			time.Sleep(poll) // out of descriptors: let some be freed
			continue
		}
		if !s.enter(conn) {
			_ = conn.Close()
			continue
		}
		go func() {
			defer s.wg.Done()
			defer s.leave(conn)
			defer s.recovered("connection")
			s.connection(conn)
		}()
	}
	s.wg.Wait()
}

// enter registers a connection unless there are too many.
func (s *sshServer) enter(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= sshMaxConns {
		return false
	}
	s.conns[conn] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *sshServer) leave(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// close ends every connection and kills what their sessions started.
func (s *sshServer) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.procs.killAll()
	s.wg.Wait()
	s.procs.wait()
}

func (s *sshServer) recovered(what string) {
	if r := recover(); r != nil {
		s.log("%s: panic in an SSH %s: %v", s.node.Name, what, r)
	}
}

// sshConn is one logged-in connection.
type sshConn struct {
	server   *sshServer
	conn     *ssh.ServerConn
	sessions chan struct{}
	forwards chan struct{}
	wg       sync.WaitGroup
}

func (s *sshServer) connection(raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(sshLoginTime))
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	defer conn.Close()
	c := &sshConn{
		server: s, conn: conn,
		sessions: make(chan struct{}, sshMaxSessions), forwards: make(chan struct{}, sshMaxForwards),
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer s.recovered("request")
		// Keepalives want an answer; like sshd's, it is a refusal.
		ssh.DiscardRequests(requests)
	}()
	for ch := range channels {
		c.open(ch)
	}
	c.wg.Wait()
}

// open starts serving one channel, or refuses it.
func (c *sshConn) open(ch ssh.NewChannel) {
	var places chan struct{}
	var serve func(ssh.NewChannel)
	switch ch.ChannelType() {
	case "session":
		places, serve = c.sessions, c.session
	case "direct-tcpip":
		places, serve = c.forwards, c.forward
	default:
		_ = ch.Reject(ssh.UnknownChannelType, "unknown channel type")
		return
	}
	select {
	case places <- struct{}{}:
	default:
		_ = ch.Reject(ssh.ResourceShortage, "open failed")
		return
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer func() { <-places }()
		defer c.server.recovered("channel")
		serve(ch)
	}()
}

// forward is direct-tcpip: a connection from the node, to loopback only.
func (c *sshConn) forward(ch ssh.NewChannel) {
	var target struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &target); err != nil || target.Port > 65535 {
		_ = ch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	ip := net.ParseIP(target.Host)
	if target.Host == "localhost" {
		ip = net.IPv4(127, 0, 0, 1)
	}
	if ip == nil || !ip.IsLoopback() {
		_ = ch.Reject(ssh.Prohibited, "administratively prohibited: the lab forwards to loopback only")
		return
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip.String(), fmt.Sprint(target.Port)))
	if err != nil {
		_ = ch.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer out.Close()
	in, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer in.Close()
	tcp, _ := out.(*net.TCPConn)
	ended, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer c.server.recovered("forward")
		// The requests end with the channel, also when the client is killed.
		ssh.DiscardRequests(requests)
		_ = out.Close()
	}()
	go func() {
		defer close(sent)
		defer c.server.recovered("forward")
		_, _ = io.Copy(out, in)
		_ = tcp.CloseWrite()
	}()
	_, _ = io.Copy(in, out)
	_ = in.CloseWrite()
	<-sent
	_ = in.Close()
	<-ended
}
