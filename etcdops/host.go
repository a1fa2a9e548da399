package etcdops

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/novatui/novatui/remote"
)

// Host is one node with what is known about it: what the command builders
// work from. It is plain data, and every builder is a pure function of it.
type Host struct {
	Config Config
	Facts  NodeFacts
}

// Host gives the builders for a node of the cluster.
func (f Facts) Host(node string) (Host, error) {
	n, ok := f.NodeByName(node)
	if !ok {
		return Host{}, fmt.Errorf("node %q is not in the facts", node)
	}
	return Host{Config: f.Config, Facts: n}, nil
}

// Node is the part of the node's entry that paths depend on.
func (h Host) Node() remote.Node {
	return remote.Node{Name: h.Facts.Node, Address: h.Facts.Address, Root: h.Facts.Root}
}

// Path places an absolute path of a real host below the node's Root.
func (h Host) Path(p string) string { return h.Node().Path(p) }

// Unit is the name of etcd's unit.
func (h Host) Unit() string {
	if h.Config.Unit == "" {
		return "etcd.service"
	}
	return h.Config.Unit
}

// EnvFile is the path of etcd's env file on the node: the one that was read,
// or the configured one when none was.
func (h Host) EnvFile() string {
	if h.Facts.Env.Path != "" {
		return h.Facts.Env.Path
	}
	return h.Path(h.Config.EnvFile)
}

// Tool is the path of etcd, etcdctl or etcdutl on the node: where the probe
// found it, or else in the configured folder.
func (h Host) Tool(name string) string {
	v := h.Facts.Versions
	found := map[string]string{"etcd": v.EtcdPath, "etcdctl": v.EtcdctlPath, "etcdutl": v.EtcdutlPath}[name]
	if found != "" {
		return found
	}
	return path.Join(h.Path(h.Config.BinDir), name)
}

// RunDir is the folder on the node for what one run leaves there: copies of
// the plan, uploaded and unpacked snapshots. tag is the plan's Tag.
func (h Host) RunDir(tag string) string { return path.Join(h.Path(RunsDir), tag) }

// RunsDir holds the run folders of a real host.
const RunsDir = "/var/lib/novatui"

// sysctlEnvDir is where drop-ins of units lie.
func (h Host) dropInDir() string { return h.Path("/etc/systemd/system") }

// ClientURLs are the client URLs that the node's etcd advertises, or else
// listens on.
func (h Host) ClientURLs() []string {
	if urls := h.Facts.Env.ClientURLs(); len(urls) > 0 {
		return urls
	}
	return splitList(h.Facts.Env.Values["ETCD_LISTEN_CLIENT_URLS"])
}

// etcdctlEnv are the variables that every etcdctl command gets, so that no
// flag is used beside a variable of the same meaning (etcdctl ends with
// "conflicting environment variable is shadowed" then).
func (h Host) etcdctlEnv(endpoints []string) []string {
	c := h.Facts.Env.ClientCert()
	env := []string{"ETCDCTL_ENDPOINTS=" + strings.Join(endpoints, ",")}
	for _, pair := range [][2]string{
		{"ETCDCTL_CACERT", c.CA}, {"ETCDCTL_CERT", c.Cert}, {"ETCDCTL_KEY", c.Key},
	} {
		if pair[1] != "" {
			env = append(env, pair[0]+"="+pair[1])
		}
	}
	return env
}

// CertPaths are the files of one TLS identity, as the env file names them.
type CertPaths struct{ CA, Cert, Key string }

// ClientCert is the identity that etcdctl uses on the node: ETCDCTL_CACERT,
// ETCDCTL_CERT and ETCDCTL_KEY (or the old ETCDCTL_CA_FILE, ETCDCTL_CERT_FILE,
// ETCDCTL_KEY_FILE), and what is missing there from etcd's own server identity.
func (e EnvFacts) ClientCert() CertPaths {
	v := e.Values
	first := func(names ...string) string {
		for _, n := range names {
			if v[n] != "" {
				return v[n]
			}
		}
		return ""
	}
	c := CertPaths{
		CA:   first("ETCDCTL_CACERT", "ETCDCTL_CA_FILE", "ETCD_TRUSTED_CA_FILE"),
		Cert: first("ETCDCTL_CERT", "ETCDCTL_CERT_FILE"),
		Key:  first("ETCDCTL_KEY", "ETCDCTL_KEY_FILE"),
	}
	if c.Cert == "" || c.Key == "" {
		// A certificate and a key of two identities never belong together.
		c.Cert, c.Key = v["ETCD_CERT_FILE"], v["ETCD_KEY_FILE"]
	}
	return c
}

// PeerCert is the identity that members show to each other.
func (e EnvFacts) PeerCert() CertPaths {
	v := e.Values
	return CertPaths{
		CA: v["ETCD_PEER_TRUSTED_CA_FILE"], Cert: v["ETCD_PEER_CERT_FILE"], Key: v["ETCD_PEER_KEY_FILE"],
	}
}

// DataOwner says what a data directory that is made again must look like:
// as the present one, or as the unit's user would have it when there is none.
func (h Host) DataOwner() Owner {
	d := h.Facts.Data
	if d.Exists && d.Owner != "" {
		return Owner{User: d.Owner, Group: d.Group, Mode: d.Mode, SELinux: d.SELinux}
	}
	o := Owner{User: "root", Group: "root", Mode: "0700"}
	if u := h.Facts.Unit.User; u != "" {
		o.User, o.Group = u, u
	}
	return o
}

// Owner is the owner, group, octal mode and SELinux label of a file. An empty
// SELinux leaves the label alone.
type Owner struct{ User, Group, Mode, SELinux string }

// ExtraVolumes lists the directories that hold the member's state: the data
// directory, and the WAL directory when it lies outside of it.
func (h Host) StateDirs() []DirFacts {
	dirs := []DirFacts{h.Facts.Data}
	if h.SeparateWAL() {
		dirs = append(dirs, h.Facts.WAL)
	}
	return dirs
}

// SeparateWAL reports whether the env file puts the WAL outside of the data
// directory.
func (h Host) SeparateWAL() bool {
	wal, data := h.Facts.Env.WALDir(), h.Facts.Env.DataDir()
	return wal != "" && wal != data && !strings.HasPrefix(path.Clean(wal), path.Clean(data)+"/")
}

// isSlot reports whether a value holds a slot @{name} that the engine fills
// later, so that it cannot be checked yet.
func isSlot(s string) bool {
	_, after, ok := strings.Cut(s, "@{")
	return ok && strings.Contains(after, "}")
}

// firstErr gives the first error of several checks.
func firstErr(errs ...error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if i < 0 {
		return nil
	}
	return errs[i]
}
