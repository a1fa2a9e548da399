package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// A lab's block of ports. The range ends below Linux's (32768) and macOS's
// (49152) ephemeral ports, so that no outgoing connection takes one of them.
const (
	portsFrom  = 20000
	portsTo    = 32000
	portsBlock = 32
	maxNodes   = 9

	portControl = 0  // the block's first: the supervisor's own
	portSSH     = 1  // and the following, one a node
	portClient  = 11 // etcd's client ports
	portPeer    = 21 // etcd's peer ports
)

// errNoPorts says that no block of ports was free.
var errNoPorts = errors.New("no free block of ports between 20000 and 32000")

func listenLoopback(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// claimPorts takes a block of ports and returns its base with the listeners of
// the control port and of the SSH servers. The etcd ports are tried and left
// free: nobody else takes them as long as the first port is held.
func claimPorts(nodes int) (base int, control net.Listener, ssh []net.Listener, err error) {
	blocks := (portsTo - portsFrom) / portsBlock
	for _, i := range rand.Perm(blocks) {
		base = portsFrom + i*portsBlock
		control, ssh, err = claimBlock(base, nodes)
		if err == nil {
			return base, control, ssh, nil
		}
	}
	return 0, nil, nil, fmt.Errorf("%w: %w", errNoPorts, err)
}

func claimBlock(base, nodes int) (control net.Listener, ssh []net.Listener, err error) {
	var all []net.Listener
	defer func() {
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
		}
	}()
	open := func(port int) (net.Listener, error) {
		l, err := listenLoopback(port)
		if err == nil {
			all = append(all, l)
		}
		return l, err
	}
	if control, err = open(base + portControl); err != nil {
		return nil, nil, err
	}
	for i := range nodes {
		var l net.Listener
		if l, err = open(base + portSSH + i); err != nil {
			return nil, nil, err
		}
		ssh = append(ssh, l)
		for _, port := range []int{base + portClient + i, base + portPeer + i} {
			var trial net.Listener
			if trial, err = listenLoopback(port); err != nil {
				return nil, nil, err
			}
			_ = trial.Close()
		}
	}
	return control, ssh, nil
}
