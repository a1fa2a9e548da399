package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/novatui/novatui/assets/msg"
)

// FileName is the cluster file that is taken from the working directory.
const FileName = "novatui.yaml"

// ErrNotFound: there is no cluster file in any of the places.
var ErrNotFound = errors.New("no cluster file")

// ErrSeveral: the configuration folder holds more than one cluster file.
var ErrSeveral = errors.New("several cluster files")

// FindOptions say where to look. The zero value looks in the working directory
// and in the user's configuration folder.
type FindOptions struct {
	// Cluster is the value of --cluster; when given, nothing else counts.
	Cluster string
	// Dir stands for the working directory; empty is ".".
	Dir string
	// ConfigHome stands for the XDG configuration folder; empty means
	// $XDG_CONFIG_HOME or ~/.config, also on macOS.
	ConfigHome string
}

// FindError is why no cluster file was chosen. It wraps ErrNotFound or
// ErrSeveral.
type FindError struct {
	// Files are the candidates when there are several.
	Files []string
	Text  msg.Msg
	cause error
}

// Error is the English text.
func (e *FindError) Error() string { return msg.New("en").S(e.Text) }

// Message is the text for any language.
func (e *FindError) Message() msg.Msg { return e.Text }

// Unwrap gives the sentinel.
func (e *FindError) Unwrap() error { return e.cause }

// Find chooses the cluster file: --cluster, else novatui.yaml in the working
// directory, else the only *.yaml of the configuration folder's
// novatui/clusters. The error is a *FindError.
func Find(o FindOptions) (string, error) {
	if o.Cluster != "" {
		return o.Cluster, nil // Load says what is wrong with it.
	}
	here := filepath.Join(o.Dir, FileName)
	if exists(here) {
		return here, nil
	}
	dir, err := clustersDir(o.ConfigHome)
	if err != nil {
		// Without a home there is one place less to look in.
		return "", notFound("~/.config/novatui/clusters")
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return "", notFound(dir)
		}
		files = append(files, slices.DeleteFunc(found, func(f string) bool { return !exists(f) })...)
	}
	slices.Sort(files)
	switch len(files) {
	case 0:
		return "", notFound(dir)
	case 1:
		return files[0], nil
	}
	return "", &FindError{Files: files, cause: ErrSeveral, Text: msg.M("inventory.several", "files", shownAll(files))}
}

func notFound(dir string) error {
	return &FindError{cause: ErrNotFound, Text: msg.M("inventory.not-found", "file", FileName, "dir", shown(dir))}
}

func shownAll(files []string) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = shown(f)
	}
	return all
}

func clustersDir(home string) (string, error) {
	if home == "" {
		home = os.Getenv("XDG_CONFIG_HOME")
	}
	// The XDG specification: a relative path is to be ignored.
	if !filepath.IsAbs(home) {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		home = filepath.Join(user, ".config")
	}
	return filepath.Join(home, "novatui", "clusters"), nil
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// escape keeps characters of a folder's name from being read as a pattern.
func escape(dir string) string {
	var b []rune
	for _, r := range dir {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			b = append(b, '\\')
		}
		b = append(b, r)
	}
	return string(b)
}
