// Package lab is the training lab: a small cluster of real etcd members on this
// machine, with an SSH server in front of every node, in which an operator (and
// every test of novatui) finds what a vendor's host has: a systemd unit, an env
// file, certificates, a journal, a snapshot archive, and a fault.
//
// # One binary
//
// Everything is our own executable, started again under another name. A node's
// opt/etcd/etcd, etcdctl and etcdutl are symbolic links to it, and so are
// systemctl and journalctl; Dispatch, which main calls first, sees the name and
// plays the part. etcd, etcdctl and etcdutl are the real code of the modules in
// go.mod, not imitations.
//
// # Processes
//
//	caller ── Up ──▶ supervisor (own session, outlives the caller)
//	                   ├── guard     kills what is left when the supervisor dies
//	                   ├── etcd …    one a node, by the node's unit
//	                   └── /bin/sh … commands and shells of SSH sessions
//
// The supervisor stands for PID 1 of every node: it starts etcd as its unit file
// and env file say, keeps the journal, and answers systemctl and journalctl over
// a loopback port with a token. It also runs the SSH servers and injects faults.
//
// Whatever belongs to a lab carries NOVATUI_LAB=DIR in its environment, whether
// it detached itself or not. So the guard, which waits at a pipe that only the
// supervisor holds open, and Down, which may come long after, can find every
// process of a lab and no other. On Linux etcd and shells also die with the
// supervisor through Pdeathsig, and etcd watches a pipe of its own on every
// system.
//
// # What is systemd's and what is not
//
// machine.go follows systemd 252's service state machine for what a service with
// Type=notify or simple can meet: start timeouts, Restart=, start limits, stop
// with SIGTERM and SIGCONT and later SIGKILL, masking through links to /dev/null
// in the unit folders (which fails, as it does there, when the unit file itself
// lies in /etc/systemd/system). Unit files and drop-ins are read from the node's
// root folder. There are no dependencies, sockets or cgroups.
//
// # Ports
//
// A lab owns a block of 32 consecutive ports below the systems' ephemeral
// ranges. The first is the supervisor's own, listening for as long as the lab
// lives: whoever cannot bind it takes another block. So a stopped member's port
// cannot be taken by another lab or by an outgoing connection meanwhile.
package lab
