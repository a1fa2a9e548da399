package screens

import (
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// member is one row of the status table.
type member struct {
	node, name string
	state      etcdops.MemberState
	leader     bool
	endpoint   etcdops.EndpointFacts
	lag        int64
	// age is how long ago the values were true, zero for now.
	age time.Duration
}

// look is how a member state looks.
type look struct {
	mark  theme.Mark
	token theme.Token
}

var looks = map[etcdops.MemberState]look{
	etcdops.StateHealthy:      {theme.OK, theme.Good},
	etcdops.StateLearner:      {theme.Busy, theme.Accent},
	etcdops.StateUnstarted:    {theme.Busy, theme.Warn},
	etcdops.StateStarting:     {theme.Busy, theme.Warn},
	etcdops.StateFailed:       {theme.Fail, theme.Bad},
	etcdops.StateStopped:      {theme.Fail, theme.Bad},
	etcdops.StateNotAnswering: {theme.Fail, theme.Bad},
	etcdops.StateNoQuorum:     {theme.Caution, theme.Warn},
	etcdops.StateRemoved:      {theme.Idle, theme.Dim},
	etcdops.StateUnreachable:  {theme.Unknown, theme.Warn},
	etcdops.StateWrongCluster: {theme.Fail, theme.Bad},
	etcdops.StateInconsistent: {theme.Fail, theme.Bad},
	etcdops.StateUnknown:      {theme.Unknown, theme.Warn},
}

// stateWord is a member state in words.
func (s *Session) stateWord(st etcdops.MemberState) string {
	return s.P.Or("ui.state."+string(st), string(st))
}

// status is a member state as mark and word.
func (s *Session) status(st etcdops.MemberState) string {
	l, ok := looks[st]
	if !ok {
		l = looks[etcdops.StateUnknown]
	}
	return s.T.Status(l.mark, l.token, s.stateWord(st))
}

// judged are the rows of a verdict: the nodes in their order, then members
// that belong to none of them.
func judged(f etcdops.Facts, v etcdops.Verdict) []member {
	var rows []member
	placed := map[string]bool{}
	for _, n := range f.Nodes {
		row := member{node: n.Node, state: etcdops.StateUnknown, endpoint: n.Endpoint, lag: -1, name: n.Env.Name()}
		if m, ok := v.MemberOn(n.Node); ok {
			row.fill(m)
		}
		placed[n.Node] = true
		rows = append(rows, row)
	}
	for _, m := range v.Members {
		if m.Node == "" || !placed[m.Node] {
			row := member{node: m.Node, lag: -1}
			row.fill(m)
			rows = append(rows, row)
		}
	}
	return rows
}

func (r *member) fill(m etcdops.MemberVerdict) {
	r.state, r.leader, r.lag = m.State, m.Leader, m.Lag
	if m.Member.Name != "" {
		r.name = m.Member.Name
	}
}

// live are the rows of a cheap look, which nobody has judged: only what the
// facts say outright.
func live(f etcdops.Facts) []member {
	var newest uint64
	for _, n := range f.Nodes {
		newest = max(newest, n.Endpoint.RaftIndex)
	}
	rows := make([]member, 0, len(f.Nodes))
	for _, n := range f.Nodes {
		e := n.Endpoint
		row := member{
			node: n.Node, name: n.Env.Name(), state: liveState(f, n), endpoint: e,
			leader: e.Answers && e.IsLeader(), lag: -1,
		}
		if m, ok := f.MemberOf(n.Node); ok && m.Name != "" {
			row.name = m.Name
		}
		if e.Answers && newest >= e.Applied {
			row.lag = int64(newest - e.Applied)
		}
		rows = append(rows, row)
	}
	return rows
}

func liveState(f etcdops.Facts, n etcdops.NodeFacts) etcdops.MemberState {
	_, isMember := f.MemberOf(n.Node)
	e := n.Endpoint
	switch {
	case !n.Reachable:
		return etcdops.StateUnreachable
	case e.Answers && e.Learner:
		return etcdops.StateLearner
	case e.Answers && e.Healthy:
		return etcdops.StateHealthy
	case e.Answers && e.LeaderID == "":
		return etcdops.StateNoQuorum
	case n.Unit.Active == "activating" || n.Unit.Active == "reloading":
		return etcdops.StateStarting
	case n.Unit.Active == "failed":
		return etcdops.StateFailed
	case !isMember && f.MembersFrom == "linearizable":
		return etcdops.StateRemoved
	case n.Unit.Active == "inactive" || n.Unit.Active == "deactivating":
		return etcdops.StateStopped
	case n.Unit.Active == "active":
		return etcdops.StateNotAnswering
	}
	return etcdops.StateUnknown
}

// memberTable renders the status table. Wide terminals get more columns.
func (s *Session) memberTable(rows []member, chosen, w int) []string {
	title := func(id string) string { return s.P.T("ui.col." + id) }
	cols := []column{
		{title: title("node")},
		{title: title("member"), drop: 4},
		{title: title("state"), min: 15},
		{title: title("leader"), mid: true},
		{title: title("term"), right: true, min: 4, drop: 6},
		{title: title("applied"), right: true, min: 9, drop: 7},
		{title: title("revision"), right: true, min: 9, drop: 5},
		{title: title("db"), right: true, min: 6, drop: 3},
		{title: title("lag"), right: true, min: 4, drop: 2},
		{title: title("inuse"), right: true, min: 6, drop: 10},
		{title: title("version"), right: true, drop: 8},
		{title: title("hash"), right: true, min: 8, drop: 9},
		{title: title("answer"), right: true, min: 6, drop: 11},
		{title: title("age"), right: true, min: 4, drop: 1},
	}
	old := false
	cells := make([][]cell, len(rows))
	for i, r := range rows {
		cells[i] = s.memberCells(r)
		old = old || r.age > 0
	}
	if !old { // no column for what is nowhere
		cols = cols[:len(cols)-1]
		for i := range cells {
			cells[i] = cells[i][:len(cols)]
		}
	}
	return s.table(cols, cells, chosen, w)
}

func (s *Session) memberCells(r member) []cell {
	l, ok := looks[r.state]
	if !ok {
		l = looks[etcdops.StateUnknown]
	}
	node := r.node
	if node == "" {
		node = "–"
	}
	star := ""
	if r.leader {
		star = s.T.Glyph(theme.Leader)
	}
	e := r.endpoint
	value := theme.Plain
	if r.age > 0 {
		value = theme.Dim
	}
	number := func(known bool, t string) cell {
		if !known {
			return cell{"–", theme.Dim}
		}
		return cell{t, value}
	}
	age := ""
	if r.age > 0 {
		age = s.P.Duration(r.age)
	}
	return []cell{
		{text: node},
		{text: text.Clean(r.name)},
		{s.T.Glyph(l.mark) + " " + s.stateWord(r.state), l.token},
		{star, theme.Accent},
		number(e.Answers, text.Int(int64(e.RaftTerm))),
		number(e.Answers, text.Int(int64(e.Applied))),
		number(e.Answers, text.Int(e.Revision)),
		number(e.Answers, s.P.Bytes(e.DBSize)),
		number(r.lag >= 0, text.Int(r.lag)),
		number(e.Answers, s.P.Bytes(e.DBSizeInUse)),
		number(e.Version != "", text.Clean(e.Version)),
		number(e.Hash != "", text.Clean(e.Hash)),
		number(e.Answers, s.P.T("ui.unit.ms", "v", e.TookMillis)),
		{age, theme.Dim},
	}
}

// aged shows the last known values, with their age, of members whose etcd has
// answered before and does not now.
func (s *Session) aged(rows []member) []member {
	for i, r := range rows {
		last, ok := s.seen[r.node]
		if r.endpoint.Answers || !ok {
			continue
		}
		rows[i].endpoint = last.endpoint
		rows[i].endpoint.Answers = true
		rows[i].age = max(time.Second, s.Now().Sub(last.at))
		rows[i].lag = -1
	}
	return rows
}

// asOf says how old a table is, when it is.
func (s *Session) asOf(at time.Time, err error) msg.Msg {
	age := s.Now().Sub(at)
	switch {
	case err != nil:
		return msg.M("ui.table.failed", "age", s.P.Ago(age), "error", err.Error())
	case age > 2*refreshEvery:
		return msg.M("ui.table.old", "age", s.P.Ago(age))
	}
	return msg.Msg{}
}
