//go:build e2e && linux

package samples

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The namespaces: the operator's, which holds the bridge, and one a member.
const (
	spacePrefix = "nvs-"
	hub         = spacePrefix + "hub"
)

func memberSpace(i int) string { return spacePrefix + strconv.Itoa(i+1) }
func cable(i int) string       { return "nvsport" + strconv.Itoa(i+1) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tool runs a command of this machine.
func tool(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// layNetwork connects n member namespaces to the hub's bridge. prefix is the
// first three numbers of the addresses with the last dot.
func layNetwork(t *testing.T, prefix string, n int) {
	t.Helper()
	sweepNetwork(t)
	t.Cleanup(func() { sweepNetwork(t) })
	ip := func(space string, args ...string) { tool(t, append([]string{"ip", "-n", space}, args...)...) }
	tool(t, "ip", "netns", "add", hub)
	ip(hub, "link", "set", "lo", "up")
	ip(hub, "link", "add", "br0", "type", "bridge")
	ip(hub, "addr", "add", prefix+"1/24", "dev", "br0")
	ip(hub, "link", "set", "br0", "up")
	for i := range n {
		s := memberSpace(i)
		tool(t, "ip", "netns", "add", s)
		ip(hub, "link", "add", cable(i), "type", "veth", "peer", "name", "eth0", "netns", s)
		ip(hub, "link", "set", cable(i), "master", "br0", "up")
		ip(s, "link", "set", "lo", "up")
		ip(s, "addr", "add", prefix+strconv.Itoa(11+i)+"/24", "dev", "eth0")
		ip(s, "link", "set", "eth0", "up")
		ip(s, "route", "add", "default", "via", prefix+"1")
	}
}

// sweepNetwork removes the namespaces and ends what still runs in them.
func sweepNetwork(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir("/run/netns")
	if err != nil {
		return // no namespace was ever made
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), spacePrefix) {
			continue
		}
		for _, f := range strings.Fields(tool(t, "ip", "netns", "pids", e.Name())) {
			if pid, err := strconv.Atoi(f); err == nil && pid != os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		tool(t, "ip", "netns", "del", e.Name())
	}
}

// The main thread stays with the main goroutine, so that inSpace never takes it
// into a namespace: a process is where its main thread is.
func init() { runtime.LockOSThread() }

// inSpace runs f on a thread that is in a network namespace: sockets that f
// makes and processes that it starts belong there.
func inSpace(space string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/run/netns/" + space)
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = ns.Close() }()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering %s: %w", space, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects from the hub.
func dial(ctx context.Context, address string) (conn net.Conn, err error) {
	err = inSpace(hub, func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp4", address)
		return err
	})
	return conn, err
}

// listen listens in a namespace until the test ends.
func listen(t *testing.T, space, address string) net.Listener {
	t.Helper()
	var l net.Listener
	must(t, inSpace(space, func() (err error) { l, err = net.Listen("tcp4", address); return err }))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// nameServer answers DNS queries at the hub, each with the response code (3 is
// "no such name", 2 is "server failed"); code -1 never answers.
func nameServer(t *testing.T, address string, code int) {
	t.Helper()
	var c net.PacketConn
	must(t, inSpace(hub, func() (err error) { c, err = net.ListenPacket("udp4", address+":53"); return err }))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return // closed
			}
			if code < 0 || n < 12 {
				continue
			}
			b[2], b[3] = 0x81, 0x80|byte(code)
			clear(b[6:12]) // no answers, no additional records
			end := 12      // after the question
			for end < n && b[end] != 0 {
				end += int(b[end]) + 1
			}
			_, _ = c.WriteTo(b[:min(n, end+5)], from)
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
}
