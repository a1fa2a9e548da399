//go:build e2e && linux

package hosts

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The operator's namespace, in which novatui and the judges run, and the
// prefix of all namespaces. The addresses exist in them only.
const (
	spacePrefix   = "nvt-"
	operatorSpace = spacePrefix + "operator"
	network       = "10.77.0."
)

// layNetwork makes a bridge in the operator's namespace and connects every
// node to it by a cable: port is its end at the bridge, eth0 the other.
func layNetwork(ctx context.Context, nodes []*node) error {
	ip := func(space string, commands ...string) error {
		c := exec.CommandContext(ctx, "ip", "-batch", "-")
		if space != "" {
			c = exec.CommandContext(ctx, "ip", "-n", space, "-batch", "-")
		}
		c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
		return quiet(c)
	}
	spaces, cables := []string{"netns add " + operatorSpace}, []string{
		"link set lo up", "link add br0 type bridge", "addr add " + network + "1/24 dev br0", "link set br0 up",
	}
	for _, n := range nodes {
		spaces = append(spaces, "netns add "+n.space())
		cables = append(cables,
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", n.port(), n.space()),
			fmt.Sprintf("link set %s master br0 up", n.port()))
	}
	if err := ip("", spaces...); err != nil {
		return err
	}
	if err := ip(operatorSpace, cables...); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := ip(n.space(), "link set lo up", "addr add "+n.address+"/24 dev eth0", "link set eth0 up"); err != nil {
			return err
		}
	}
	return nil
}

// inSpace is a command that runs in a network namespace. The process that is
// started becomes the command: signals and exit status are its own.
func inSpace(ctx context.Context, space string, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + space, "--"}, argv...)...)
}

// dial connects from the operator's namespace. A socket belongs to the
// namespace in which it was made, so only the making runs there, on a thread
// of its own that ends with it.
func dial(ctx context.Context, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() { // ends with ctx, as the dial does
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		space, err := os.Open("/run/netns/" + operatorSpace)
		if err != nil {
			done <- result{err: err}
			return
		}
		defer func() { _ = space.Close() }()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("entering the operator's network: %w", err)}
			return
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp4", address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
