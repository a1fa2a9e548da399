// Package inventory says which machines make up a cluster: it reads the cluster
// file (docs/cluster-file.md is its reference) or takes the nodes from the
// command line, checks everything before anything is connected to, and fills
// in the defaults. Every problem names the file, the line and what to do.
package inventory

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// What is assumed where the cluster file says nothing. The layout is the one of
// the vendor's nodes and of kubespray.
const (
	DefaultUnit        = "etcd.service"
	DefaultEnvFile     = "/etc/etcd.env"
	DefaultBinDir      = "/opt/etcd"
	DefaultSnapshotDir = "/tmp"
)

// Cluster is a cluster file with every default filled in.
type Cluster struct {
	// Path is the file's absolute path; empty for nodes of the command line.
	Path string
	// Name is what the operator types in full to confirm what destroys.
	Name string
	// Environment is production, staging or lab.
	Environment string
	// Platform is auto, systemd, kubeadm or openshift.
	Platform string
	// Language is auto, en or ru.
	Language string
	// Nodes in the order of the file.
	Nodes []remote.Node
	Etcd  Etcd
	// SnapshotDirs are looked through for snapshots, as on a real host: a
	// node's Root is put before them.
	SnapshotDirs []string
	// Readyz is the readiness URL of the Kubernetes API as seen from a node;
	// empty when there is no API server to ask.
	Readyz string
}

// Etcd is where etcd lives on the nodes.
type Etcd struct {
	// Unit is the systemd unit, with its suffix.
	Unit string
	// EnvFile and BinDir are absolute, as on a real host.
	EnvFile string
	BinDir  string
}

// Problem is one thing that is wrong with a cluster file or a list of nodes.
type Problem struct {
	// File is empty for the command line; Line counts from 1, 0 is unknown.
	File string
	Line int
	// Text is one sentence on what is wrong, where, and what to do.
	Text msg.Msg
}

// Error is the problem in English, as FILE:LINE: sentence.
func (p Problem) Error() string { return msg.New("en").S(p.Message()) }

// Message is the problem with its place, for any language.
func (p Problem) Message() msg.Msg {
	file := remote.Clean(p.File)
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return msg.M("inventory.at-file", "file", file, "text", p.Text)
	}
	return msg.M("inventory.at-line", "file", file, "line", p.Line, "text", p.Text)
}

// Problems are all errors of one file, in the order of their lines.
type Problems []Problem

// Error is one problem a line, in English.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As and errors.Is each Problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

func defaults() Cluster {
	return Cluster{
		// Whoever does not say what a cluster is for gets the careful answer.
		Environment: "production",
		Platform:    "auto",
		Language:    "auto",
		Etcd:        Etcd{Unit: DefaultUnit, EnvFile: DefaultEnvFile, BinDir: DefaultBinDir},
	}
}
