package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/lab"
)

func newLab(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lab up|status|break|down",
		GroupID: groupLearn,
		Short:   "A training cluster of real etcd members on this machine",
		Long: `Make, look at, break and take down a lab: real etcd members with mutual TLS as
ordinary processes of this user, an SSH server in front of each node, units and
journals as systemd has them, some thousands of Kubernetes keys, and a snapshot
archive on every node. No root is needed, and several labs can run at once.`,
		Example: `  novatui lab up --dir /tmp/lab
  novatui lab break corrupt-db --node master-2 --dir /tmp/lab
  novatui --cluster /tmp/lab/novatui.yaml
  novatui lab down --dir /tmp/lab`,
		Args: cobra.ArbitraryArgs,
		RunE: needsSubcommand,
	}
	cmd.AddCommand(newLabUp(p), newLabStatus(p), newLabBreak(p), newLabDown(p))
	return cmd
}

func newLabUp(p *program) *cobra.Command {
	var o lab.Options
	cmd := &cobra.Command{
		Use:   "up [--dir DIR] [--nodes N]",
		Short: "Start a lab in the background and print its cluster file",
		Long: `Start a lab in the background, wait until every member is healthy, and print the
path of its cluster file. The lab runs until "lab down", also after this
terminal is closed.

DIR must be new or empty; without --dir a temporary folder is made.`,
		Example: `  novatui lab up
  novatui lab up --dir /tmp/lab --nodes 5
  novatui diagnose --cluster "$(novatui lab up)"`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Up(cmd.Context(), o)
			if err != nil {
				return labError(err)
			}
			if _, err := fmt.Fprintln(p.stdout, l.ClusterFile()); err != nil {
				return fmt.Errorf("writing the path of the cluster file: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "`DIR` for the lab: new, or empty")
	cmd.Flags().IntVar(&o.Nodes, "nodes", 3, "how many members, 1 to 9")
	cmd.Flags().StringVar(&o.Platform, "platform", "systemd", "layout of the nodes; systemd is the only one so far")
	_ = cmd.MarkFlagDirname("dir")
	return cmd
}

// labDir adds the flag that says which lab is meant.
func labDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", "", "`DIR` of the lab")
	_ = cmd.MarkFlagDirname("dir")
}

func openLab(cmd *cobra.Command, dir string) (*lab.Lab, error) {
	if dir == "" {
		return nil, usagef("it is the folder of the cluster file that lab up printed", "%s needs --dir", cmd.CommandPath())
	}
	l, err := lab.Open(dir)
	return l, labError(err)
}

// labError makes usage errors of what the operator named wrongly.
func labError(err error) error {
	switch {
	case errors.Is(err, lab.ErrNotRunning):
		return withHint(err, "novatui lab down --dir DIR clears away what is left of it")
	case errors.Is(err, lab.ErrUnknownFault):
		return usagef("novatui lab break --list names them", "%w", err)
	case errors.Is(err, lab.ErrBadNodes):
		return usagef("novatui lab status --dir DIR names the nodes", "%w", err)
	case errors.Is(err, lab.ErrBadOptions), errors.Is(err, lab.ErrNoLab), errors.Is(err, lab.ErrNotEmpty), errors.Is(err, lab.ErrRunning):
		return usagef("give a new or empty folder to lab up, and the same one to the others", "%w", err)
	}
	return err
}

func newLabStatus(p *program) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "status --dir DIR",
		Short: "Print what a lab is doing",
		Long: `Print each node of a lab with its unit, its faults and what its etcd answers, as
the lab itself knows it: the truth that a diagnosis can be compared with.

Output (-o): table, json (schema novatui/lab/v1).`,
		Example: `  novatui lab status --dir /tmp/lab
  novatui lab status --dir /tmp/lab -o json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := p.outputFormat("table", "json")
			if err != nil {
				return err
			}
			l, err := openLab(cmd, dir)
			if err != nil {
				return err
			}
			status, err := l.Status(cmd.Context())
			if err != nil {
				return fmt.Errorf("asking the lab: %w", err)
			}
			if format == "json" {
				return writeJSON(p.stdout, status)
			}
			return p.printLab(status)
		},
	}
	labDir(cmd, &dir)
	return cmd
}

func (p *program) printLab(s lab.Status) error {
	t := textTable{header: []string{
		p.t("cmd.col.node"), p.t("cmd.col.member"), p.t("cmd.lab.col.unit"), p.t("cmd.lab.col.etcd"),
		">" + p.t("cmd.col.revision"), p.t("cmd.lab.col.faults"), ">SSH",
	}}
	for _, n := range s.Nodes {
		faults := ""
		for _, f := range n.Faults {
			faults += f.Name + " "
		}
		t.add(n.Name, n.Member, n.Unit.Active+" ("+n.Unit.Sub+")", p.labEtcd(n.Etcd),
			strconv.FormatInt(n.Etcd.Revision, 10), faults, strconv.Itoa(n.SSHPort))
	}
	if err := t.write(p.stdout); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, s.ClusterFile)
	if err != nil {
		return fmt.Errorf("writing the state of the lab: %w", err)
	}
	return nil
}

func (p *program) labEtcd(e lab.EtcdStatus) string {
	switch {
	case e.Healthy && e.Leader:
		return p.t("cmd.lab.leader")
	case e.Healthy:
		return p.t("state.healthy")
	case e.Learner:
		return p.t("state.learner")
	case e.Answers && !e.HasLeader:
		return p.t("state.no-quorum")
	}
	return p.t("state.not-answering")
}

func newLabBreak(p *program) *cobra.Command {
	var (
		dir   string
		nodes []string
		list  bool
	)
	cmd := &cobra.Command{
		Use:   "break FAULT [--node NODE]... --dir DIR",
		Short: "Inject a fault into a lab",
		Long: `Inject a fault into a lab, wait until its effect can be seen, and return. Without
--node the fault chooses where it belongs. Faults are for labs only: nothing
here can touch a cluster that is not a lab.`,
		Example: `  novatui lab break --list
  novatui lab break corrupt-db --node master-2 --dir /tmp/lab
  novatui lab break lose-quorum --dir /tmp/lab`,
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return atMost(0)(cmd, args)
			}
			return exactly("a fault (--list names them)")(cmd, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return faultNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return p.listFaults()
			}
			l, err := openLab(cmd, dir)
			if err != nil {
				return err
			}
			if err := l.Break(cmd.Context(), args[0], nodes...); err != nil {
				return labError(err)
			}
			p.say("%s", p.t("cmd.lab.broken", "fault", args[0]))
			return nil
		},
	}
	labDir(cmd, &dir)
	cmd.Flags().StringSliceVar(&nodes, "node", nil, "`NODE` to break; may be given several times")
	cmd.Flags().BoolVar(&list, "list", false, "name the faults")
	return cmd
}

func newLabDown(p *program) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down --dir DIR",
		Short: "End a lab and remove its files",
		Long: `End a lab: when this returns, no process of it runs and none of its files is
left. It works also when the lab's supervisor was killed.`,
		Example: `  novatui lab down --dir /tmp/lab`,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("it is the folder of the cluster file that lab up printed", "%s needs --dir", cmd.CommandPath())
			}
			if err := lab.Cleanup(context.WithoutCancel(cmd.Context()), dir); err != nil {
				return labError(err)
			}
			return nil
		},
	}
	labDir(cmd, &dir)
	return cmd
}

func faultNames() []string {
	var names []string
	for _, f := range lab.Faults() {
		names = append(names, f.Name)
	}
	return names
}

// listFaults prints what can be broken.
func (p *program) listFaults() error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	type fault struct {
		Name        string   `json:"name"`
		Description string   `json:"description"`
		Nodes       []string `json:"nodes"`
	}
	var all []fault
	t := textTable{header: []string{p.t("cmd.lab.col.fault"), p.t("cmd.lab.col.nodes"), p.t("cmd.drill.col.what")}}
	for _, f := range lab.Faults() {
		text := p.msgs().S(f.Description)
		all = append(all, fault{f.Name, text, f.Nodes})
		t.add(f.Name, strings.Join(f.Nodes, ", "), text)
	}
	if format == "json" {
		return writeJSON(p.stdout, map[string]any{"schema": "novatui/faults/v1", "faults": all})
	}
	return t.write(p.stdout)
}
