//go:build e2e && linux

// Package samples makes the log samples of etcdops/diagnosis/testdata/samples:
// it breaks real clusters of etcd 3.4 to 3.7 in every way that the diagnosis
// has a name for, and keeps what the members, their peers, systemd and etcdctl
// said. What was done is known, so the right answer is known too.
//
// The members run in network namespaces of their own (nvs-*), joined by a
// bridge; where the words of systemd matter, one of them runs in a Debian
// booted by systemd-nspawn. Nothing of the package hosts is used but its cache
// of binaries and its root file system, so both may run at one time.
//
//	make samples                                  # all of them, 45 minutes
//	make samples ONLY=TestMakeSamples/wal-crc/3.5 # one
//
// It needs Linux on amd64, Debian and root.
package samples
