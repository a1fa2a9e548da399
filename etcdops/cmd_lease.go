package etcdops

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// leaseTimeout bounds a command of the lease: it is a handful of system
	// calls.
	leaseTimeout = 10 * time.Second
	// ExitFenced is how a fenced command ends that was not run, because the
	// lease is no longer its sender's. FenceMark begins its standard error.
	ExitFenced = 97
	FenceMark  = "novatui-fence: "
)

// HostAt gives the builders of a node of which no facts are known: those that
// need nothing but paths.
func HostAt(n remote.Node) Host {
	return Host{Facts: NodeFacts{Node: n.Name, Address: n.Address, Root: n.Root}}
}

// leaseDir holds the lease of a node.
func (h Host) leaseDir() string { return h.Path(RunsDir) }

// LeaseTake takes the lease of a node for token (hexadecimal), with a record of
// one line. over, when not empty, is the token of the lease that may be taken
// over. ParseLease reads from the answer whose it is then.
func (h Host) LeaseTake(token, record, over string) (remote.Command, error) {
	c := h.lease(remote.Change, "take", token, record, over)
	err := firstErr(validateToken(token), validateRecord(record))
	if err == nil && over != "" {
		err = validateToken(over)
	}
	return c, err
}

// LeaseRenew says that the holder is alive, and what it is doing (record). Of a
// lease that is not token's nothing is changed.
func (h Host) LeaseRenew(token, record string) (remote.Command, error) {
	return h.lease(remote.Change, "renew", token, record), firstErr(validateToken(token), validateRecord(record))
}

// LeaseRelease gives the lease back, if it is token's, and takes away what
// token left.
func (h Host) LeaseRelease(token string) (remote.Command, error) {
	return h.lease(remote.Change, "release", token), validateToken(token)
}

// LeaseLook asks who has the lease.
func (h Host) LeaseLook() remote.Command { return h.lease(remote.Read, "look", "") }

func (h Host) lease(effect remote.Effect, what, token string, more ...string) remote.Command {
	c := h.script("lease.sh", effect, leaseTimeout, msg.M("command.lease", "path", path.Join(h.leaseDir(), "lease")),
		append([]string{what, h.leaseDir(), token}, more...)...)
	c.Quiet, c.MaxOutput = true, 16<<10
	return c
}

// Fenced wraps a command so that the node first compares its lease with token,
// and otherwise ends with ExitFenced without running it.
func (h Host) Fenced(token string, c remote.Command) remote.Command {
	c.Argv = append([]string{"/bin/sh", "-c", cachedScript("fence.sh"), "novatui",
		path.Join(h.leaseDir(), "lease"), "lease." + token}, c.Argv...)
	return c
}

// LeaseSeen is what a node says of its lease.
type LeaseSeen struct {
	// Token is the holder's; empty: nobody holds it; "-": something is in its
	// place that is no lease.
	Token string
	// Age is how long ago it was renewed, by the node's clock. A clock that was
	// set back can make it negative.
	Age time.Duration
	// Record is what the holder wrote, at most 8 KiB; it may be anything.
	Record []byte
}

// ParseLease reads the answer of the lease's commands.
func ParseLease(out []byte) (LeaseSeen, error) {
	v := keyValues(out)
	held, ok := v["held"]
	if !ok {
		return LeaseSeen{}, errors.New("the node says nothing of its lease")
	}
	seen := LeaseSeen{Token: held, Record: []byte(v["record"])}
	if held == "" {
		return seen, nil
	}
	if held != "-" && validateToken(held) != nil {
		return LeaseSeen{}, fmt.Errorf("the node's lease has the token %q", remote.Clean(held))
	}
	age, err := strconv.ParseInt(v["age"], 10, 32)
	if err != nil {
		return LeaseSeen{}, fmt.Errorf("the age of the node's lease: %w", err)
	}
	seen.Age = time.Duration(age) * time.Second
	return seen, nil
}

func validateToken(token string) error {
	bad := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }
	if token == "" || len(token) > 64 || strings.IndexFunc(token, bad) >= 0 {
		return fmt.Errorf("%q cannot be the token of a lease", token)
	}
	return nil
}

func validateRecord(record string) error {
	if record == "" || len(record) > 8<<10 || strings.ContainsAny(record, "\n\x00") {
		return errors.New("the record of a lease is one line of at most 8 KiB")
	}
	return nil
}
