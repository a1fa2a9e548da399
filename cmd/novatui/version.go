package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
)

// version is set by the linker (see the Makefile); empty in other builds.
var version string

// versionInfo is the JSON of `novatui version -o json`.
type versionInfo struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	// Etcd is the version of the etcd code inside: what the lab runs and what
	// snapshots are read with.
	Etcd string `json:"etcd"`
}

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: groupProgram,
		Short:   "Print the version",
		Long: `Print the version of novatui, of Go, and of the etcd code inside it (which the
lab runs and which reads snapshots).

Output (-o): table, json (schema novatui/version/v1).`,
		Example: `  novatui version
  novatui version -o json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			format, err := p.outputFormat("table", "json")
			if err != nil {
				return err
			}
			v := currentVersion()
			if format == "json" {
				return writeJSON(p.stdout, v)
			}
			text := "novatui " + v.Version
			if v.Revision != "" {
				text += " (" + v.Revision + ")"
			}
			if _, err := fmt.Fprintf(p.stdout, "%s\netcd %s\n%s %s\n", text, v.Etcd, v.Go, v.Platform); err != nil {
				return fmt.Errorf("writing the version: %w", err)
			}
			return nil
		},
	}
}

func currentVersion() versionInfo {
	v := versionInfo{
		Schema: "novatui/version/v1", Version: version,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Etcd: etcdversion.Version,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "development build"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

// writeJSON writes indented JSON with a newline at its end.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}
