package etcdops

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// mirrorTimeout bounds a command that copies a piece of a journal.
	mirrorTimeout = 20 * time.Second
	// MirroredRuns is how many runs a node lists.
	MirroredRuns = 100
)

// mirrorFile is a run's file on the node.
func (h Host) mirrorFile(tag, run, file string) (string, error) {
	err := firstErr(validateTag(tag), validateTag(run))
	if err == nil && file != path.Base(file) {
		err = fmt.Errorf("%q is not the name of a file", file)
	}
	return path.Join(h.RunDir(tag), "run", run, file), err
}

// MirrorLook asks for size and sha256 of a run's file on the node;
// ParseMirror reads the answer.
func (h Host) MirrorLook(tag, run, file string) (remote.Command, error) {
	return h.mirror(remote.Read, "look", tag, run, file)
}

// MirrorAppend puts standard input (Streams.Stdin) behind the first offset
// bytes of a run's file. When the file has another size nothing is written and
// the exit status is ExitDiffers; either way ParseMirror reads its size.
func (h Host) MirrorAppend(tag, run, file string, offset int64) (remote.Command, error) {
	return h.mirror(remote.Change, "append", tag, run, file, strconv.FormatInt(offset, 10))
}

// MirrorAside renames a run's file that is not ours to ….other-N.
func (h Host) MirrorAside(tag, run, file string) (remote.Command, error) {
	return h.mirror(remote.Change, "aside", tag, run, file)
}

func (h Host) mirror(effect remote.Effect, what, tag, run, file string, more ...string) (remote.Command, error) {
	p, err := h.mirrorFile(tag, run, file)
	c := h.script("mirror.sh", effect, mirrorTimeout, msg.M("command.mirror", "path", p), append([]string{what, p}, more...)...)
	c.Quiet, c.MaxOutput = true, 4<<10
	return c, err
}

// ParseMirror reads the answer of the mirror's commands: size in bytes (-1: no
// such file) and, of a look, sha256 in hexadecimal.
func ParseMirror(out []byte) (size int64, sum string, err error) {
	v := keyValues(out)
	size, err = strconv.ParseInt(v["size"], 10, 64)
	sum = v["sum"]
	if err != nil || size < -1 || sum != "" && validateSHA256(sum) != nil {
		return 0, "", errors.New("the node does not say what it has of the run")
	}
	return size, sum, nil
}

// MirrorList lists the runs of which the node has a copy; ParseMirrored reads
// the answer.
func (h Host) MirrorList() remote.Command {
	c := h.script("mirrored.sh", remote.Read, mirrorTimeout, msg.M("command.mirror", "path", h.Path(RunsDir)),
		h.Path(RunsDir), strconv.Itoa(MirroredRuns))
	c.Quiet, c.MaxOutput = true, 64<<10
	return c
}

// MirrorFetch writes at most limit bytes of a run's file to standard output.
func (h Host) MirrorFetch(tag, run, file string, limit int64) (remote.Command, error) {
	p, err := h.mirrorFile(tag, run, file)
	return remote.Command{
		Argv: []string{"head", "-c", strconv.FormatInt(limit, 10), p}, Effect: remote.Read, Timeout: 2 * time.Minute, Quiet: true,
	}, err
}

// Mirrored is a run of which a node has a copy. The node may say anything.
type Mirrored struct {
	Tag, Run     string
	PlanBytes    int64
	JournalBytes int64
	// LastType is the type of the journal's last event, as far as it can be
	// read: empty for a line that is torn.
	LastType string
}

var eventType = regexp.MustCompile(`^\{"seq":[0-9]+,"time":"[^"]*","type":"([a-z-]+)"`)

// ParseMirrored reads the answer of MirrorList; lines that are none are left
// out.
func ParseMirrored(out []byte) []Mirrored {
	var all []Mirrored
	for line := range strings.Lines(string(out)) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "run=")
		part := strings.SplitN(rest, " ", 5)
		if !ok || len(part) < 4 || len(all) == MirroredRuns {
			continue
		}
		m := Mirrored{Tag: part[0], Run: part[1]}
		var errPlan, errJournal error
		m.PlanBytes, errPlan = strconv.ParseInt(part[2], 10, 64)
		m.JournalBytes, errJournal = strconv.ParseInt(part[3], 10, 64)
		if firstErr(errPlan, errJournal, validateTag(m.Tag), validateTag(m.Run)) != nil || m.PlanBytes < 0 || m.JournalBytes < 0 {
			continue
		}
		if len(part) == 5 {
			if found := eventType.FindStringSubmatch(part[4]); found != nil {
				m.LastType = found[1]
			}
		}
		all = append(all, m)
	}
	return all
}
