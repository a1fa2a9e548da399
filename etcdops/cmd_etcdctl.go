package etcdops

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Deadlines of etcdctl: its own (--command-timeout) is shorter than the
// command's, so that its message is seen rather than our deadline.
const (
	memberTimeout   = 10 * time.Second
	snapshotTimeout = 10 * time.Minute
	defragTimeout   = 10 * time.Minute
)

// etcdctl makes an etcdctl command. Everything that has a variable goes into
// Env; JSON is asked for because tables differ between versions.
func (h Host) etcdctl(effect remote.Effect, limit time.Duration, endpoints []string, args ...string) remote.Command {
	shown := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--write-out") })
	argv := append([]string{h.Tool("etcdctl")}, args...)
	argv = append(argv, "--command-timeout="+strconv.Itoa(int(limit/time.Second))+"s")
	return remote.Command{
		Summary: "etcdctl " + strings.Join(shown, " "),
		Argv:    argv, Env: h.etcdctlEnv(endpoints), Effect: effect, Timeout: limit + 5*time.Second,
	}
}

// MemberList asks for the membership, confirmed by quorum (3.5 and later; 3.4
// answers from the member's own view). ParseMemberList reads it.
func (h Host) MemberList(endpoints []string) (remote.Command, error) {
	c := h.etcdctl(remote.Read, memberTimeout, endpoints, "member", "list", "--write-out=json")
	return c, validateURLs(endpoints)
}

// EndpointStatus asks each endpoint for its status, as JSON.
func (h Host) EndpointStatus(endpoints []string) (remote.Command, error) {
	c := h.etcdctl(remote.Read, memberTimeout, endpoints, "endpoint", "status", "--write-out=json")
	return c, validateURLs(endpoints)
}

// MemberRemove removes a member by its id in hexadecimal (or a slot). It
// cannot be taken back: the same data can never join again.
func (h Host) MemberRemove(endpoints []string, id string) (remote.Command, error) {
	c := h.etcdctl(remote.Destroy, memberTimeout, endpoints, "member", "remove", id, "--write-out=json")
	return c, firstErr(validateURLs(endpoints), validateMemberID(id))
}

// MemberAdd adds a member that has not started yet; ParseMemberAdd reads the
// answer. As a learner it has no vote until it is promoted; ask
// ToolVersions.CanLearner first.
func (h Host) MemberAdd(endpoints []string, name string, peerURLs []string, learner bool) (remote.Command, error) {
	args := []string{"member", "add", name, "--peer-urls=" + strings.Join(peerURLs, ",")}
	if learner {
		args = append(args, "--learner")
	}
	c := h.etcdctl(remote.Change, memberTimeout, endpoints, append(args, "--write-out=json")...)
	err := firstErr(validateURLs(endpoints), validateMemberName(name), validateURLs(peerURLs))
	if err == nil && strings.HasPrefix(name, "-") {
		err = fmt.Errorf("%q would be read as an option", name)
	}
	return c, err
}

// MemberPromote makes a learner a voter. id is hexadecimal or a slot. etcd
// refuses while the learner is behind the leader.
func (h Host) MemberPromote(endpoints []string, id string) (remote.Command, error) {
	c := h.etcdctl(remote.Change, memberTimeout, endpoints, "member", "promote", id, "--write-out=json")
	return c, firstErr(validateURLs(endpoints), validateMemberID(id))
}

// MoveLeader hands the leadership to another member; endpoint is the leader's.
func (h Host) MoveLeader(endpoint, id string) (remote.Command, error) {
	c := h.etcdctl(remote.Change, memberTimeout, []string{endpoint}, "move-leader", id)
	return c, firstErr(validateURLs([]string{endpoint}), validateMemberID(id))
}

// SnapshotSave saves a snapshot of one endpoint, with its hash, to a new file
// on this node. It asks one endpoint only: etcdctl refuses several. The
// command ends after 10 minutes whatever etcd does: snapshot save of a member
// without quorum that was restarted would hang for ever (measured, 3.6.14).
// etcdctl writes PATH.part and renames it when all is there.
func (h Host) SnapshotSave(endpoint, file string) (remote.Command, error) {
	c := h.etcdctl(remote.Change, snapshotTimeout, []string{endpoint}, "snapshot", "save", file)
	c.Timeout = snapshotTimeout
	c = c.Named(msg.M("command.snapshot-save", "endpoint", endpoint, "path", file))
	return detached(c), firstErr(validateURLs([]string{endpoint}), validatePath(file))
}

// Defrag defragments the database of one running member; the member answers
// nothing meanwhile.
func (h Host) Defrag(endpoint string) (remote.Command, error) {
	c := h.etcdctl(remote.Change, defragTimeout, []string{endpoint}, "defrag")
	return detached(c), validateURLs([]string{endpoint})
}

// Compact throws away the history before a revision (a decimal number, or a
// slot). It cannot be taken back.
func (h Host) Compact(endpoints []string, revision string) (remote.Command, error) {
	c := h.etcdctl(remote.Destroy, time.Minute, endpoints, "compaction", revision, "--physical=true")
	if n, err := strconv.ParseInt(revision, 10, 64); !isSlot(revision) && (err != nil || n <= 0) {
		return c, fmt.Errorf("%q is not a revision", revision)
	}
	return c, validateURLs(endpoints)
}

// AlarmDisarm clears all alarms. An alarm whose cause is still there comes
// back.
func (h Host) AlarmDisarm(endpoints []string) (remote.Command, error) {
	return h.etcdctl(remote.Change, memberTimeout, endpoints, "alarm", "disarm"), validateURLs(endpoints)
}

// AlarmList lists the alarms.
func (h Host) AlarmList(endpoints []string) (remote.Command, error) {
	return h.etcdctl(remote.Read, memberTimeout, endpoints, "alarm", "list", "--write-out=json"), validateURLs(endpoints)
}
