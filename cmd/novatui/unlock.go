package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/workflows/engine"
)

// leaseJSON is the JSON of `novatui unlock -o json`.
type leaseJSON struct {
	Schema  string `json:"schema"`
	Cluster string `json:"cluster"`
	// Held says whether anybody holds the cluster, Removed that it was taken
	// away just now.
	Held    bool        `json:"held"`
	Removed bool        `json:"removed"`
	Holder  *holderJSON `json:"holder,omitempty"`
	// Silent are the nodes that did not answer.
	Silent []string `json:"silent,omitempty"`
}

// holderJSON is who holds a cluster.
type holderJSON struct {
	Owner      string    `json:"owner"`
	Host       string    `json:"host"`
	Run        string    `json:"run"`
	Since      time.Time `json:"since"`
	AgeSeconds int       `json:"age_seconds"` // since the last sign of life
	Stale      bool      `json:"stale"`
	Doing      string    `json:"doing"`
	Nodes      []string  `json:"nodes"`
}

func holderOf(e *engine.LockedError) *holderJSON {
	if e == nil {
		return nil
	}
	return &holderJSON{
		Owner: e.Holder.Owner, Host: e.Holder.Host, Run: e.Holder.Run, Since: e.Holder.Since,
		AgeSeconds: int(e.Age.Seconds()), Stale: e.Stale, Doing: e.Doing, Nodes: e.Nodes,
	}
}

func newUnlock(p *program) *cobra.Command {
	var confirm string
	var force bool
	cmd := &cobra.Command{
		Use:     "unlock",
		GroupID: groupRuns,
		Short:   "Show who holds the cluster, and free it",
		Long: `Show who holds the cluster: the lease that a run keeps on every node, with its
owner, since when, what it was doing, and its last sign of life.

With --confirm and the cluster's name a lease is taken away that gave no sign of
life for 30 s. A live one is refused, unless --force is given as well: its run
stops before its next change. "resume --take-over" takes a stale lease over and
needs no unlock.

Output (-o): text, json (schema novatui/lease/v1).

Exit status: 0 free, or freed now, or shown; 1 failed, 3 another name was
confirmed, 5 refused because its run is alive.`,
		Example: `  novatui unlock
  novatui unlock --confirm prod`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.unlock(cmd.Context(), confirm, force) },
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "`CLUSTER`'s name in full: take a stale lease away")
	cmd.Flags().BoolVar(&force, "force", false, "with --confirm: take away the lease of a run that is alive")
	return cmd
}

func (p *program) unlock(ctx context.Context, confirm string, force bool) error {
	format, err := p.outputFormat("text", "json")
	if err != nil {
		return err
	}
	if force && confirm == "" {
		return usagef("give --confirm with the cluster's name as well", "--force alone does nothing")
	}
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if confirm != "" && confirm != s.cluster.Name {
		p.say("%s", p.t("cmd.confirm.wrong", "given", confirm, "cluster", s.cluster.Name))
		return fmt.Errorf("unlock: %w", engine.ErrNotConfirmed)
	}
	lease := s.lease(false)
	held, silent := lease.Holder(ctx)
	out := leaseJSON{Schema: "novatui/lease/v1", Cluster: s.cluster.Name, Held: held != nil, Holder: holderOf(held), Silent: silent}
	if len(silent) == len(lease.Nodes) {
		return fmt.Errorf("unlock: %w", errNoNode)
	}
	switch {
	case held == nil || confirm == "":
	case !held.Stale && !force:
		err = held
	default:
		if err = lease.Break(ctx, held); err == nil {
			out.Held, out.Removed = false, true
		}
	}
	if format == "json" {
		if errJSON := writeJSON(p.stdout, out); errJSON != nil {
			return errJSON
		}
	} else {
		p.showLease(out)
	}
	if err != nil {
		return p.notStarted(fmt.Errorf("unlock: %w", err))
	}
	return nil
}

// showLease says in words who holds the cluster.
func (p *program) showLease(l leaseJSON) {
	if len(l.Silent) > 0 {
		p.say("%s", p.t("cmd.lease.silent", "nodes", strings.Join(l.Silent, ", ")))
	}
	if l.Holder == nil {
		p.say("%s", p.t("cmd.lease.free", "cluster", l.Cluster))
		return
	}
	h := l.Holder
	p.say("%s", p.t("cmd.lease.holder", "cluster", l.Cluster, "owner", h.Owner, "host", h.Host, "run", h.Run,
		"since", stamp(h.Since), "nodes", strings.Join(h.Nodes, ", ")))
	p.say("%s", p.t("cmd.lease.life", "seconds", h.AgeSeconds, "doing", h.Doing))
	switch {
	case l.Removed:
		p.say("%s", p.t("cmd.lease.removed"))
	case h.Stale:
		p.say("%s", p.t("cmd.lease.take-over"))
	}
}
