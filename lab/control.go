package lab

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// labFile is DIR/.lab/lab.json: how to reach the supervisor, and what to clean
// up when it cannot be reached. Only the lab's owner can read it.
type labFile struct {
	Schema  string     `json:"schema"`
	PID     int        `json:"pid"`
	Port    int        `json:"port"`
	Token   string     `json:"token"`
	Cluster string     `json:"cluster"`
	Nodes   []nodeInfo `json:"nodes"`
	// Created says that Up made the folder, so Down takes it away.
	Created bool `json:"created"`
}

func labFilePath(dir string) string { return filepath.Join(dir, dirState, "lab.json") }

func (f labFile) write(dir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	temp := labFilePath(dir) + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return fmt.Errorf("writing lab.json: %w", err)
	}
	if err := os.Rename(temp, labFilePath(dir)); err != nil {
		return fmt.Errorf("writing lab.json: %w", err)
	}
	return nil
}

func readLabFile(dir string) (labFile, error) {
	var f labFile
	b, err := os.ReadFile(labFilePath(dir))
	if err != nil {
		return f, fmt.Errorf("reading lab.json: %w", err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("reading lab.json: %w", err)
	}
	return f, nil
}

// Operations of the control port.
const (
	opTool   = "tool"
	opStatus = "status"
	opBreak  = "break"
	opDown   = "down"
)

// request is the one line that a client of the control port sends. Ending the
// connection cancels it.
type request struct {
	Token string   `json:"token"`
	Op    string   `json:"op"`
	Node  string   `json:"node,omitempty"`
	Tool  string   `json:"tool,omitempty"`
	Args  []string `json:"args,omitempty"`
	Fault string   `json:"fault,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
}

// reply is one of the lines that come back; the last one has Done.
type reply struct {
	Out    []byte          `json:"out,omitempty"`
	Err    []byte          `json:"err,omitempty"`
	Done   bool            `json:"done,omitempty"`
	Exit   int             `json:"exit,omitempty"`
	Error  string          `json:"error,omitempty"`
	Kind   string          `json:"kind,omitempty"` // of Error, for errors.Is
	Result json.RawMessage `json:"result,omitempty"`
}

// Bounds of the control port.
const (
	maxRequest  = 1 << 20
	maxClients  = 256
	requestTime = 10 * time.Second // to send the request
	replyTime   = 30 * time.Second // to take one line of the answer
)

// controlServer answers the control port.
type controlServer struct {
	listener net.Listener
	token    string
	handle   func(ctx context.Context, r request, w *replyWriter) reply
	log      func(format string, args ...any)
	cancel   context.CancelFunc // ends every request
	wg       sync.WaitGroup
}

// serve runs until the listener is closed and every client is done; clients are
// cancelled through ctx.
func (c *controlServer) serve(ctx context.Context) {
	places := make(chan struct{}, maxClients)
	for {
		conn, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			time.Sleep(poll) // out of descriptors: let some be freed
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			defer func() { <-places }()
			defer func() {
				if r := recover(); r != nil {
					c.log("panic in a control request: %v", r)
				}
			}()
			defer conn.Close()
			c.client(ctx, conn)
		}()
	}
	c.wg.Wait()
}

func (c *controlServer) client(ctx context.Context, conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(requestTime))
	var r request
	if err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&r); err != nil {
		return
	}
	w := &replyWriter{conn: conn, enc: json.NewEncoder(conn)}
	if subtle.ConstantTimeCompare([]byte(r.Token), []byte(c.token)) != 1 {
		w.send(reply{Done: true, Error: "wrong token", Exit: exitFailure})
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		defer func() { _ = recover() }()
		_, _ = io.Copy(io.Discard, conn) // a client says nothing more until it goes
		cancel()
	}()
	last := c.handle(ctx, r, w)
	last.Done = true
	w.send(last)
	cancel()
	_ = conn.Close()
	<-watch
}

// replyWriter sends lines; its out and err are writers of the two streams.
type replyWriter struct {
	mu   sync.Mutex
	conn net.Conn
	enc  *json.Encoder
	fail error
}

func (w *replyWriter) send(r reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(replyTime))
	w.fail = w.enc.Encode(r)
}

func (w *replyWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fail
}

type outWriter struct{ *replyWriter }

func (w outWriter) Write(b []byte) (int, error) {
	w.send(reply{Out: b})
	return len(b), w.failed()
}

type errWriter struct{ *replyWriter }

func (w errWriter) Write(b []byte) (int, error) {
	w.send(reply{Err: b})
	return len(b), w.failed()
}

// call sends a request to the supervisor of the lab and passes its streams on.
func (f labFile) call(ctx context.Context, r request, stdout, stderr io.Writer) (reply, error) {
	r.Token = f.Token
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", f.Port))
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return reply{}, fmt.Errorf("asking the lab: %w", err)
	}
	dec := json.NewDecoder(conn)
	for {
		var answer reply
		if err := dec.Decode(&answer); err != nil {
			if ctx.Err() != nil {
				return reply{}, fmt.Errorf("asking the lab: %w", ctx.Err())
			}
			return reply{}, fmt.Errorf("%w: the supervisor went away: %w", ErrNotRunning, err)
		}
		if _, err := stdout.Write(answer.Out); err != nil {
			return reply{}, err
		}
		if _, err := stderr.Write(answer.Err); err != nil {
			return reply{}, err
		}
		if answer.Done {
			return answer, answer.err()
		}
	}
}

func (r reply) err() error {
	if r.Error == "" {
		return nil
	}
	for kind, err := range errorKinds {
		if kind == r.Kind {
			return fmt.Errorf("%w: %s", err, r.Error)
		}
	}
	return errors.New(r.Error)
}

// errorKinds are the sentinels that cross the control port.
var errorKinds = map[string]error{"unknown-fault": ErrUnknownFault, "bad-nodes": ErrBadNodes, "no-effect": ErrNoEffect}

// failure is a reply that carries an error.
func failure(err error) reply {
	r := reply{Error: err.Error(), Exit: exitFailure}
	for kind, sentinel := range errorKinds {
		if errors.Is(err, sentinel) {
			r.Kind = kind
		}
	}
	return r
}

// playShim is systemctl or journalctl inside an SSH session: it asks the
// supervisor of the lab that the environment names, or that the link lies in.
func playShim(tool string, args []string) int {
	dir, name := os.Getenv(envLab), os.Getenv(envNode)
	if (dir == "" || name == "") && filepath.IsAbs(args[0]) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(args[0]))) // ROOT/usr/bin/systemctl
		dir, name = filepath.Dir(root), filepath.Base(root)
	}
	f, err := readLabFile(dir)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: this is not a node of a lab: %v\n", tool, err)
		return exitFailure
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if tool == "journalctl" {
		// As in systemd since 246: following ends when nobody reads any more. The
		// goroutine belongs to the process.
		go func() {
			defer func() { _ = recover() }()
			waitForHangup(os.Stdout)
			cancel()
		}()
	}
	answer, err := f.call(ctx, request{Op: opTool, Node: name, Tool: tool, Args: args[1:]}, os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		return exitFailure
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "Failed to connect to bus: %v\n", err)
		return exitFailure
	}
	return answer.Exit
}

// waitForHangup returns when the other side of an output is closed.
func waitForHangup(f *os.File) {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	for {
		_, err := unix.Poll(fds, -1)
		if !errors.Is(err, unix.EINTR) && (err != nil || fds[0].Revents != 0) {
			return
		}
	}
}
