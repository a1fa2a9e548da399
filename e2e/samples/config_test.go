//go:build e2e && linux

package samples

import (
	"os"
	"path/filepath"
)

// configured starts member 2 of a whole cluster with another setting.
func configured(l *lab, change func(m *member)) shot {
	return died(broken(l, change))
}

var configScenarios = []scenario{
	{name: "config-flag", title: "A flag that this version does not have", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with --experimental-initial-corrupt-check (3.7), --enable-v2 (3.6) or a misspelt flag", versions: all34, look: journal, unit: "failed (exit-code)",
		do: func(l *lab) shot {
			return configured(l, func(m *member) {
				m.flags[map[string]string{"3.4": "quota-backend-byes", "3.5.35": "auto-compaction-retentions", "3.6.16": "enable-v2", "3.7.3": "experimental-initial-corrupt-check"}[l.version]] = "true"
			})
		}},
	{name: "config-value", title: "A variable with a value that does not parse", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with ETCD_HEARTBEAT_INTERVAL=100ms", versions: []string{"3.4", "3.5.35"}, boxes: []string{"3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.env = append(m.env, "ETCD_HEARTBEAT_INTERVAL=100ms") })
		}},
	{name: "config-shadowed", title: "Variable and flag say the same", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: docker,
		how: "three members; one restarted with --name and ETCD_NAME", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.env = append(m.env, "ETCD_NAME=default") })
		}},
	{name: "config-election", title: "Election timeout too near the heartbeat", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: cri,
		how: "three members; one restarted with --heartbeat-interval=500 and --election-timeout=1000", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["heartbeat-interval"], m.flags["election-timeout"] = "500", "1000" })
		}},
	{name: "config-listen-name", title: "A host name where an address is wanted", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted with --listen-client-urls=http://etcd.kube.internal:2379", versions: []string{"3.5.35", "3.7.3"}, awkward: "looks like DNS",
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["listen-client-urls"] = "http://etcd.kube.internal:2379" })
		}},
	{name: "config-state", title: "initial-cluster-state misspelt", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: compose,
		how: "three members; one restarted with --initial-cluster-state=exist", versions: []string{"3.6.16"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) { m.flags["initial-cluster-state"] = "exist" })
		}},
	{name: "config-file", title: "The configuration file does not parse", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy, look: cut, unit: "failed (exit-code)",
		how: "three members; one restarted with a --config-file that has a tab in YAML", versions: []string{"3.4", "3.7.3"},
		do: func(l *lab) shot {
			return configured(l, func(m *member) {
				file := filepath.Join(l.dir, "etcd.conf.yml")
				must(l.t, os.WriteFile(file, []byte("name: etcd-2\ndata-dir:\n\t- /var/lib/etcd\n"), 0o644))
				m.flags = map[string]string{"config-file": file}
			})
		}},
	{name: "config-advertise", title: "Listens for clients and advertises nothing", cause: "bad-config", remedy: "fix-cause-then-restart", why: configWhy,
		how: "three members; one restarted without --advertise-client-urls", versions: []string{"3.6.16"}, look: journal,
		do: func(l *lab) shot {
			return configured(l, func(m *member) { delete(m.flags, "advertise-client-urls") })
		}},
}

// utl is the program that restores in a version.
func (l *lab) utl() string {
	if l.minor() >= 6 {
		return "etcdutl"
	}
	return "etcdctl"
}

// restoring makes a snapshot of one member, has it spoilt and restores it.
func restoring(l *lab, spoil func(file, dir string)) shot {
	m := l.members[0]
	l.startAll()
	m.put(200, 500)
	file, dir := filepath.Join(l.dir, "backup", "snapshot.db"), filepath.Join(l.dir, "restored")
	must(l.t, os.MkdirAll(filepath.Dir(file), 0o755))
	m.ctl("snapshot", "save", file)
	spoil(file, dir)
	m.stop()
	out := l.program(m.bin, l.utl(), "snapshot", "restore", file, "--data-dir="+dir, "--name="+m.name,
		"--initial-cluster="+l.initial(m), "--initial-advertise-peer-urls="+m.peerURL())
	return shot{down: 1, total: 1, ctl: []string{out}}
}

var restoreScenarios = []scenario{
	{name: "snapshot-flipped", title: "A bit of the snapshot flipped", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is not what was saved: take another copy of it", nodes: 1, platform: "unknown",
		how: "snapshot save, one byte in its middle changed, snapshot restore", versions: all34,
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { l.overwrite(file, 9000, []byte{1, 2, 3}) })
		}},
	{name: "snapshot-short", title: "The snapshot's end is missing", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is not what was saved: take another copy of it", nodes: 1,
		how: "snapshot save, truncated by 10000 bytes, snapshot restore", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) {
				info, err := os.Stat(file)
				must(l.t, err)
				must(l.t, os.Truncate(file, info.Size()-10000))
			})
		}},
	{name: "snapshot-copied", title: "A copied database is no snapshot", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file has no hash: it is a copy of member/snap/db", nodes: 1,
		how: "member/snap/db copied, snapshot restore of the copy", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { tool(l.t, "cp", l.members[0].db(), file) })
		}},
	{name: "snapshot-packed", title: "The archive was not unpacked", cause: "snapshot-file-bad", remedy: "fix-cause-then-restart", why: "the file is a gzip archive: unpack it first", nodes: 1,
		how: "snapshot save, packed with gzip, snapshot restore of the archive", versions: []string{"3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			return restoring(l, func(file, _ string) { tool(l.t, "sh", "-c", `gzip "$0" && mv "$0.gz" "$0"`, file) })
		}},
	{name: "restore-dir-exists", title: "Restore into a directory that is there", cause: "data-dir-exists", remedy: "fix-cause-then-restart", why: "the restore refused to overwrite old data: move them aside", nodes: 1,
		how: "snapshot save, snapshot restore into a directory that has a member in it", versions: all34,
		do: func(l *lab) shot {
			return restoring(l, func(_, dir string) { tool(l.t, "cp", "-r", l.members[0].dir, dir) })
		}},
}
