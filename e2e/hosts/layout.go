//go:build e2e && linux

package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Where things are on the nodes.
const (
	dataDir    = "/var/lib/etcd"
	walDir     = "/var/lib/etcd-wal"
	envPath    = "/etc/etcd.env"
	unitPath   = "/etc/systemd/system/" + etcdUnit
	sslDir     = "/etc/ssl/etcd/ssl"
	backupDir  = "/opt/backup" // /tmp is emptied at every boot of a Debian
	etcdID     = 997           // of the user etcd
	opsID      = 1000          // of the user ops
	etcdUser   = "etcd"
	sudoUser   = "ops"
	clusterTag = "k8s_etcd"
)

// stopLimit keeps a reboot short: a login that is open while the node goes down
// may otherwise hold it up for 90 s.
const stopLimit = "[Manager]\nDefaultTimeoutStopSec=5s\n"

// template is the folder with the files of a node that are not in the root
// file system: what the installer lays, and after seeding the data.
func (n *node) template() string { return filepath.Join(n.dir, "template") }

func (n *node) clientURL() string { return "https://" + n.address + ":2379" }
func (n *node) peerURL() string   { return "https://" + n.address + ":2380" }

// lay writes the template of a node as the vendor's installer leaves it.
func (h *Hosts) lay(n *node) error {
	l := layer{dir: n.template()}
	l.dirs(backupDir, "/etc/ssh", sslDir, "/var/lib", "/home/"+sudoUser+"/.ssh", "/root/.ssh",
		"/etc/systemd/system/multi-user.target.wants", "/etc/sudoers.d", "/tmp")
	l.private(dataDir)
	l.mode("/root", 0o700)
	l.mode("/tmp", os.ModeSticky|0o777)
	l.mode("/root/.ssh", 0o700)
	l.mode("/home/"+sudoUser+"/.ssh", 0o700)
	h.layUsers(&l)
	h.layCerts(&l, n)
	l.write("/etc/hostname", n.name+"\n", 0o644)
	l.write("/etc/hosts", h.hostsFile(), 0o644)
	l.write("/etc/machine-id", fmt.Sprintf("%032x\n", 0xe2e000+n.index+1), 0o444)
	l.write(envPath, h.envFile(n), 0o644)
	unit := unitPath
	if h.options.UnitInLib {
		unit = "/usr/lib/systemd/system/" + etcdUnit
	}
	l.write(unit, h.unitFile(), 0o644)
	l.write("/etc/systemd/system.conf.d/10-stop-limit.conf", stopLimit, 0o644)
	l.link(unit, "/etc/systemd/system/multi-user.target.wants/"+etcdUnit)
	private, public, err := sshKey("root@" + n.name)
	if err != nil {
		return err
	}
	l.write("/etc/ssh/ssh_host_ed25519_key", string(private), 0o600)
	l.write("/etc/ssh/ssh_host_ed25519_key.pub", public, 0o644)
	h.knownHosts += n.address + " " + public
	if h.options.SeparateWAL {
		l.private(walDir)
	}
	if h.options.EtcdUser {
		l.own(etcdID, dataDir)
		if h.options.SeparateWAL {
			l.own(etcdID, walDir)
		}
	}
	if h.options.SlowStop {
		l.write(unitPath+".d/50-slow-stop.conf", "[Service]\nKillSignal=SIGWINCH\nTimeoutStopSec=4s\n", 0o644)
	}
	return l.err
}

// layUsers adds the two users and their ways in.
func (h *Hosts) layUsers(l *layer) {
	etc := filepath.Join(h.root, "etc")
	l.extend(filepath.Join(etc, "passwd"), "/etc/passwd", fmt.Sprintf(
		"etcd:x:%d:%d::%s:/usr/sbin/nologin\nops:x:%d:%d::/home/ops:/bin/bash\n", etcdID, etcdID, dataDir, opsID, opsID))
	l.extend(filepath.Join(etc, "group"), "/etc/group", fmt.Sprintf("etcd:x:%d:\nops:x:%d:\n", etcdID, opsID))
	l.extend(filepath.Join(etc, "shadow"), "/etc/shadow", "etcd:!:19000::::::\nops:*:19000::::::\n")
	l.write("/etc/sudoers.d/ops", "ops ALL=(ALL) NOPASSWD: ALL\n", 0o440)
	for _, home := range []string{"/root", "/home/" + sudoUser} {
		l.write(home+"/.ssh/authorized_keys", h.publicKey, 0o600)
		if h.options.NoisyShell {
			// bash reads it for commands of sshd too.
			l.write(home+"/.bashrc", "echo 'Welcome to '\"$(hostname)\"'!'; printf '{\"x\":1}\\n\\033[31mlast login\\n'; echo warning: noise >&2\n", 0o644)
		}
	}
	l.own(opsID, "/home/"+sudoUser, "/home/"+sudoUser+"/.ssh", "/home/"+sudoUser+"/.ssh/authorized_keys")
}

// layCerts writes the authority and the pairs under kubespray's names.
func (h *Hosts) layCerts(l *layer, n *node) {
	l.write(sslDir+"/ca.pem", string(h.authority.pem), 0o644)
	for _, kind := range []string{"member", "admin"} {
		cert, key, err := h.authority.issue("etcd-"+kind+"-"+n.name, "localhost", n.name, n.member, "127.0.0.1", n.address)
		if err != nil {
			l.err = err
			return
		}
		name := sslDir + "/" + kind + "-" + n.name
		l.write(name+".pem", string(cert), 0o644)
		l.write(name+"-key.pem", string(key), 0o600)
		if h.options.EtcdUser && kind == "member" {
			l.own(etcdID, name+"-key.pem")
		}
	}
}

func (h *Hosts) hostsFile() string {
	text := "127.0.0.1 localhost\n"
	for _, n := range h.nodes {
		text += n.address + " " + n.name + "\n"
	}
	return text
}

// envFile is /etc/etcd.env as kubespray's etcd-env.j2 lays it, and as the
// lab's, without what 3.6 and later have dropped.
func (h *Hosts) envFile(n *node) string {
	var cluster []string
	for _, m := range h.nodes {
		cluster = append(cluster, m.member+"="+m.peerURL())
	}
	wal := ""
	if h.options.SeparateWAL {
		wal = "ETCD_WAL_DIR=" + walDir + "\n"
	}
	return fmt.Sprintf(`# Environment file for etcd v%[9]s
ETCD_DATA_DIR=%[1]s
%[10]sETCD_ADVERTISE_CLIENT_URLS=%[2]s
ETCD_INITIAL_ADVERTISE_PEER_URLS=%[3]s
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_METRICS=basic
ETCD_LISTEN_CLIENT_URLS=%[2]s,https://127.0.0.1:2379
ETCD_ELECTION_TIMEOUT=1000
ETCD_HEARTBEAT_INTERVAL=100
ETCD_INITIAL_CLUSTER_TOKEN=%[4]s
ETCD_LISTEN_PEER_URLS=%[3]s
ETCD_NAME=%[5]s
ETCD_INITIAL_CLUSTER=%[6]s
ETCD_AUTO_COMPACTION_RETENTION=8
ETCD_SNAPSHOT_COUNT=10000
ETCD_QUOTA_BACKEND_BYTES=2147483648
ETCD_MAX_REQUEST_BYTES=1572864

# TLS settings
ETCD_TRUSTED_CA_FILE=%[7]s/ca.pem
ETCD_CERT_FILE=%[7]s/member-%[8]s.pem
ETCD_KEY_FILE=%[7]s/member-%[8]s-key.pem
ETCD_CLIENT_CERT_AUTH=true

ETCD_PEER_TRUSTED_CA_FILE=%[7]s/ca.pem
ETCD_PEER_CERT_FILE=%[7]s/member-%[8]s.pem
ETCD_PEER_KEY_FILE=%[7]s/member-%[8]s-key.pem
ETCD_PEER_CLIENT_CERT_AUTH=true

# CLI settings
ETCDCTL_ENDPOINTS=https://127.0.0.1:2379
ETCDCTL_CACERT=%[7]s/ca.pem
ETCDCTL_CERT=%[7]s/admin-%[8]s.pem
ETCDCTL_KEY=%[7]s/admin-%[8]s-key.pem
`, dataDir, n.clientURL(), n.peerURL(), clusterTag, n.member, strings.Join(cluster, ","), sslDir, n.name,
		h.options.version(n.index), wal)
}

// unitFile is kubespray's unit. RestartSec is 2 s where the vendor has 10 s, so
// that the tests need not wait, and the file limit no more than is granted. The
// stop limit is systemd's default, which stopLimit changes for all else.
func (h *Hosts) unitFile() string {
	user, limit := "root", uint64(40000)
	if h.options.EtcdUser {
		user = etcdUser
	}
	var granted syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &granted); err == nil {
		limit = min(limit, granted.Max)
	}
	return fmt.Sprintf(`[Unit]
Description=etcd
After=network.target

[Service]
Type=notify
User=%s
EnvironmentFile=%s
ExecStart=/opt/etcd/etcd
NotifyAccess=all
Restart=always
RestartSec=2s
TimeoutStopSec=90s
LimitNOFILE=%d

[Install]
WantedBy=multi-user.target
`, user, envPath, limit)
}

// layer writes files below a folder; the first error stays.
type layer struct {
	dir string
	err error
}

func (l *layer) do(f func() error) {
	if l.err == nil {
		l.err = f()
	}
}

func (l *layer) dirs(paths ...string) {
	for _, p := range paths {
		l.do(func() error { return os.MkdirAll(filepath.Join(l.dir, p), 0o755) })
	}
}

func (l *layer) private(path string) {
	l.dirs(path)
	l.mode(path, 0o700)
}

func (l *layer) mode(path string, mode os.FileMode) {
	l.do(func() error { return os.Chmod(filepath.Join(l.dir, path), mode) })
}

func (l *layer) own(id int, paths ...string) {
	for _, p := range paths {
		l.do(func() error { return os.Chown(filepath.Join(l.dir, p), id, id) })
	}
}

func (l *layer) write(path, text string, mode os.FileMode) {
	path = filepath.Join(l.dir, path)
	l.do(func() error { return os.MkdirAll(filepath.Dir(path), 0o755) })
	l.do(func() error { return os.WriteFile(path, []byte(text), mode) })
	l.do(func() error { return os.Chmod(path, mode) })
}

func (l *layer) link(target, path string) {
	l.do(func() error { return os.Symlink(target, filepath.Join(l.dir, path)) })
}

// extend writes a file of the root file system with more lines.
func (l *layer) extend(from, path, more string) {
	l.do(func() error {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		l.write(path, string(b)+more, info.Mode().Perm())
		return l.err
	})
}
