package main

import (
	"path/filepath"
)

// stateDir is where runs, saved files and labs are kept: the XDG state folder,
// also on macOS (the specification: a relative path is to be ignored).
func (p *program) stateDir() string { return p.xdg("XDG_STATE_HOME", ".local/state") }

// configDir is where cluster files are looked for.
func (p *program) configDir() string { return p.xdg("XDG_CONFIG_HOME", ".config") }

func (p *program) runsDir() string { return filepath.Join(p.stateDir(), "runs") }

func (p *program) clustersDir() string { return filepath.Join(p.configDir(), "clusters") }

func (p *program) xdg(variable, fallback string) string {
	base := p.getenv(variable)
	if !filepath.IsAbs(base) {
		base = filepath.Join(p.getenv("HOME"), fallback)
	}
	return filepath.Join(base, "novatui")
}

// savedDir is where the wizard saves plans and panes.
func (p *program) savedDir() string { return filepath.Join(p.stateDir(), "saved") }
