package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// inventory reads what --nodes or the cluster file says. Warnings are said,
// errors are usage errors with their lines.
func (p *program) inventory() (inventory.Cluster, error) {
	if p.flags.nodes != "" {
		c, err := inventory.FromNodes(p.flags.nodes)
		return c, badFile(err, "give --nodes [user@]host[:port],...")
	}
	path, err := inventory.Find(inventory.FindOptions{
		Cluster: p.flags.cluster, ConfigHome: p.getenv("XDG_CONFIG_HOME"),
	})
	if err != nil {
		var find *inventory.FindError
		if errors.As(err, &find) {
			err = errors.New(p.msgs().S(find.Message()))
		}
		return inventory.Cluster{}, badFile(err, p.t("cmd.hint.no-cluster"))
	}
	c, warnings, err := inventory.Load(path)
	if c.Language != "" && c.Language != "auto" {
		p.fileLanguage, p.printer = c.Language, nil
	}
	for _, w := range warnings {
		p.say("%s", p.msgs().S(w.Message()))
	}
	if err != nil {
		return c, badFile(p.fileProblems(err), "docs/cluster-file.md has every key")
	}
	return c, nil
}

// fileProblems puts the problems of a cluster file into the chosen language.
func (p *program) fileProblems(err error) error {
	var all inventory.Problems
	var one inventory.Problem
	switch {
	case errors.As(err, &all):
		lines := make([]string, len(all))
		for i, problem := range all {
			lines[i] = p.msgs().S(problem.Message())
		}
		return errors.New(strings.Join(lines, "\n"))
	case errors.As(err, &one):
		return errors.New(p.msgs().S(one.Message()))
	}
	return err
}

// config is what the cluster file says about etcd.
func configOf(c inventory.Cluster) etcdops.Config {
	return etcdops.Config{
		Cluster: c.Name, Environment: c.Environment, Platform: c.Platform,
		Unit: c.Etcd.Unit, EnvFile: c.Etcd.EnvFile, BinDir: c.Etcd.BinDir,
		SnapshotDirs: slices.Clone(c.SnapshotDirs), Readyz: c.Readyz,
	}
}

// errNoNode: there is nothing to judge.
var errNoNode = errors.New("no node could be looked at")

var (
	_ engine.Conns       = (*session)(nil)
	_ engine.Reconnector = (*session)(nil)
	_ remote.Asker       = (*terminalAsker)(nil)
)

// sameCluster refuses a plan or a run of another cluster than the one that the
// cluster file describes. The name alone does not decide: labs come and go under
// one name, and what a plan says of their nodes' folders is true of one only.
func sameCluster(plan engine.Plan, c inventory.Cluster) error {
	const hint = "choose the cluster with --cluster FILE"
	if plan.Cluster != c.Name {
		return withHint(fmt.Errorf("%w: it is for cluster %q, and this is %q", engine.ErrPlanStale, plan.Cluster, c.Name), hint)
	}
	_, stored, err := workflows.Unpack(plan)
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	for _, n := range stored.Facts.Nodes {
		same := func(m remote.Node) bool { return m.Name == n.Node && m.Root == n.Root }
		if !slices.ContainsFunc(c.Nodes, same) {
			return withHint(fmt.Errorf("%w: it is for another cluster of the name %q: node %s is not the same", engine.ErrPlanStale, c.Name, n.Node), hint)
		}
	}
	return nil
}

// options are what every run of this session has in common.
func (s *session) options(plan engine.Plan, approval engine.Approval) engine.Options {
	return engine.Options{
		Plan: plan, Conns: s, Dir: s.p.runsDir(), Approval: approval,
		Version: currentVersion().Version, OnEvent: onEvent, Lease: s.lease(approval.TakeOver),
		Mirror: workflows.Mirrors{Nodes: s.cluster.Nodes, Tag: plan.Tag},
		Jobs:   etcdops.NewJobs(s.cluster.Nodes, plan.Tag),
		Asker:  s.asker,
	}
}

// lease is what keeps other runs off this session's cluster: a lock on this
// machine, and a lease on the nodes.
func (s *session) lease(takeOver bool) engine.NodeLease {
	l := engine.NodeLease{
		Local:  engine.LocalLease{Dir: s.p.runsDir()},
		Keeper: workflows.Leases{Conns: s, Nodes: s.cluster.Nodes}, TakeOver: takeOver,
	}
	for _, n := range s.cluster.Nodes {
		l.Nodes = append(l.Nodes, n.Name)
	}
	return l
}
