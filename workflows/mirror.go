package workflows

import (
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// Mirrors makes the commands that copy a run's plan and journal to the nodes
// (engine.Mirror): below the run folder of the plan's tag.
type Mirrors struct {
	Nodes []remote.Node
	Tag   string
}

var _ engine.Mirror = Mirrors{}

// Look implements engine.Mirror.
func (m Mirrors) Look(node, run, file string) (remote.Command, error) {
	h, err := hostOf(m.Nodes, node)
	if err != nil {
		return remote.Command{}, err
	}
	return h.MirrorLook(m.Tag, run, file)
}

// Append implements engine.Mirror.
func (m Mirrors) Append(node, run, file string, offset int64) (remote.Command, error) {
	h, err := hostOf(m.Nodes, node)
	if err != nil {
		return remote.Command{}, err
	}
	return h.MirrorAppend(m.Tag, run, file, offset)
}

// Aside implements engine.Mirror.
func (m Mirrors) Aside(node, run, file string) (remote.Command, error) {
	h, err := hostOf(m.Nodes, node)
	if err != nil {
		return remote.Command{}, err
	}
	return h.MirrorAside(m.Tag, run, file)
}

// Answer implements engine.Mirror.
func (m Mirrors) Answer(out []byte) (size int64, sum string, err error) {
	return etcdops.ParseMirror(out)
}
