package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// node is one node of a running lab, inside the supervisor.
type node struct {
	nodeInfo
	journal *journal
	units   map[string]*unit
	hostKey ssh.Signer

	mu     sync.Mutex
	faults []FaultState
}

// FaultState is a fault that was injected and whose effect has not ended.
type FaultState struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
}

func newNode(info nodeInfo, hostKey ssh.Signer) (*node, error) {
	read := func(p string) (string, error) {
		b, err := os.ReadFile(info.path(p))
		return strings.TrimSpace(string(b)), err
	}
	machineID, err := read("etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", info.Name, err)
	}
	bootID, err := read("proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", info.Name, err)
	}
	j := newJournal(info.Name, machineID, strings.ReplaceAll(bootID, "-", ""), os.Getuid())
	return &node{nodeInfo: info, journal: j, units: map[string]*unit{}, hostKey: hostKey}, nil
}

// etcd is the node's etcd unit.
func (n *node) etcd() *unit { return n.units[unitEtcd] }

// addFault notes a fault; one that is noted already starts anew.
func (n *node) addFault(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = slices.DeleteFunc(n.faults, func(f FaultState) bool { return f.Name == name })
	n.faults = append(n.faults, FaultState{Name: name, Since: time.Now()})
}

// clearFaults forgets the faults: the node's etcd came up again.
func (n *node) clearFaults() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}

func (n *node) faultStates() []FaultState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.faults)
}

// operatorActed ends the killing of kill-loop: somebody started, restarted or
// reset the unit by hand.
func (n *node) operatorActed() { n.etcd().endKilling() }

// tool answers one command line of a shim on this node.
func (n *node) tool(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	switch name {
	case "systemctl":
		return runSystemctl(ctx, n, args, stdout, stderr)
	case "journalctl":
		return runJournalctl(ctx, n.journal, args, stdout, stderr)
	}
	fmt.Fprintf(stderr, "%s: not a tool of the lab\n", name)
	return exitFailure
}
