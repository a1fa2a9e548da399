//go:build e2e && linux

package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// operatorDir is the operator's home: the key, known_hosts, the cluster file
// and, in state, what novatui writes.
const operatorDir = stateDir + "/operator"

// layOperator writes the operator's files.
func (h *Hosts) layOperator(key []byte) error {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: %s\nenvironment: staging\nplatform: systemd\nnodes:\n", ClusterName)
	for _, n := range h.nodes {
		fmt.Fprintf(&b, "  - { name: %s, address: %s }\n", n.name, n.address)
	}
	user := "root"
	if h.options.Sudo {
		user = sudoUser
	}
	fmt.Fprintf(&b, "ssh:\n  user: %s\n  identity_files: [ %s/id_ed25519 ]\n  known_hosts: [ %s/known_hosts ]\n",
		user, operatorDir, operatorDir)
	fmt.Fprintf(&b, "etcd: { unit: %s, env_file: %s, bin_dir: /opt/etcd }\nsnapshots: [ { dir: /tmp }, { dir: %s } ]\n",
		etcdUnit, envPath, backupDir)
	l := layer{dir: operatorDir}
	l.write("id_ed25519", string(key), 0o600)
	l.write("known_hosts", h.knownHosts, 0o644)
	l.write("novatui.yaml", b.String(), 0o644)
	return l.err
}

// Command is novatui as the operator runs it; ctx's end kills it.
func (h *Hosts) Command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	argv := append([]string{h.program, "--cluster", filepath.Join(operatorDir, "novatui.yaml")}, args...)
	c := inSpace(ctx, operatorSpace, argv...)
	state := filepath.Join(operatorDir, "state")
	c.Env = append(os.Environ(), append([]string{
		"HOME=" + operatorDir, "XDG_STATE_HOME=" + state, "XDG_CONFIG_HOME=" + state, "XDG_CACHE_HOME=" + state,
		"LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=",
	}, env...)...)
	c.WaitDelay = 5 * time.Second
	return c
}

// Novatui implements suite.World.
func (h *Hosts) Novatui(ctx context.Context, env []string, args ...string) suite.Answer {
	c := h.Command(ctx, env, args...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	a := suite.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: -1}
	if c.ProcessState != nil {
		a.Exit = c.ProcessState.ExitCode()
	}
	if err != nil && a.Exit == 0 {
		a.Exit = -1
	}
	return a
}

// Cluster implements suite.World.
func (h *Hosts) Cluster() string { return ClusterName }

// Nodes implements suite.World.
func (h *Hosts) Nodes() []string {
	names := make([]string, len(h.nodes))
	for i, n := range h.nodes {
		names[i] = n.name
	}
	return names
}

// About names the world and etcd's version for a result.
func (h *Hosts) About() (world, version string) { return "hosts", h.options.versions() }

// Keys implements suite.World: a client of etcd's own reads them.
func (h *Hosts) Keys(ctx context.Context, name string) (map[string]string, error) {
	n, err := h.node(name)
	if err != nil {
		return nil, err
	}
	c, err := h.client(n)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return suite.ReadKeys(ctx, c)
}

// Snapshot implements suite.World.
func (h *Hosts) Snapshot(context.Context) (string, map[string]string, error) {
	if h.archived == nil {
		return "", nil, errors.New("no archive was made")
	}
	return h.nodes[0].name + ":" + h.archive, h.archived, nil
}

var _ suite.World = (*Hosts)(nil)
