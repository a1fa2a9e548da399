package lab

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Names within a lab's folder.
const (
	fileCluster    = "novatui.yaml"
	fileKnownHosts = "known_hosts"
	fileKey        = "id_ed25519"
	dirState       = ".lab" // of the supervisor
	sshUser        = "ops"
	unitEtcd       = "etcd.service"
	clusterToken   = "k8s_etcd" //nolint:gosec // the vendor's initial cluster token, no secret
)

// nodeInfo is where a node of a lab is.
type nodeInfo struct {
	Name       string `json:"name"`   // master-1
	Member     string `json:"member"` // etcd1
	Root       string `json:"root"`
	SSHPort    int    `json:"ssh_port"`
	ClientPort int    `json:"client_port"`
	PeerPort   int    `json:"peer_port"`
}

func (n nodeInfo) path(p string) string { return filepath.Join(n.Root, p) }
func (n nodeInfo) dataDir() string      { return n.path("var/lib/etcd") }
func (n nodeInfo) clientURL() string    { return fmt.Sprintf("https://127.0.0.1:%d", n.ClientPort) }
func (n nodeInfo) peerURL() string      { return fmt.Sprintf("https://127.0.0.1:%d", n.PeerPort) }
func (n nodeInfo) certDir() string      { return n.path("etc/ssl/etcd/ssl") }

func planNodes(dir string, count, base int) []nodeInfo {
	nodes := make([]nodeInfo, count)
	for i := range nodes {
		name := fmt.Sprintf("master-%d", i+1)
		nodes[i] = nodeInfo{
			Name: name, Member: fmt.Sprintf("etcd%d", i+1), Root: filepath.Join(dir, name),
			SSHPort: base + portSSH + i, ClientPort: base + portClient + i, PeerPort: base + portPeer + i,
		}
	}
	return nodes
}

// initialCluster is ETCD_INITIAL_CLUSTER of a cluster made of these nodes.
func initialCluster(nodes []nodeInfo) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = n.Member + "=" + n.peerURL()
	}
	return strings.Join(parts, ",")
}

// layNode makes a node's root folder as a vendor's installer leaves it.
func layNode(n nodeInfo, all []nodeInfo, ca *authority, exe string, unitInEtc bool) (hostKey ssh.Signer, err error) {
	for _, d := range []string{
		"etc/systemd/system/multi-user.target.wants", "etc/ssl/etcd/ssl", "etc/ssh", "opt/etcd", "opt/backup",
		"var/log", "usr/bin", "usr/lib/systemd/system", "proc/sys/kernel/random", "run/systemd/system",
		"home/" + sshUser, "tmp",
	} {
		if err := os.MkdirAll(n.path(d), 0o755); err != nil {
			return nil, fmt.Errorf("laying node %s: %w", n.Name, err)
		}
	}
	if err := os.MkdirAll(n.dataDir(), 0o700); err != nil {
		return nil, fmt.Errorf("laying node %s: %w", n.Name, err)
	}
	unitPath := "usr/lib/systemd/system/" + unitEtcd
	if unitInEtc {
		unitPath = "etc/systemd/system/" + unitEtcd
	}
	machineID, bootID := randomHex(16), randomUUID()
	files := map[string]string{
		"etc/etcd.env":                   envFile(n, all),
		"etc/hostname":                   n.Name + "\n",
		"etc/machine-id":                 machineID + "\n",
		"proc/sys/kernel/random/boot_id": bootID + "\n",
		unitPath:                         unitText(n),
		"home/" + sshUser + "/.bashrc":   shellRC(n),
		"home/" + sshUser + "/.profile":  ". \"$HOME/.bashrc\"\n",
		"usr/bin/hostname":               hostnameScript(n),
	}
	for name, text := range files {
		if err := os.WriteFile(n.path(name), []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("laying node %s: %w", n.Name, err)
		}
	}
	if err := os.Chmod(n.path("usr/bin/hostname"), 0o755); err != nil {
		return nil, fmt.Errorf("laying node %s: %w", n.Name, err)
	}
	links := map[string]string{
		"opt/etcd/etcd": exe, "opt/etcd/etcdctl": exe, "opt/etcd/etcdutl": exe,
		"usr/bin/systemctl": exe, "usr/bin/journalctl": exe,
		"etc/systemd/system/multi-user.target.wants/" + unitEtcd: n.path(unitPath),
	}
	for name, target := range links {
		if err := os.Symlink(target, n.path(name)); err != nil {
			return nil, fmt.Errorf("laying node %s: %w", n.Name, err)
		}
	}
	if err := layCerts(n, ca); err != nil {
		return nil, err
	}
	return newKey(n.path("etc/ssh/ssh_host_ed25519_key"), "root@"+n.Name)
}

// layCerts writes the authority and the node's three pairs under kubespray's
// names: member for etcd, admin for etcdctl, node for Kubernetes' API server.
func layCerts(n nodeInfo, ca *authority) error {
	if err := os.WriteFile(filepath.Join(n.certDir(), "ca.pem"), ca.pem, 0o644); err != nil {
		return fmt.Errorf("laying node %s: %w", n.Name, err)
	}
	hosts := []string{"localhost", n.Name, n.Name + ".nova.internal", n.Member, "127.0.0.1", "::1"}
	for _, kind := range []string{"member", "admin", "node"} {
		if err := ca.issue(n.certDir(), kind+"-"+n.Name, "etcd-"+kind+"-"+n.Name, hosts); err != nil {
			return fmt.Errorf("laying node %s: %w", n.Name, err)
		}
	}
	return nil
}

// envFile is /etc/etcd.env as kubespray's etcd-env.j2 lays it, without what 3.6
// and later have dropped. Paths are complete: there is no chroot here.
func envFile(n nodeInfo, all []nodeInfo) string {
	ssl := n.certDir()
	return fmt.Sprintf(`# Environment file for etcd v3.7.3
# Written by the installer, read by etcd.service and by those who source it.
ETCD_DATA_DIR=%[1]s
ETCD_ADVERTISE_CLIENT_URLS=%[2]s
ETCD_INITIAL_ADVERTISE_PEER_URLS=%[3]s
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_METRICS=basic
ETCD_LISTEN_CLIENT_URLS=%[2]s
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
ETCDCTL_ENDPOINTS=%[2]s
ETCDCTL_CACERT=%[7]s/ca.pem
ETCDCTL_CERT=%[7]s/admin-%[8]s.pem
ETCDCTL_KEY=%[7]s/admin-%[8]s-key.pem
`, n.dataDir(), n.clientURL(), n.peerURL(), clusterToken, n.Member, initialCluster(all), ssl, n.Name)
}

// unitText is the unit file. RestartSec is 2 s where the vendor has 10 s, so
// that a drill need not wait; everything else is kubespray's.
func unitText(n nodeInfo) string {
	return fmt.Sprintf(`[Unit]
Description=etcd
After=network.target

[Service]
Type=notify
User=%s
EnvironmentFile=%s
ExecStart=%s
NotifyAccess=all
Restart=always
RestartSec=2s
LimitNOFILE=40000

[Install]
WantedBy=multi-user.target
`, currentUser(), n.path("etc/etcd.env"), n.path("opt/etcd/etcd"))
}

// shellRC makes an interactive shell look like one on the node.
func shellRC(n nodeInfo) string {
	return fmt.Sprintf("PS1='[%s@%s \\W]\\$ '\nexport PATH='%s':\"$PATH\"\n", sshUser, n.Name, n.path("usr/bin"))
}

func hostnameScript(n nodeInfo) string {
	return fmt.Sprintf("#!/bin/sh\n# The lab's nodes share a machine, but not its name.\necho %s\n", n.Name)
}

// newKey makes an ed25519 key pair, writes it as ssh-keygen does and returns it.
func newKey(path, comment string) (ssh.Signer, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("writing an SSH key: %w", err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key: %w", err)
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n") + " " + comment + "\n"
	if err := os.WriteFile(path+".pub", []byte(line), 0o644); err != nil {
		return nil, fmt.Errorf("writing an SSH key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("making an SSH key: %w", err)
	}
	return signer, nil
}

// layCluster writes the cluster file and known_hosts.
func layCluster(dir, cluster string, nodes []nodeInfo, keys []ssh.PublicKey) error {
	var hosts, b strings.Builder
	for i, n := range nodes {
		address := knownhosts.Normalize(fmt.Sprintf("127.0.0.1:%d", n.SSHPort))
		hosts.WriteString(knownhosts.Line([]string{address}, keys[i]) + "\n")
	}
	fmt.Fprintf(&b, "# Made by novatui lab up. The lab ends with: novatui lab down --dir %s\n", yamlString(dir))
	fmt.Fprintf(&b, "cluster: %s\nenvironment: lab\nplatform: systemd\nnodes:\n", yamlString(cluster))
	for _, n := range nodes {
		fmt.Fprintf(&b, "  - { name: %s, address: 127.0.0.1, ssh: { port: %d }, root: %s }\n", n.Name, n.SSHPort, yamlString(n.Root))
	}
	fmt.Fprintf(&b, "ssh:\n  user: %s\n  sudo: never\n  identity_files: [ %s ]\n  known_hosts: [ %s ]\n", sshUser,
		yamlString(filepath.Join(dir, fileKey)), yamlString(filepath.Join(dir, fileKnownHosts)))
	fmt.Fprintf(&b, "etcd: { unit: %s, env_file: /etc/etcd.env, bin_dir: /opt/etcd }\nsnapshots: [ { dir: /tmp } ]\n", unitEtcd)
	for name, text := range map[string]string{fileKnownHosts: hosts.String(), fileCluster: b.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// yamlString quotes a string for YAML, whose double-quoted form takes all of
// JSON's escapes.
func yamlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand since Go 1.24)
	return hex.EncodeToString(b)
}

// randomUUID is a random UUID, the form of the kernel's boot id.
func randomUUID() string {
	h := []byte(randomHex(16))
	h[12], h[16] = '4', "89ab"[h[16]&3]
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}
