package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/inventory"
)

// infoJSON is the JSON of `novatui info -o json`.
type infoJSON struct {
	Schema  string     `json:"schema"`
	Version string     `json:"version"`
	Paths   []infoPath `json:"paths"`
}

// infoPath is one place that novatui reads or writes.
type infoPath struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
}

func newInfo(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "info",
		GroupID: groupProgram,
		Short:   "Print every path that novatui reads or writes",
		Long: `Print every path that novatui reads or writes on this machine: the cluster file
that would be used, the folders of cluster files, runs and saved files,
known_hosts and the SSH agent. Nothing is read from them.

Output (-o): table, json (schema novatui/info/v1).`,
		Example: `  novatui info
  novatui info -o json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			format, err := p.outputFormat("table", "json")
			if err != nil {
				return err
			}
			info := p.info()
			if format == "json" {
				return writeJSON(p.stdout, info)
			}
			t := textTable{header: []string{p.t("cmd.info.col.what"), p.t("cmd.info.col.path"), ""}}
			for _, path := range info.Paths {
				there := ""
				if !path.Exists {
					there = p.t("cmd.info.absent")
				}
				t.add(p.t("cmd.info."+path.ID), path.Path, there)
			}
			return t.write(p.stdout)
		},
	}
}

func (p *program) info() infoJSON {
	info := infoJSON{Schema: "novatui/info/v1", Version: currentVersion().Version}
	add := func(id, path string) {
		if path == "" {
			return
		}
		_, err := os.Stat(path)
		info.Paths = append(info.Paths, infoPath{ID: id, Path: path, Exists: err == nil})
	}
	if program, err := os.Executable(); err == nil {
		add("program", program)
	}
	if file, err := inventory.Find(inventory.FindOptions{Cluster: p.flags.cluster}); err == nil {
		if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		add("cluster-file", file)
	}
	add("clusters", p.clustersDir())
	add("state", p.stateDir())
	add("runs", p.runsDir())
	add("saved", p.savedDir())
	if home := p.getenv("HOME"); home != "" {
		add("known-hosts", filepath.Join(home, ".ssh", "known_hosts"))
		add("ssh-config", filepath.Join(home, ".ssh", "config"))
	}
	add("agent", p.getenv("SSH_AUTH_SOCK"))
	return info
}
