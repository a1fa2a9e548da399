package etcdops

import (
	"fmt"
	"strconv"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// showProperties is what is asked of systemctl show.
const showProperties = "Id,LoadState,ActiveState,SubState,Result,UnitFileState,ExecMainCode,ExecMainStatus," +
	"NRestarts,MainPID,StateChangeTimestampMonotonic,StateChangeTimestamp,Restart,RestartUSec,User," +
	"DropInPaths,EnvironmentFiles,FragmentPath"

// Deadlines of the systemd commands. A unit's own stop limit is 90 s by
// default (TimeoutStopSec), so ours is longer.
const (
	quickTimeout = 20 * time.Second
	stopTimeout  = 150 * time.Second
)

// ShowUnit asks systemd about the unit; ParseUnit reads the answer.
func (h Host) ShowUnit() remote.Command {
	return remote.Command{
		Argv:   []string{"systemctl", "show", h.Unit(), "--no-pager", "--property=" + showProperties},
		Effect: remote.Read, Timeout: quickTimeout,
	}
}

// StopUnit stops the unit and waits until it is down (at most 150 s).
func (h Host) StopUnit() remote.Command {
	return remote.Command{
		Argv: []string{"systemctl", "stop", h.Unit()}, Effect: remote.Change, Timeout: stopTimeout,
	}
}

// StartNoBlock queues the start and returns: without quorum a blocking start
// waits 90 s and fails (facts-e2e-hosts). That it came up must be proved by
// other means.
func (h Host) StartNoBlock() remote.Command {
	return remote.Command{
		Argv:   []string{"systemctl", "start", "--no-block", h.Unit()},
		Effect: remote.Change, Timeout: quickTimeout,
	}
}

// RestartNoBlock queues a restart and returns; see StartNoBlock.
func (h Host) RestartNoBlock() remote.Command {
	return remote.Command{
		Argv:   []string{"systemctl", "restart", "--no-block", h.Unit()},
		Effect: remote.Change, Timeout: quickTimeout,
	}
}

// ResetFailed clears the failed state and the start limit, after which systemd
// is willing to start the unit again. It is no error when there is nothing to
// clear.
func (h Host) ResetFailed() remote.Command {
	return remote.Command{
		Argv: []string{"systemctl", "reset-failed", h.Unit()}, Effect: remote.Change, Timeout: quickTimeout,
	}
}

// HoldDown makes sure that the unit cannot start, also not after a reboot:
// systemctl mask, or, where mask refuses because the unit file itself lies in
// /etc/systemd/system (as the vendor has it), a drop-in that gives the unit a
// condition which never holds. The running process is not touched. It is
// proved by asking systemd; UnitFacts.Masked sees both ways.
func (h Host) HoldDown() remote.Command {
	return h.script("hold.sh", remote.Change, quickTimeout, msg.M("command.hold", "unit", h.Unit()),
		"hold", h.Unit(), h.dropInDir())
}

// ReleasedSuffix ends the name that the drop-in of HoldDown has after Release
// (hold.sh): no run removes a file.
const ReleasedSuffix = "-novatui-hold.conf.released"

// Release takes HoldDown back, whichever way it took. It does not start the
// unit. Nothing to take back is no error.
func (h Host) Release() remote.Command {
	return h.script("hold.sh", remote.Change, quickTimeout, msg.M("command.release", "unit", h.Unit()),
		"release", h.Unit(), h.dropInDir())
}

// JournalTail gives the last n lines of the unit's journal as JSON objects;
// ParseJournal reads them.
func (h Host) JournalTail(n int) remote.Command {
	return remote.Command{
		Argv: []string{"journalctl", "-u", h.Unit(), "-n", strconv.Itoa(n), "--no-pager", "-o", "json", "--all"},
		// A line may be long: 48 KiB is what journald keeps of one.
		Effect: remote.Read, Timeout: quickTimeout, MaxOutput: 8 << 20,
	}
}

// JournalSince gives the journal's lines from a time of the node's clock on,
// at most 1000, as JSON objects.
func (h Host) JournalSince(t time.Time) remote.Command {
	c := h.JournalTail(1000)
	c.Argv = append(c.Argv, fmt.Sprintf("--since=@%d", t.Unix()))
	return c
}

// JournalFollow writes new lines of the journal as they appear, until its
// context ends; limit bounds it all the same.
func (h Host) JournalFollow(limit time.Duration) remote.Command {
	return remote.Command{
		Argv: []string{
			"journalctl", "-u", h.Unit(), "-n", "0", "-f", "--no-pager", "-o", "short-iso", "--all",
		},
		Effect: remote.Read, Timeout: limit,
	}
}
