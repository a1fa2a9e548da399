package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/workflows/engine"
)

func newReport(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "report [RUN]",
		GroupID: groupRuns,
		Short:   "Print the report of a run",
		Long: `Print the report of a run as Markdown: what is proved and what is not, what was
changed on which node, what was lost, what remains to be done, where the data
that were set aside lie. Without RUN: of the newest run. --lang chooses the
language. No connection is made: the proofs are those taken right after the
run, and a run that nobody looked at afterwards says so.

Output (-o): markdown, json (schema novatui/report/v1).`,
		Example: `  novatui report
  novatui report RUN --lang ru > report.md`,
		Args:              atMost(1),
		ValidArgsFunction: p.completeRuns,
		RunE: func(_ *cobra.Command, args []string) error {
			format, err := p.outputFormat("markdown", "json")
			if err != nil {
				return err
			}
			id, err := p.chooseRun(args)
			if err != nil {
				return err
			}
			r, err := p.loadReport(id)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(p.stdout, r)
			}
			if _, err := fmt.Fprint(p.stdout, r.markdown(p.msgs())); err != nil {
				return fmt.Errorf("writing the report: %w", err)
			}
			return nil
		},
	}
}

// chooseRun is the run that was named, or the newest.
func (p *program) chooseRun(args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	if runs := p.storedRuns(""); len(runs) > 0 {
		return runs[0].ID, nil
	}
	return "", usagef("novatui runs lists what there is", "there is no run yet")
}

// loadReport reads a run's report, or makes one from the journal for a run
// that ended without (a crash), which then proves nothing.
func (p *program) loadReport(id string) (runReport, error) {
	var r runReport
	plan, events, err := engine.LoadRun(p.runsDir(), id)
	if errors.Is(err, fs.ErrNotExist) {
		return r, usagef("novatui runs lists what there is", "no run %q", id)
	}
	if err != nil {
		return r, fmt.Errorf("reading run %s: %w", id, err)
	}
	state := engine.Replay(events)
	dir := filepath.Join(p.runsDir(), id)
	b, err := os.ReadFile(filepath.Join(dir, reportJSONFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return buildReport(dir, plan, state, lookedAt{}), nil
	case err != nil:
		return r, fmt.Errorf("reading the report: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading the report of run %s: %w", id, err)
	}
	// A run that went on after its report was written makes that one old.
	if r.Schema != reportSchema || !r.Ended.Equal(state.Ended) {
		return buildReport(dir, plan, state, lookedAt{}), nil
	}
	return r, nil
}

// writeReport stores a report in the run's folder: as data, and as Markdown in
// the chosen language.
func (p *program) writeReport(dir string, r runReport) (runReport, error) {
	r.Report.Markdown = ""
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return r, fmt.Errorf("encoding the report: %w", err)
	}
	if err := writeFileWhole(filepath.Join(dir, reportJSONFile), append(b, '\n')); err != nil {
		return r, err
	}
	r.Report.Markdown = r.markdown(p.msgs())
	if err := writeFileWhole(filepath.Join(dir, reportMarkdownFile), []byte(r.Report.Markdown)); err != nil {
		return r, err
	}
	return r, nil
}
