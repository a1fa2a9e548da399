package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// testContext ends before the test binary's own limit and is long enough for
// the race detector on a busy machine.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newLab brings a lab up for one test.
func newLab(t *testing.T, o Options) *Lab {
	t.Helper()
	o.OwnedByCaller = true
	l, err := Up(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// dial logs in to a node with what the cluster file names, host key checked.
func dial(t *testing.T, l *Lab, name string) *ssh.Client {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(l.Dir(), fileKey))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	check, err := knownhosts.New(filepath.Join(l.Dir(), fileKnownHosts))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(nodeOf(t, l, name).SSHPort)), &ssh.ClientConfig{
		User: sshUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: check, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func nodeOf(t *testing.T, l *Lab, name string) nodeInfo {
	t.Helper()
	for _, n := range l.file.Nodes {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no node %s", name)
	return nodeInfo{}
}

// answer is what a command over SSH answered.
type answer struct {
	code     int
	out, err string
}

func run(t *testing.T, c *ssh.Client, line string) answer {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	err = s.Run(line)
	a := answer{out: out.String(), err: errs.String()}
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		a.code = exit.ExitStatus()
		if exit.Signal() != "" {
			a.code = -1
			a.err += "signal " + exit.Signal()
		}
	case err != nil:
		t.Fatalf("%s: %v", line, err)
	}
	return a
}

// expect runs a command and compares exit status and parts of the output.
func expect(t *testing.T, c *ssh.Client, line string, code int, parts ...string) answer {
	t.Helper()
	a := run(t, c, line)
	if a.code != code {
		t.Errorf("%s: exit %d, want %d\nstdout: %s\nstderr: %s", line, a.code, code, a.out, a.err)
	}
	for _, p := range parts {
		if !strings.Contains(a.out+a.err, p) {
			t.Errorf("%s: no %q in\nstdout: %s\nstderr: %s", line, p, a.out, a.err)
		}
	}
	return a
}

// sessions are the processes of one node's SSH sessions, of this lab alone.
func sessions(l *Lab, name string) []int {
	onNode := markedProcesses(envNode + "=" + name)
	return slices.DeleteFunc(markedProcesses(envLab+"="+l.Dir()), func(pid int) bool { return !slices.Contains(onNode, pid) })
}

// status is the lab's status, by node.
func status(t *testing.T, l *Lab) map[string]NodeStatus {
	t.Helper()
	s, err := l.Status(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]NodeStatus{}
	for _, n := range s.Nodes {
		nodes[n.Name] = n
	}
	return nodes
}

// eventually waits for a condition on the lab's status.
func eventually(t *testing.T, l *Lab, what string, cond func(map[string]NodeStatus) bool) {
	t.Helper()
	var last map[string]NodeStatus
	if !until(time.Minute, func() bool { last = status(t, l); return cond(last) }) {
		t.Fatalf("never: %s\n%s", what, describe(last))
	}
}

func describe(nodes map[string]NodeStatus) string {
	out := ""
	for name, n := range nodes {
		out += fmt.Sprintf("%s: %+v %+v %+v\n", name, n.Unit, n.Etcd, n.Faults)
	}
	return out
}

func healthy(names ...string) func(map[string]NodeStatus) bool {
	return func(nodes map[string]NodeStatus) bool {
		for _, name := range names {
			if !nodes[name].Etcd.Healthy {
				return false
			}
		}
		return true
	}
}
