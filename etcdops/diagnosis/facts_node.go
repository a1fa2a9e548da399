package diagnosis

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// Limits of the fact rules.
const (
	// A file system with less free than this is full for etcd: the database
	// grows by pages, the WAL by segments.
	fullBytes = 1 << 20
	// One WAL segment (server/storage/wal: SegmentSizeBytes).
	tightBytes = 64 << 20
	// etcd's peers complain from one second on (rafthttp, probing_status.go).
	maxSkew = time.Second
)

// readFacts adds the causes that facts about a node show, apart from its
// journal. A member that takes part in a healthy quorum proves by that that
// most of them do not matter now.
func (j *judge) readFacts(c *nodeCase) {
	if !c.facts.Reachable {
		return
	}
	j.checkAlarms(c)
	j.checkCerts(c)
	j.checkDisk(c)
	j.checkClock(c)
	j.checkCluster(c)
	if c.healthy {
		return
	}
	j.checkOwner(c)
	j.checkPorts(c)
	j.checkEnv(c)
	j.checkMemory(c)
	j.checkListed(c)
	j.checkLogGone(c)
	j.checkUnit(c)
}

func (j *judge) fact(c *nodeCase, cause, variant string, sure etcdops.Confidence, source, detail, text string) {
	j.add(found{
		cause: cause, node: c.facts.Node, confidence: sure, variant: variant, detail: detail,
		evidence: etcdops.Evidence{Source: source, Node: c.facts.Node, Text: text},
	})
}

// checkAlarms: NOSPACE makes etcd refuse writes until it is disarmed.
// CORRUPT is judged with the hashes (compareData).
func (j *judge) checkAlarms(c *nodeCase) {
	if slices.Contains(c.facts.Endpoint.Alarms, "NOSPACE") {
		e := c.facts.Endpoint
		j.fact(c, "nospace-alarm", "", etcdops.Certain, "status", "",
			fmt.Sprintf("alarm NOSPACE; database %d bytes, %d in use, quota %d", e.DBSize, e.DBSizeInUse, e.DBSizeQuota))
	}
}

// checkCerts judges certificates by the node's own clock. A certificate of
// etcdctl's only matters where nothing answers: then it may be ours that fails.
func (j *judge) checkCerts(c *nodeCase) {
	now := j.nodeTime(c)
	for _, cert := range c.facts.Certs {
		sure := etcdops.Certain
		if strings.HasPrefix(cert.Use, "client") {
			sure = etcdops.Likely
			if c.facts.Endpoint.Answers {
				sure = etcdops.Possible
			}
		}
		switch {
		case cert.Error != "":
			if sure == etcdops.Certain {
				sure = etcdops.Likely
			}
			if !c.healthy {
				j.fact(c, "cert-bad", "file", sure, "certs", cert.Path, cert.Path+": "+cert.Error)
			}
		case !cert.NotAfter.IsZero() && now.After(cert.NotAfter):
			j.fact(c, "cert-expired", "", sure, "certs", cert.Path,
				fmt.Sprintf("%s (%s): valid until %s", cert.Path, cert.Use, cert.NotAfter.UTC().Format(time.RFC3339)))
		case now.Before(cert.NotBefore):
			j.fact(c, "cert-expired", "early", sure, "certs", cert.Path,
				fmt.Sprintf("%s (%s): valid from %s", cert.Path, cert.Use, cert.NotBefore.UTC().Format(time.RFC3339)))
		case cert.KeyMatches != nil && !*cert.KeyMatches:
			j.fact(c, "cert-bad", "key", sure, "certs", cert.Path, cert.Path+": the key beside it is another certificate's")
		case cert.ChainOK != nil && !*cert.ChainOK && !c.healthy:
			j.fact(c, "cert-bad", "chain", sure, "certs", cert.Path, cert.Path+": not signed by the CA that etcd trusts; issuer "+cert.Issuer)
		default:
			j.checkCertFits(c, cert, sure)
		}
	}
}

// checkCertFits: a certificate that is valid, and not for what it is used for. A
// member that takes part in a quorum proves that it is.
func (j *judge) checkCertFits(c *nodeCase, cert etcdops.CertFacts, sure etcdops.Confidence) {
	if c.healthy {
		return
	}
	for _, usage := range neededUsages[cert.Use] {
		if len(cert.Usages) > 0 && !slices.Contains(cert.Usages, usage) {
			j.fact(c, "cert-bad", "usage", sure, "certs", cert.Path,
				fmt.Sprintf("%s (%s): its key usage is %s, %s is needed", cert.Path, cert.Use, strings.Join(cert.Usages, ", "), usage))
			return
		}
	}
	urls := map[string][]string{"server": c.facts.Env.ClientURLs(), "peer": c.facts.Env.PeerURLs()}[cert.Use]
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || slices.ContainsFunc(cert.SANs, func(san string) bool {
			return coversHost(san, u.Hostname())
		}) {
			continue
		}
		sure = etcdops.Likely
		if cert.Use == "server" {
			sure = etcdops.Possible // clients may reach it by another name
		}
		j.fact(c, "cert-bad", "name", sure, "certs", cert.Path,
			fmt.Sprintf("%s (%s): %s is not among its names (%s)", cert.Path, cert.Use, u.Hostname(), strings.Join(cert.SANs, ", ")))
		return
	}
}

// neededUsages: members are client and server to each other (etcd's transport
// security guide); Go checks both.
var neededUsages = map[string][]string{"peer": {"server", "client"}, "server": {"server"}, "client": {"client"}}

// coversHost reports whether a name in a certificate is that of a host; a star
// stands for one label (RFC 6125, 6.4.3).
func coversHost(san, host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		b, err := netip.ParseAddr(san)
		return err == nil && a.Unmap() == b.Unmap()
	}
	san, host = strings.ToLower(strings.TrimSuffix(san, ".")), strings.ToLower(strings.TrimSuffix(host, "."))
	if rest, ok := strings.CutPrefix(san, "*."); ok {
		_, parent, ok := strings.Cut(host, ".")
		return ok && parent == rest
	}
	return san == host
}

func (j *judge) checkDisk(c *nodeCase) {
	for _, d := range []etcdops.DirFacts{c.facts.Data, c.facts.WAL} {
		if d.TotalBytes <= 0 || d.Error != "" {
			continue
		}
		text := fmt.Sprintf("%s: %d of %d bytes free, %d inodes free", d.Path, d.FreeBytes, d.TotalBytes, d.FreeInodes)
		switch {
		case d.FreeInodes == 0:
			j.fact(c, "disk-full", "inodes", etcdops.Certain, "disk", d.Path, text)
		case d.FreeBytes < fullBytes:
			j.fact(c, "disk-full", "", etcdops.Certain, "disk", d.Path, text)
		case d.FreeBytes < tightBytes:
			j.fact(c, "disk-full", "", etcdops.Possible, "disk", d.Path, text)
		}
	}
}

// hasRoom: the directory's file system was looked at, and is not even tight.
func hasRoom(d etcdops.DirFacts) bool {
	return d.Error == "" && d.TotalBytes > 0 && d.FreeBytes >= tightBytes && d.FreeInodes != 0
}

// checkClock compares a node's clock with the median of all nodes, because the
// operator's own may be the wrong one; of one or two nodes, with the
// operator's.
func (j *judge) checkClock(c *nodeCase) {
	if c.facts.Host.SkewErrorMillis < 0 {
		return
	}
	var all []int64
	for _, n := range j.f.Nodes {
		if n.Reachable && n.Host.SkewErrorMillis >= 0 {
			all = append(all, n.Host.SkewMillis)
		}
	}
	var median int64
	if len(all) > 2 {
		slices.Sort(all)
		median = all[len(all)/2]
	}
	off := c.facts.Host.SkewMillis - median
	if max(off, -off)-c.facts.Host.SkewErrorMillis <= maxSkew.Milliseconds() {
		return
	}
	sure := etcdops.Likely
	if c.healthy {
		sure = etcdops.Possible
	}
	j.fact(c, "clock-skew", "", sure, "status", strconv.FormatInt(off, 10),
		fmt.Sprintf("clock differs by %d ms (±%d)", off, c.facts.Host.SkewErrorMillis))
}

// checkCluster: this node's etcd belongs to another cluster than the one that
// is to be repaired. Its endpoint says so, or, where it is down, its own log.
func (j *judge) checkCluster(c *nodeCase) {
	if j.cluster == "" {
		return
	}
	e := etcdops.Evidence{Source: "status", Node: c.facts.Node}
	own, sure := c.facts.Endpoint.ClusterID, etcdops.Certain
	if own == "" {
		// What a process that is gone said of itself is a hint; its data may
		// have been changed since.
		sure = etcdops.Possible
		l := lastWith(c.newest(), "cluster-id")
		own = l.field("cluster-id")
		e.Source, e.Line = "log", l.n
	}
	if own == "" || sameID(own, j.cluster) {
		return
	}
	variant := ""
	if len(c.facts.Endpoint.OwnMembers) == 1 && len(j.f.Nodes) > 1 {
		variant = "alone"
	}
	e.Text = fmt.Sprintf("cluster id %s here, %s on the others", own, j.cluster)
	j.add(found{
		cause: "cluster-id-mismatch", node: c.facts.Node, confidence: sure, variant: variant, detail: own, evidence: e,
	})
}

// lastWith is the newest line of a process that names itself and has a field.
// An id of 0 stands for a WAL without its first record and is no id.
func lastWith(r *run, key string) line {
	if r == nil {
		return line{}
	}
	for i := len(r.lines) - 1; i >= 0; i-- {
		l := r.lines[i]
		if id := l.field(key); id != "" && id != "0" && l.field("local-member-id") != "" && l.field("local-member-id") != "0" {
			return l
		}
	}
	return line{}
}

// checkOwner: the data directory belongs to somebody else than the user that
// the unit runs as (rke2 issue 6466: after a restore as root), or its mode
// leaves even its owner without access.
func (j *judge) checkOwner(c *nodeCase) {
	user, d := c.facts.Unit.User, c.facts.Data
	if mode, err := strconv.ParseUint(d.Mode, 8, 32); err == nil && d.Exists && user != "" && user == d.Owner && user != "root" &&
		mode&0o700 != 0o700 && !c.facts.Unit.Running() {
		j.fact(c, "permission", "mode", etcdops.Likely, "disk", d.Mode,
			fmt.Sprintf("%s: owner %s:%s, mode %s; the unit runs as %s", d.Path, d.Owner, d.Group, d.Mode, user))
		return
	}
	if user == "" || user == "root" || user == "0" || !d.Exists || d.Owner == "" || d.Owner == user || c.facts.Unit.Running() {
		return
	}
	if isNumber(user) != isNumber(d.Owner) && !isNumber(d.Owner) {
		return // an id and a name: whether they are one person is not known here
	}
	j.fact(c, "permission", "owner", etcdops.Likely, "disk", d.Owner+" / "+user,
		fmt.Sprintf("%s: owner %s:%s, mode %s; the unit runs as %s", d.Path, d.Owner, d.Group, d.Mode, user))
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// checkPorts: the unit is down, and somebody listens where its etcd must.
func (j *judge) checkPorts(c *nodeCase) {
	if a := c.facts.Unit.Active; a != "inactive" && a != "failed" && a != "activating" || c.facts.Unit.Load == "not-found" {
		return // etcd may run without the unit
	}
	for _, p := range c.facts.Ports {
		if !p.Listening || p.PID != 0 && p.PID == c.facts.Unit.MainPID || p.Use == "metrics" {
			continue
		}
		sure := etcdops.Certain
		if c.facts.Unit.Active == "activating" && (p.PID == 0 || p.Process == "etcd") {
			// It may be the unit's own etcd: between systemctl show and the
			// look at the ports a crash loop has started the next one.
			sure = etcdops.Possible
		}
		j.fact(c, "port-in-use", "", sure, "ports", strconv.Itoa(p.Port),
			fmt.Sprintf("port %d (%s) is held by %s, pid %d", p.Port, p.Use, orUnknown(p.Process), p.PID))
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

// checkMemory: the kernel ended etcd for want of memory.
func (j *judge) checkMemory(c *nodeCase) {
	u := c.facts.Unit
	if u.Result == "oom-kill" {
		j.fact(c, "oom-killed", "", etcdops.Certain, "unit", "", unitText(u))
	}
	if len(c.facts.OOM) == 0 {
		return
	}
	sure := etcdops.Possible
	if u.Result == "oom-kill" || u.ExitCode == "killed" && u.ExitStatus == 9 {
		sure = etcdops.Certain
	}
	for _, text := range c.facts.OOM[max(0, len(c.facts.OOM)-maxEvidence):] {
		j.fact(c, "oom-killed", "", sure, "unit", "", text)
	}
}

// unitText is what systemd says of a unit, as evidence.
func unitText(u etcdops.UnitFacts) string {
	text := fmt.Sprintf("%s: %s (%s)", u.Name, u.Active, u.Sub)
	if u.Result != "" {
		text += ", result " + u.Result
	}
	if u.ExitCode != "" {
		text += fmt.Sprintf(", last exit %s %d", u.ExitCode, u.ExitStatus)
	}
	if u.Restarts > 0 {
		text += fmt.Sprintf(", %d restarts", u.Restarts)
	}
	if u.SinceSeconds > 0 {
		text += fmt.Sprintf(", since %d s", u.SinceSeconds)
	}
	return text
}
