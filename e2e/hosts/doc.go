//go:build e2e && linux

// Package hosts makes the machines of the end-to-end tests: Debian booted by
// systemd-nspawn, each in a network namespace of its own, with a real systemd
// as process 1, a real sshd and etcd as etcd.service, laid out as the vendor's
// installer leaves it. It breaks them the way machines break (the power goes,
// the cable, the disk) and implements suite.World.
//
// It needs Linux, Debian and root, and changes nothing on the machine but: some
// Debian packages, a cache in the user's cache folder, and while a test runs
// the namespaces nvt-*, the cgroups novatui-e2e and the folder
// /var/lib/novatui-e2e. One set of hosts runs on a machine at a time; a
// companion process takes it down when the test process ends in whatever way.
package hosts
