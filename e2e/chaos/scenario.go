package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is a way to hurt a repair that is under way.
type Kind string

// The kinds. Those of the operator hit novatui and its machine; the others hit
// a node or the way to it, and end by themselves.
const (
	KillBoundary Kind = "kill-boundary"  // SIGKILL right after an event is durable
	KillMiddle   Kind = "kill-middle"    // SIGKILL some time after a command was begun
	TornJournal  Kind = "torn-journal"   // the same, and half a line at the journal's end
	MachineLost  Kind = "machine-lost"   // the same, and somebody else goes on from another machine
	Freeze       Kind = "freeze"         // SIGSTOP, and SIGCONT some time later
	Terminate    Kind = "sigterm"        // once or twice
	Hangup       Kind = "sighup"         // once or twice
	Interrupt    Kind = "ctrl-c"         // once or twice
	Second       Kind = "second-one"     // another novatui tries at the same time
	Reset        Kind = "ssh-reset"      // a node's SSH connections end with a reset
	Refuse       Kind = "ssh-refused"    // and new ones too, for some time
	Hole         Kind = "ssh-black-hole" // nothing comes through, and nobody is told
	Slow         Kind = "ssh-slow"       // every piece of data comes late
	EtcdKill     Kind = "etcd-kill"      // the etcd of a node is killed; systemd starts it again
	Reboot       Kind = "reboot"
	PowerCut     Kind = "power-cut" // and some time later the power is back
	CableOut     Kind = "cable-out" // and in again
	PeersCut     Kind = "peers-cut" // a node and the others; not the operator
	SSHDFrozen   Kind = "sshd-frozen"
	DiskFull     Kind = "disk-full" // of the data, by somebody else, who cleans up
)

// ofOperator are the kinds that hit novatui's own process.
var ofOperator = []Kind{KillBoundary, KillMiddle, TornJournal, MachineLost, Freeze, Terminate, Hangup, Interrupt, Second}

// inMiddle are the kinds that kill novatui while a command runs.
var inMiddle = []Kind{KillMiddle, TornJournal, MachineLost}

// LabKinds and HostKinds are what can be done in the two worlds. A kind that is
// named more than once comes more often.
var (
	LabKinds = []Kind{
		KillBoundary, KillBoundary, KillMiddle, KillMiddle, KillMiddle, TornJournal, MachineLost, Freeze, Terminate, Hangup,
		Interrupt, Second, Reset, Refuse, Hole, Slow, EtcdKill,
	}
	HostKinds = []Kind{
		Reboot, Reboot, PowerCut, PowerCut, CableOut, CableOut, PeersCut, SSHDFrozen, SSHDFrozen, EtcdKill,
		KillMiddle, Freeze, Hangup,
	}
)

// ofNode are the kinds that take a node's member away for some time.
var ofNode = []Kind{EtcdKill, Reboot, PowerCut, CableOut, PeersCut, DiskFull}

// isolates are the kinds that keep a node's member from its peers while it runs
// or starts.
var isolates = []Kind{CableOut, PeersCut}

// Damage is what is repaired.
type Damage struct {
	Name      string `json:"name"`
	Fault     string `json:"fault"` // of suite.World.Break
	Nodes     []int  `json:"nodes"` // indices; every one for lose-all
	Procedure string `json:"procedure"`
}

// Fault is one fault and its moment.
type Fault struct {
	Kind Kind `json:"kind"`
	// Place is the step, as a part (0 to 1) of the plan's steps.
	Place float64 `json:"place"`
	// Event of that step after which it strikes, and how much later.
	Event string        `json:"event"`
	After time.Duration `json:"after"`
	// Node is an index, for what hits a node.
	Node int `json:"node"`
	// Lasts is how long what ends by itself lasts.
	Lasts time.Duration `json:"lasts"`
	// Twice: the signal comes again this much later; 0: once.
	Twice time.Duration `json:"twice"`
}

// String names a fault as a result does.
func (f Fault) String() string { return string(f.Kind) }

// hitsOperator reports whether the fault hits novatui's own process.
func (f Fault) hitsOperator() bool { return slices.Contains(ofOperator, f.Kind) }

// Scenario is one run of the campaign.
type Scenario struct {
	Seed   uint64
	Damage Damage
	Faults []Fault
	// Patient: after an interruption the operator waits until the world's faults
	// are over before he resumes. Otherwise he tries at once.
	Patient bool
}

// damages are what can be repaired, with how often they come. Index -1 is "one
// node"; two nodes are two different ones.
var damages = []struct {
	name, fault, procedure string
	nodes, weight          int
}{
	{"stop", "stop", "restart", 1, 2},
	{"kill-loop", "kill-loop", "restart", 1, 1},
	{"hang", "hang", "restart", 1, 1},
	{"stop two", "stop", "restart", 2, 2},
	{"corrupt-db", "corrupt-db", "rejoin", 1, 4},
	{"corrupt-wal", "corrupt-wal", "rejoin", 1, 3},
	{"wipe-data", "wipe-data", "rejoin", 1, 2},
	{"stale-data", "stale-data", "rejoin", 1, 1},
	{"lose-quorum", "lose-quorum", "salvage", 2, 4},
	{"lose-all", "lose-all", "restore", 3, 5},
}

// New decides a scenario of three nodes from a seed and the kinds of a world.
func New(seed uint64, kinds []Kind) Scenario {
	r := rand.New(rand.NewPCG(seed, 0x6e6f76617475)) //nolint:gosec // the same for the same seed is what is wanted
	s := Scenario{Seed: seed, Patient: r.IntN(2) == 0}
	total := 0
	for _, d := range damages {
		total += d.weight
	}
	at := r.IntN(total)
	order := r.Perm(3)
	for _, d := range damages {
		if at -= d.weight; at < 0 {
			nodes := slices.Sorted(slices.Values(order[:d.nodes]))
			s.Damage = Damage{Name: d.name, Fault: d.fault, Nodes: nodes, Procedure: d.procedure}
			break
		}
	}
	for range 1 + r.IntN(3) {
		s.Faults = append(s.Faults, s.fault(r, kinds))
	}
	return s
}

// fault decides one fault that leaves the repair possible.
func (s Scenario) fault(r *rand.Rand, kinds []Kind) Fault {
	for {
		f := Fault{
			Kind: kinds[r.IntN(len(kinds))], Place: r.Float64(), Node: r.IntN(3),
			Event: []string{"step-intent", "command", "step-done"}[r.IntN(3)],
			After: time.Duration(r.IntN(600)) * time.Millisecond,
			Lasts: 500*time.Millisecond + time.Duration(r.IntN(7500))*time.Millisecond,
		}
		if r.IntN(2) == 0 {
			f.Twice = time.Duration(1+r.IntN(800)) * time.Millisecond
		}
		if slices.Contains(inMiddle, f.Kind) {
			f.Event = "command"
		} else if f.Kind == KillBoundary {
			if f.After = 0; f.Event == "command" {
				f.Event = "step-intent"
			}
		}
		if s.bearable(f) {
			return f
		}
	}
}

// bearable leaves out what would make the damage another one, by no doing of
// the repair: the one survivor of a lost quorum must live (who was emptied would
// form a new cluster behind its back), and one that was emptied must see its
// peers for the same reason.
func (s Scenario) bearable(f Fault) bool {
	broken := slices.Contains(s.Damage.Nodes, f.Node)
	switch {
	case !slices.Contains(ofNode, f.Kind):
		return true
	case s.Damage.Fault == "lose-quorum" && !broken:
		return false
	case (s.Damage.Fault == "lose-quorum" || s.Damage.Fault == "wipe-data") && broken:
		return !slices.Contains(isolates, f.Kind)
	}
	return true
}

// String is the scenario on one line.
func (s Scenario) String() string {
	var faults []string
	for _, f := range s.Faults {
		text := fmt.Sprintf("%s %.2f %s +%v", f.Kind, f.Place, f.Event, f.After)
		if !f.hitsOperator() || f.Kind == Freeze {
			text += fmt.Sprintf(" for %v on master-%d", f.Lasts, f.Node+1)
		} else if f.Twice > 0 {
			text += fmt.Sprintf(" twice %v", f.Twice)
		}
		faults = append(faults, text)
	}
	return fmt.Sprintf("seed %d: %s on %v (%s); %s; patient %v", s.Seed, s.Damage.Name, s.Damage.Nodes, s.Damage.Procedure,
		strings.Join(faults, "; "), s.Patient)
}
