package etcdops

import (
	"crypto/x509"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// material is what the tunnel's clients need from a node and what never enters
// Facts.
type material struct {
	client identity
	// peerCA and peerCert are PEM texts; the peer's key is read only when the
	// peer port must be asked.
	peerCA, peerCert []byte
	skew             time.Duration
	tools            toolsKnown
}

// fill puts what the probe said into the facts. It never fails: a part that is
// missing or broken leaves its facts absent.
func (o probeOutput) fill(n *NodeFacts, cfg Config) material {
	var m material
	o.fillHost(&n.Host, o.find("clock"), keyValues(o.find("host")))
	m.skew = time.Duration(n.Host.SkewMillis) * time.Millisecond
	n.Unit = ParseUnit(o.find("unit"), floatOr(keyValues(o.find("host"))["monotonic"], -1))
	if n.Unit.Name == "" {
		n.Unit.Name = firstOf(cfg.Unit, "etcd.service")
	}
	o.fillEnv(&n.Env)
	o.fillCerts(n, &m)
	n.Running = ownProcesses(parseProcesses(o.find("running")), n.Root)
	n.Ports = parsePorts(o.find("ports"), n.Env.listenPorts())
	m.tools = o.fillVersions(&n.Versions)
	o.fillDirs(n)
	if j := ParseJournal(o.find("journal")); len(j) > 0 {
		n.Journal = j
	} else {
		n.Journal = ParseJournalShort(o.find("journal.short"))
	}
	n.OOM = cleanLines(o.find("oom"), 20)
	n.Runs = cleanLines(o.find("runs"), 200)
	n.Readyz = parseReadyz(o.find("readyz"), cfg.Readyz)
	n.Snapshots = parseSnapshotFiles(o.find("snapshots"), n.Node)
	return m
}

func (o probeOutput) fillHost(h *HostFacts, clock []byte, v map[string]string) {
	h.Hostname, h.MachineID = remote.Clean(v["hostname"]), remote.Clean(v["machine_id"])
	h.BootID, h.Kernel = remote.Clean(v["boot_id"]), remote.Clean(v["kernel"])
	h.UptimeSeconds = int64(floatOr(v["uptime"], 0))
	h.UID = int(floatOr(v["uid"], -1))

	sec, frac, _ := strings.Cut(strings.TrimSpace(string(clock)), ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	if err != nil || n < 0 || n > 1<<40 || o.first.IsZero() {
		h.SkewErrorMillis = -1
		return
	}
	half := o.first.Sub(o.sent) / 2
	node := time.Unix(n, 0)
	if f, err := strconv.ParseFloat("0."+frac, 64); err == nil && frac != "" {
		node = node.Add(time.Duration(f * float64(time.Second)))
	} else {
		// A date that knows no fractions: in the middle of its second.
		node = node.Add(time.Second / 2)
		half += time.Second / 2
	}
	h.SkewMillis = node.Sub(o.sent.Add(o.first.Sub(o.sent) / 2)).Milliseconds()
	h.SkewErrorMillis = half.Milliseconds()
}

func (o probeOutput) fillEnv(e *EnvFacts) {
	v := keyValues(o.find("env"))
	e.Path = v["path"]
	e.Exists = v["exists"] == "1"
	e.SHA256 = v["sha256"]
	if !e.Exists {
		return
	}
	if v["unreadable"] == "1" {
		e.Error = "permission denied"
		return
	}
	text, err := decode(o.find("env.text"))
	if err == nil {
		var values map[string]string
		if values, err = ParseEnv(text); err == nil {
			e.Values = maskEnv(values)
		}
	}
	if err != nil {
		e.Error = remote.Clean(err.Error())
	}
}

func (o probeOutput) fillCerts(n *NodeFacts, m *material) {
	parsed := map[string][]*x509.Certificate{} // by use
	for i, p := range o.parts {
		if p.name != "cert" {
			continue
		}
		v := keyValues(p.text)
		c := CertFacts{Path: v["path"], Use: v["use"]}
		switch {
		case v["missing"] == "1":
			c.Error = "missing"
		case v["unreadable"] == "1":
			c.Error = "permission denied"
		case i+1 < len(o.parts) && o.parts[i+1].name == "cert.text":
			text, err := decode(o.parts[i+1].text)
			if err != nil {
				c.Error = err.Error()
				break
			}
			parsed[c.Use] = parseCert(&c, text)
			m.take(c.Use, text)
		default:
			c.Error = "not read"
		}
		if v["key_missing"] == "1" {
			c.Error = firstOf(c.Error, "its private key "+remote.Clean(v["key"])+" is missing")
		}
		if match, ok := v["key_matches"]; ok {
			yes := match == "1"
			c.KeyMatches = &yes
		}
		n.Certs = append(n.Certs, c)
	}
	if key, err := decode(o.find("clientkey")); err == nil {
		m.client.key = key
	}
	o.matchClient(n, m)
	// Each is checked by those who look at it: the server's by clients, the
	// client's by servers, the peer's by peers.
	signers := map[string]string{"server": "client-ca", "peer": "peer-ca", "client": "ca"}
	for i := range n.Certs {
		c := &n.Certs[i]
		certs, authorities := parsed[c.Use], parsed[signers[c.Use]]
		if len(certs) > 0 && len(authorities) > 0 {
			ok := chainOK(certs, authorities)
			c.ChainOK = &ok
		}
	}
}

// matchClient compares the client's key and certificate here, where the node
// had no openssl to do it.
func (o probeOutput) matchClient(n *NodeFacts, m *material) {
	if len(m.client.cert) == 0 || len(m.client.key) == 0 {
		return
	}
	for i := range n.Certs {
		if n.Certs[i].Use == "client" && n.Certs[i].KeyMatches == nil {
			_, err := m.client.config(time.Now)
			ok := err == nil
			n.Certs[i].KeyMatches = &ok
		}
	}
}

func (m *material) take(use string, text []byte) {
	switch use {
	case "client":
		m.client.cert = text
	case "client-ca":
		m.client.ca = text
	case "peer":
		m.peerCert = text
	case "peer-ca":
		m.peerCA = text
	}
}

// fillVersions reads the tools' versions: what a tool said now or, where its
// file is the same, what it said before. What is known then is returned.
func (o probeOutput) fillVersions(t *ToolVersions) toolsKnown {
	known := toolsKnown{}
	for _, tool := range []struct {
		name, prefix  string
		version, path *string
	}{
		{"etcd", "etcd Version:", &t.Etcd, &t.EtcdPath},
		{"etcdctl", "etcdctl version:", &t.Etcdctl, &t.EtcdctlPath},
		{"etcdutl", "etcdutl version:", &t.Etcdutl, &t.EtcdutlPath},
	} {
		text := o.find("version." + tool.name)
		if text == nil {
			continue
		}
		values := keyValues(text)
		*tool.path = values["path"]
		for line := range strings.Lines(string(text)) {
			if s, ok := strings.CutPrefix(line, tool.prefix); ok {
				if v, ok := ParseVersion(s); ok {
					*tool.version = v.String()
				}
			}
		}
		before := o.known[tool.name]
		if *tool.version == "" && isStamp(values["stamp"]) && before.stamp == values["stamp"] {
			*tool.version = before.version
		}
		if *tool.version != "" {
			known[tool.name] = toolKnown{stamp: values["stamp"], version: *tool.version}
		}
	}
	return known
}

func (o probeOutput) fillDirs(n *NodeFacts) {
	n.Data = parseDir(o.find("data"))
	n.WAL = parseDir(o.find("wal"))
	n.Asides = o.paths("aside", "data", "wal")
	n.Kept = o.paths("kept", "data", "wal", "kept")
	// The script reads the file with a reader of its own; where the two do not
	// agree, nothing is claimed about the directory.
	want := n.Env.DataDir()
	if n.Env.Exists && n.Env.Error == "" && n.Data.Path != want {
		n.Data = DirFacts{Path: want, FreeInodes: -1, Error: "the probe did not look at it"}
	}
	if want == "" && n.Data.Error == "" {
		n.Data.Error = "the env file names no data directory"
	}
	if wal := n.Env.WALDir(); wal != "" && n.WAL.Path != wal {
		n.WAL = DirFacts{Path: wal, FreeInodes: -1, Error: "the probe did not look at it"}
	}
	if keyValues(o.find("wal"))["inside"] == "1" && n.Data.Error == "" {
		d := n.Data
		n.WAL.TotalBytes, n.WAL.FreeBytes, n.WAL.FreeInodes = d.TotalBytes, d.FreeBytes, d.FreeInodes
		n.WAL.Device, n.WAL.Holders = d.Device, d.Holders
	}
	n.Data.HasWAL = n.Data.HasWAL || n.WAL.HasWAL
}

// paths are the lines "KEY=PATH" of some parts, each path once.
func (o probeOutput) paths(key string, parts ...string) []string {
	var paths []string
	for _, name := range parts {
		for line := range strings.Lines(string(o.find(name))) {
			p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), key+"=")
			if ok && validatePath(p) == nil && !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
	}
	return paths
}

func parseDir(text []byte) DirFacts {
	v := keyValues(text)
	d := DirFacts{
		Path: v["path"], Real: v["real"], Exists: v["exists"] == "1", MountPoint: v["mount"] == "1",
		Empty: v["empty"] == "1", HasMember: v["member"] == "1", SELinux: remote.Clean(v["selinux"]),
		FreeInodes: -1,
	}
	if f := strings.Fields(v["space"]); len(f) == 2 {
		d.TotalBytes, d.FreeBytes = kib(f[0]), kib(f[1])
	}
	if n, err := strconv.ParseInt(v["inodes"], 10, 64); err == nil {
		d.FreeInodes = n
	}
	var meta PathStat
	meta.meta(firstOf(v["meta"], v["parent"]))
	d.Device = meta.Device
	if d.Exists {
		d.Owner, d.Group, d.Mode = remote.Clean(meta.Owner), remote.Clean(meta.Group), meta.Mode
	}
	var db PathStat
	if db.meta(v["db"]); db.Inode != "" {
		d.HasDB, d.DBBytes = true, db.SizeBytes
	}
	d.HasWAL = floatOr(v["walfiles"], 0) > 0
	d.SizeBytes = kib(v["du"])
	for _, f := range strings.Fields(v["holders"]) {
		if pid, err := strconv.Atoi(f); err == nil {
			d.Holders = append(d.Holders, pid)
		}
	}
	switch {
	case v["unreadable"] == "1":
		d.Error = "permission denied"
	case v["notdir"] == "1":
		d.Error = "not a directory"
	}
	return d
}

func parseReadyz(text []byte, url string) ReadyzFacts {
	s := string(text)
	if url == "" || !strings.Contains(s, "tool=") {
		return ReadyzFacts{}
	}
	r := ReadyzFacts{Asked: true}
	status := ""
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		switch key, value, _ := strings.Cut(line, "="); {
		case key == "status":
			status = value
		case line == "" || key == "tool":
		default:
			r.Answer = clip(remote.Clean(line))
		}
	}
	// wget says nothing of the status when all is well, and fails otherwise.
	r.OK = status == "200" || status == "" && r.Answer == "ok"
	if status != "" && status != "000" && status != "200" {
		r.Answer = strings.TrimSpace(remote.Clean(status) + " " + r.Answer)
	}
	return r
}

func parseSnapshotFiles(text []byte, node string) []SnapshotFile {
	var files []SnapshotFile
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		if len(f) != 3 || validatePath(f[2]) != nil {
			continue
		}
		size, err := strconv.ParseInt(f[0], 10, 64)
		sec, err2 := strconv.ParseInt(f[1], 10, 64)
		if err != nil || err2 != nil {
			continue
		}
		s := SnapshotFile{Node: node, Path: f[2], SizeBytes: size, Modified: unixTime(sec)}
		s.Archive = strings.HasSuffix(f[2], ".tar.gz") || strings.HasSuffix(f[2], ".tgz")
		if name, ok := ParseSnapshotName(path.Base(f[2])); ok {
			s.NovaVersion, s.KubernetesVersion, s.TakenAt = name.NovaVersion, name.KubernetesVersion, name.TakenAt
		}
		files = append(files, s)
	}
	// The newest first.
	slices.SortStableFunc(files, func(a, b SnapshotFile) int { return b.Modified.Compare(a.Modified) })
	return files
}

func cleanLines(text []byte, limit int) []string {
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = clip(remote.Clean(strings.TrimSpace(line))); line != "" && len(lines) < limit {
			lines = append(lines, line)
		}
	}
	return lines
}

func floatOr(s string, other float64) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1e15 {
		return other
	}
	return f
}
