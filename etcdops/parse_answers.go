package etcdops

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// This file reads what the commands of the builders answer.

// Sum is one line of FileSHA256.
type Sum struct {
	SHA256    string
	SizeBytes int64
}

// ParseSums reads the answer of FileSHA256: the sums by path.
func ParseSums(out []byte) (map[string]Sum, error) {
	sums := map[string]Sum{}
	for line := range strings.Lines(string(out)) {
		sum, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		size, name, ok := strings.Cut(rest, " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if !ok || err != nil || validateSHA256(sum) != nil {
			return nil, fmt.Errorf("not a line of sums: %q", line)
		}
		sums[name] = Sum{SHA256: sum, SizeBytes: n}
	}
	return sums, nil
}

// SnapshotHash is what the end of a snapshot file says about its content.
type SnapshotHash string

// The three answers. Missing is what a copied database file looks like, and
// what a truncated snapshot looks like.
const (
	HashOK      SnapshotHash = "ok"
	HashBad     SnapshotHash = "bad"
	HashMissing SnapshotHash = "missing"
)

// SnapshotCheck is the answer of CheckSnapshot.
type SnapshotCheck struct {
	SizeBytes int64        `json:"size_bytes"`
	SHA256    string       `json:"sha256"` // of the whole file
	Hash      SnapshotHash `json:"hash"`
	// EtcdSum is the sha256 that etcd appended, in hexadecimal, where it is
	// right.
	EtcdSum string `json:"etcd_sum,omitempty"`
	// PeerURLs are those of the members in it, also of some that were members
	// once: whose snapshot it is.
	PeerURLs []string `json:"peer_urls,omitempty"`
}

// ParseCheckSnapshot reads the answer of CheckSnapshot.
func ParseCheckSnapshot(out []byte) (SnapshotCheck, error) {
	v := keyValues(out)
	n, err := strconv.ParseInt(v["size"], 10, 64)
	c := SnapshotCheck{SizeBytes: n, SHA256: v["sha256"], Hash: SnapshotHash(v["hash"]), EtcdSum: v["etcd"]}
	if err != nil || validateSHA256(c.SHA256) != nil ||
		c.Hash != HashOK && c.Hash != HashBad && c.Hash != HashMissing ||
		(c.Hash == HashOK) != (validateSHA256(c.EtcdSum) == nil) {
		return SnapshotCheck{}, errors.New("the check of the snapshot gave no answer")
	}
	for line := range strings.Lines(string(out)) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "peers=")
		var urls []string
		if !ok || json.Unmarshal([]byte(list), &urls) != nil {
			continue // what looks like a member and is none
		}
		for _, u := range urls {
			u = remote.Clean(u)
			if p, err := url.Parse(u); err == nil && p.Host != "" && !slices.Contains(c.PeerURLs, u) {
				c.PeerURLs = append(c.PeerURLs, u)
			}
		}
	}
	return c, nil
}

// ScriptResult is the word that a changing script ends with: moved, already,
// nothing, made, set, stored, unpacked, restored, placed, copied, saved,
// masked, held, released; empty when it did not come to its end.
func ScriptResult(out []byte) string { return keyValues(out)["result"] }

func keyValues(out []byte) map[string]string {
	v := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			v[key] = value
		}
	}
	return v
}

// PathStat is what Stat says about one path.
type PathStat struct {
	Path string
	// Kind is absent, dir, file, link or other.
	Kind                        string
	Owner, Group, Mode, SELinux string
	Device, Inode               string
	SizeBytes                   int64
	Modified                    time.Time
	Empty, HasMember, Mount     bool
	// Of the file system that it lies in, or would be made in.
	TotalBytes, FreeBytes int64
}

// Exists reports whether something is there.
func (p PathStat) Exists() bool { return p.Kind != "" && p.Kind != "absent" }

// ParseStat reads the answer of Stat, by path.
func ParseStat(out []byte) (map[string]PathStat, error) {
	stats := map[string]PathStat{}
	var cur *PathStat
	keep := func() {
		if cur != nil {
			stats[cur.Path] = *cur
		}
	}
	for line := range strings.Lines(string(out)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || cur == nil && key != "path" {
			return nil, fmt.Errorf("not an answer of stat: %q", line)
		}
		switch key {
		case "path":
			keep()
			cur = &PathStat{Path: value}
		case "kind":
			cur.Kind = value
		case "meta":
			cur.meta(value)
		case "selinux":
			cur.SELinux = value
		case "empty":
			cur.Empty = true
		case "member":
			cur.HasMember = true
		case "mount":
			cur.Mount = true
		case "parent":
			// What is not there has the device of the folder it would be in.
			var up PathStat
			if up.meta(value); cur.Device == "" {
				cur.Device = up.Device
			}
		case "df":
			if f := strings.Fields(value); len(f) == 2 {
				cur.TotalBytes, cur.FreeBytes = kib(f[0]), kib(f[1])
			}
		}
	}
	keep()
	return stats, nil
}

// meta reads "owner group mode device inode size mtime".
func (p *PathStat) meta(s string) {
	f := strings.Fields(s)
	if len(f) != 7 {
		return
	}
	p.Owner, p.Group, p.Mode, p.Device, p.Inode = f[0], f[1], octalMode(f[2]), f[3], f[4]
	p.SizeBytes, _ = strconv.ParseInt(f[5], 10, 64)
	if t, err := strconv.ParseInt(f[6], 10, 64); err == nil {
		p.Modified = unixTime(t)
	}
}

// octalMode brings "700" to the four digits "0700".
func octalMode(s string) string {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%04o", n)
}

// lastSecond is the last one of the year 9999. What a node says of later times
// is nonsense, and facts with them could not be written as JSON.
const lastSecond = 253402300799

// unixTime is a time as files have it; the zero time where it cannot be one.
func unixTime(sec int64) time.Time {
	if sec < 0 || sec > lastSecond-24*3600 { // in every zone
		return time.Time{}
	}
	return time.Unix(sec, 0)
}

func kib(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<52 {
		return 0
	}
	return n * 1024
}

// wireMember is a member in the JSON of etcdctl and of the peer port's
// /members, whose keys differ in case.
type wireMember struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"isLearner"`
}

func (w wireMember) member() Member {
	return Member{
		ID: hexID(w.ID), Name: w.Name, PeerURLs: w.PeerURLs, ClientURLs: w.ClientURLs, Learner: w.Learner,
	}
}

// hexID is an id as etcdctl prints it.
func hexID(id uint64) string { return strconv.FormatUint(id, 16) }

func wireMembers(ws []wireMember) []Member {
	members := make([]Member, len(ws))
	for i, w := range ws {
		members[i] = w.member()
	}
	return members
}

// ParseMemberList reads the answer of MemberList.
func ParseMemberList(out []byte) ([]Member, error) {
	var answer struct {
		Members []wireMember `json:"members"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("reading the member list: %w", err)
	}
	if len(answer.Members) == 0 {
		return nil, errors.New("reading the member list: it is empty")
	}
	return wireMembers(answer.Members), nil
}

// MemberAdded is the answer of MemberAdd.
type MemberAdded struct {
	Member  Member
	Members []Member
	// InitialCluster is what the new member's ETCD_INITIAL_CLUSTER must be.
	InitialCluster string
}

// ParseMemberAdd reads the answer of MemberAdd; name is the one that was
// asked for, which etcd does not know before the member starts.
func ParseMemberAdd(out []byte, name string) (MemberAdded, error) {
	var answer struct {
		Member  *wireMember  `json:"member"`
		Members []wireMember `json:"members"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return MemberAdded{}, fmt.Errorf("reading the answer of member add: %w", err)
	}
	if answer.Member == nil || answer.Member.ID == 0 || len(answer.Members) == 0 {
		return MemberAdded{}, errors.New("reading the answer of member add: it names no member")
	}
	a := MemberAdded{Member: answer.Member.member(), Members: wireMembers(answer.Members)}
	var err error
	a.InitialCluster, err = InitialCluster(a.Members, a.Member.ID, name)
	return a, err
}

// InitialCluster writes members as ETCD_INITIAL_CLUSTER wants them; newID is
// the member that has no name yet, and newName its name. Any other member
// without a name is an error: it was added by somebody else and never started.
func InitialCluster(members []Member, newID, newName string) (string, error) {
	var parts []string
	for _, m := range members {
		name := m.Name
		if m.ID == newID {
			name = newName
		}
		if name == "" {
			return "", fmt.Errorf("member %s has not started and has no name", m.ID)
		}
		for _, u := range m.PeerURLs {
			parts = append(parts, name+"="+u)
		}
	}
	return strings.Join(parts, ","), nil
}

// SnapshotInfo is what the tool reads out of a snapshot.
type SnapshotInfo struct {
	Revision  int64 `json:"revision"`
	TotalKeys int64 `json:"total_keys"` // raw keys before 3.6, users' keys since
	TotalSize int64 `json:"total_size_bytes"`
	// Version is the storage version inside, from 3.6 on ("3.6.0").
	Version string `json:"version,omitempty"`
}

// ParseSnapshotStatus reads the answer of SnapshotStatus.
func ParseSnapshotStatus(out []byte) (SnapshotInfo, error) {
	var answer struct {
		Revision  *int64 `json:"revision"`
		TotalKey  int64  `json:"totalKey"`
		TotalSize int64  `json:"totalSize"`
		Version   string `json:"version"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return SnapshotInfo{}, fmt.Errorf("reading the snapshot's status: %w", err)
	}
	if answer.Revision == nil {
		return SnapshotInfo{}, errors.New("reading the snapshot's status: no revision in it")
	}
	return SnapshotInfo{
		Revision: *answer.Revision, TotalKeys: answer.TotalKey, TotalSize: answer.TotalSize, Version: answer.Version,
	}, nil
}

func hexHash(h uint32) string { return fmt.Sprintf("%08x", h) }
