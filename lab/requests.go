package lab

import (
	"context"
	"encoding/json"
	"fmt"
)

// handle answers one request of the control port.
func (s *supervisor) handle(ctx context.Context, r request, w *replyWriter) reply {
	switch r.Op {
	case opTool:
		for _, n := range s.nodes {
			if n.Name == r.Node {
				return reply{Exit: n.tool(ctx, r.Tool, r.Args, outWriter{w}, errWriter{w})}
			}
		}
		return failure(fmt.Errorf("%w: no node %q", ErrBadNodes, r.Node))
	case opStatus:
		b, err := json.Marshal(s.status(ctx))
		if err != nil {
			return failure(err)
		}
		return reply{Result: b}
	case opBreak:
		s.breakMu.Lock()
		defer s.breakMu.Unlock()
		if err := s.breakNodes(ctx, r.Fault, r.Nodes); err != nil {
			s.logf("break %s: %v", r.Fault, err)
			return failure(err)
		}
		return reply{}
	case opDown:
		s.down()
		return reply{}
	}
	return failure(fmt.Errorf("unknown operation %q", r.Op))
}
