package etcdops

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/remote"
)

// jobGrace is how much longer the follower of a job may take than the job: ten
// seconds go by before timeout(1) kills what does not end by itself.
const jobGrace = 30 * time.Second

// jobPrefix begins what detach.sh says for itself, and exitNoStatus is its own
// exit status.
const (
	jobPrefix    = "novatui-job: "
	exitNoStatus = 97
)

// jobKey is what a folder of jobs may be called.
var jobKey = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,199}$`)

// Jobs runs commands with remote.Command.Detach in sessions of their own on the
// nodes: each in a folder jobs/KEY of the node's run folder (Host.RunDir), which
// detach.sh describes. What is in that folder decides whether the command is
// started or followed.
type Jobs struct {
	nodes []remote.Node
	tag   string
}

// NewJobs makes the jobs of one plan, by its tag. Its nodes decide where their
// run folders lie.
func NewJobs(nodes []remote.Node, tag string) Jobs { return Jobs{slices.Clone(nodes), tag} }

// Wrap gives the command that starts c on a node under a key unless that key was
// started there before, and follows it: it writes what c writes, stdout and
// stderr from the given bytes on, and ends with c's status. Its Timeout is
// longer than that of c, which bounds c on the node.
func (j Jobs) Wrap(node string, c remote.Command, key string, outFrom, errFrom int64) (remote.Command, error) {
	i := slices.IndexFunc(j.nodes, func(n remote.Node) bool { return n.Name == node })
	switch {
	case i < 0:
		return c, fmt.Errorf("no node %q to run a job on", node)
	case !jobKey.MatchString(key):
		return c, fmt.Errorf("%q cannot be the key of a job", key)
	case outFrom < 0 || errFrom < 0:
		return c, fmt.Errorf("job %s: followed from bytes %d and %d", key, outFrom, errFrom)
	}
	dir := path.Join(Host{Facts: NodeFacts{Root: j.nodes[i].Root}}.RunDir(j.tag), "jobs", key)
	if err := firstErr(c.Validate(), validateTag(j.tag), validatePath(dir)); err != nil {
		return c, err
	}
	seconds := int64((c.Timeout + time.Second - 1) / time.Second)
	argv := append([]string{
		dir, strconv.FormatInt(seconds, 10), strconv.FormatInt(outFrom, 10), strconv.FormatInt(errFrom, 10),
	}, c.Argv...)
	w := c
	w.Argv = append([]string{"/bin/sh", "-c", cachedScript("detach.sh"), "novatui"}, argv...)
	w.Detach, w.Timeout = false, c.Timeout+jobGrace
	return w, nil
}

// Mark begins the line that a follower writes first, on both outputs. What comes
// before it is not the job's: sudo complains on stderr.
func (Jobs) Mark() string { return jobPrefix }

// Fate tells whether the end of a wrapped command is that of the job: its exit
// status, and the last bytes of stderr. Otherwise the error wraps
// remote.ErrOutcomeUnknown: with remote.ErrJobGone when the job ended without a
// status and nothing of it runs any more, with context.DeadlineExceeded when its
// time was up and it was ended; or it is remote.ErrNotStarted.
func (Jobs) Fate(exit int, tail []byte) error {
	lines := strings.Split(strings.TrimSuffix(string(tail), "\n"), "\n")
	said, ok := strings.CutPrefix(lines[len(lines)-1], jobPrefix)
	if exit != exitNoStatus || !ok {
		return nil
	}
	word, reason, _ := strings.Cut(said, ": ")
	reason = remote.Clean(reason)
	switch word {
	case "lost":
		return fmt.Errorf("%w: %w: %s", remote.ErrOutcomeUnknown, remote.ErrJobGone, reason)
	case "late":
		return fmt.Errorf("%w: %w: %s", remote.ErrOutcomeUnknown, context.DeadlineExceeded, reason)
	case "unstarted":
		return fmt.Errorf("%w: %s", remote.ErrNotStarted, reason)
	}
	return nil
}
