package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/novatui/novatui/etcdops/diagnosis"
)

// explainFlags are the flags of `novatui explain`.
type explainFlags struct {
	peers     []string
	etcdctl   []string
	unitState string
	members   int
	down      int
	version   string
}

func newExplain(p *program) *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:     "explain [FILE|-]...",
		GroupID: groupRepair,
		Short:   "Say what a pasted etcd log means; connects to nothing",
		Long: `Read the journal or container log of a member that is in trouble (FILE, or - for
what is piped in), and say the cause, the lines that it rests on, what to do and
what not to do. Nothing is connected to, nothing is changed.

Every form is read: JSON and older text, with or without what journalctl, docker
or kubectl puts before it, panics, lines of systemd and of the kernel, of k3s,
rke2 and kubeadm. A file may be as long as it likes; it is read once.

More helps: a healthy member's log, what etcdctl printed, how many members there
are and how many are down. Where the evidence does not carry a choice, the
remedy is unsafe-to-act.

Output (-o): table, json (schema novatui/explain/v1).
Exit status: 0 when there is an answer, also "unknown"; 2 for a file that cannot
be read.`,
		Example: `  journalctl -u etcd -n 5000 | novatui explain
  kubectl logs -n kube-system etcd-m2 --previous | novatui explain --members 3 --down 1
  novatui explain m2.log --peers-log m1.log --etcdctl status.txt --etcdctl members.txt
  novatui explain m2.log --unit-state "failed" -o json | jq -r .remedy`,
		RunE: func(_ *cobra.Command, args []string) error { return p.explain(args, f) },
	}
	fl := c.Flags()
	fl.StringArrayVar(&f.peers, "peers-log", nil, "log of a healthy member: `FILE`; may be repeated")
	fl.StringArrayVar(&f.etcdctl, "etcdctl", nil, "what etcdctl printed: `FILE`; may be repeated")
	fl.StringVar(&f.unitState, "unit-state", "", "`STATE` of the unit, container or pod, as it is shown")
	fl.IntVar(&f.members, "members", diagnosis.Unknown, "how many members the cluster has: `N`")
	fl.IntVar(&f.down, "down", diagnosis.Unknown, "how many of them are down: `N`")
	fl.StringVar(&f.version, "etcd-version", "", "`VERSION` of etcd, where no line names it")
	fl.SortFlags = false
	_ = c.MarkFlagFilename("peers-log")
	_ = c.MarkFlagFilename("etcdctl")
	return c
}

// explain reads the texts and prints the answer.
func (p *program) explain(files []string, f explainFlags) error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	if err := p.checkExplain(&files, f); err != nil {
		return err
	}
	in := diagnosis.Input{UnitState: f.unitState, Members: f.members, Down: f.down, Version: f.version}
	if in.Members <= 0 {
		in.Members = diagnosis.Unknown
	}
	if in.Down < 0 {
		in.Down = diagnosis.Unknown
	}
	var opened []io.Closer
	defer func() {
		for _, c := range opened {
			_ = c.Close() // read only: nothing can be lost
		}
	}()
	for _, part := range []struct {
		names []string
		into  *[]diagnosis.Text
	}{{files, &in.Log}, {f.peers, &in.Peers}, {f.etcdctl, &in.Etcdctl}} {
		for _, name := range part.names {
			t, c, err := p.openText(name)
			if err != nil {
				return err
			}
			opened = append(opened, c)
			*part.into = append(*part.into, t)
		}
	}
	x, err := diagnosis.Explain(in)
	if err != nil {
		return badFile(err, "give text files: what journalctl, kubectl logs or etcdctl print")
	}
	if format == "json" {
		return writeJSON(p.stdout, explanationAsJSON(x, p.msgs()))
	}
	return writeExplanation(p.stdout, x, p.msgs())
}

// checkExplain refuses what cannot be meant. Without a file, what is piped in
// is the log.
func (p *program) checkExplain(files *[]string, f explainFlags) error {
	const hint = "novatui explain --help shows how it is used"
	switch {
	case f.members >= 0 && f.down > f.members && f.members != 0:
		return usagef("--down counts the members that are down, --members all of them", "%d of %d members cannot be down", f.down, f.members)
	case f.members < diagnosis.Unknown || f.down < diagnosis.Unknown:
		return usagef(hint, "the number of members is negative")
	}
	if f.version != "" && !diagnosis.IsVersion(f.version) {
		return usagef("a version looks like 3.5.9", "--etcd-version %q is not a version", f.version)
	}
	stdin := 0
	for _, list := range [][]string{*files, f.peers, f.etcdctl} {
		for _, name := range list {
			if name == "-" {
				stdin++
			}
		}
	}
	if stdin > 1 {
		return usagef("save one of them to a file", "- is given more than once")
	}
	if len(*files)+len(f.peers)+len(f.etcdctl) > 0 || f.unitState != "" {
		return nil
	}
	if p.stdin == nil || term.IsTerminal(int(p.stdin.Fd())) {
		return usagef("give a file, or pipe one in: journalctl -u etcd | novatui explain", "nothing to explain")
	}
	*files = []string{"-"}
	return nil
}

// openText opens a file; a folder is none.
func (p *program) openText(name string) (diagnosis.Text, io.Closer, error) {
	if name == "-" {
		return diagnosis.Text{Name: "-", R: p.stdin}, io.NopCloser(p.stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return diagnosis.Text{}, nil, badFile(err, "")
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s: %w", name, errIsFolder)
	}
	if err != nil {
		_ = f.Close()
		return diagnosis.Text{}, nil, badFile(err, "")
	}
	return diagnosis.Text{Name: name, R: f}, f, nil
}

var errIsFolder = errors.New("is a folder, not a file")
