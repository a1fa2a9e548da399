package chaos

import (
	"context"
	"os/exec"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/novatui/novatui/e2e/suite"
)

// World is a cluster of three that can be broken, and hurt while it is
// repaired.
type World interface {
	suite.World
	// About names the world and etcd's version.
	About() (world, version string)
	// Command is novatui as an operator runs it on a machine whose state is in
	// the given folder. ctx's end kills it.
	Command(ctx context.Context, state string, env []string, args ...string) *exec.Cmd
	// Client is one of etcd's own, of one node's member.
	Client(node string) (*clientv3.Client, error)
	// Path is a file of a node as this machine sees it.
	Path(node, path string) string
	// Running reports whether a process of etcd runs on the node.
	Running(ctx context.Context, node string) (bool, error)
	// Strike does what hits a node, and returns when it is over.
	Strike(ctx context.Context, f Fault) error
	// Clean takes away what novatui left on the nodes.
	Clean(ctx context.Context) error
}
