// Package assets holds embedded data only: the locales, the scripts that run on
// the nodes, diagnosis rules, runbook texts, drills and themes. Code that
// gives them meaning lives with whoever uses them.
package assets

import "embed"

// Locales are the message catalogues, locales/LANGUAGE/AREA.yaml: flat maps of
// message id to text (or to plural forms one, few, many, other).
//
//go:embed locales
var Locales embed.FS

// Scripts are the POSIX shell scripts that are sent to nodes, remote/NAME.sh.
//
//go:embed remote
var Scripts embed.FS

// Drills is the list of drills, drills/drills.yaml.
//
//go:embed drills
var Drills embed.FS

// Rules are what diagnosis knows of causes and of log lines, rules/*.yaml.
//
//go:embed rules
var Rules embed.FS
