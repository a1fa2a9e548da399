package ssh

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// waitDelay is how long the output of a killed local program is waited for.
const waitDelay = 500 * time.Millisecond

// proxyConn is the connection that a ProxyCommand makes out of its standard
// input and output.
type proxyConn struct {
	cmd    *exec.Cmd
	in     *os.File // what the program reads
	out    *os.File // what the program writes
	stderr *capped
	once   sync.Once
}

// dialProxy starts a ProxyCommand. Its tokens are expanded already; the shell
// runs it as ssh would, replaced by the program so that a signal reaches it.
func dialProxy(command string) (net.Conn, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		closeFiles(theirIn, in)
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	c := &proxyConn{in: in, out: out, stderr: &capped{limit: 4 << 10}}
	c.cmd = exec.Command("/bin/sh", "-c", "exec "+command) //nolint:gosec // the user's own ssh_config
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = waitDelay
	err = c.cmd.Start()
	closeFiles(theirIn, theirOut)
	if err != nil {
		closeFiles(in, out)
		return nil, fmt.Errorf("starting the ProxyCommand: %w", err)
	}
	return c, nil
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // a pipe that nobody uses any more
	}
}

func (c *proxyConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *proxyConn) Write(p []byte) (int, error) { return c.in.Write(p) }

// Close ends the program with everything that it started, and waits for it.
func (c *proxyConn) Close() error {
	c.once.Do(func() {
		closeFiles(c.in, c.out)
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
		_ = c.cmd.Wait()                                      // killed, so its status says nothing
	})
	return nil
}

type proxyAddr struct{}

func (proxyAddr) Network() string { return "proxy" }
func (proxyAddr) String() string  { return "0.0.0.0:0" }

func (c *proxyConn) LocalAddr() net.Addr                { return proxyAddr{} }
func (c *proxyConn) RemoteAddr() net.Addr               { return proxyAddr{} }
func (c *proxyConn) SetReadDeadline(t time.Time) error  { return c.out.SetReadDeadline(t) }
func (c *proxyConn) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

func (c *proxyConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// capped keeps the first limit bytes of what is written to it and takes the rest
// without an error.
type capped struct {
	mu    sync.Mutex
	limit int
	buf   []byte
}

func (b *capped) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := b.limit - len(b.buf); room > 0 {
		b.buf = append(b.buf, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (b *capped) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]byte(nil), b.buf...)
}

// dialTCP connects with the deadline of ctx.
func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, "tcp", addr)
}
