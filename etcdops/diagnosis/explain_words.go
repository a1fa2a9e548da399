package diagnosis

import (
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// answer puts the explanation together.
func (x *explainer) answer() Explanation {
	out := Explanation{Lines: x.lines}
	var reason string
	out.Remedy, reason = x.remedy()
	for i, c := range x.causes {
		e := x.words(c)
		if i == 0 {
			e.Do = x.advice(out.Remedy, e.Do)
		}
		out.Causes = append(out.Causes, e)
	}
	best := x.causes[0]
	out.Verdict = msg.M("explain.verdict", "cause", out.Causes[0].Title,
		"sure", msg.M("diagnosis.confidence."+string(best.sure)), "remedy", msg.M("explain.remedy."+string(out.Remedy)))
	out.Why = msg.M("explain.why."+reason, "members", x.members, "down", x.down)
	return out
}

// advice makes what a cause says is to be done fit the remedy: nobody is told
// to rejoin where that was withheld.
func (x *explainer) advice(remedy Remedy, do []msg.Msg) []msg.Msg {
	drop := func(ids ...string) {
		do = slices.DeleteFunc(do, func(m msg.Msg) bool { return slices.Contains(ids, m.ID) })
	}
	switch remedy {
	case RemedyRejoin:
		if !slices.ContainsFunc(do, func(m msg.Msg) bool { return m.ID == "diagnosis.do.rejoin" }) {
			drop("diagnosis.do.wait-or-promote")
			do = append(do, msg.M("diagnosis.do.rejoin", x.names("")...))
		}
	case RemedyRestore:
		drop("diagnosis.do.rejoin", "diagnosis.do.bring-back-majority")
		do = append(do, msg.M("explain.do.restore"))
	case RemedyUnsafe:
		drop("diagnosis.do.rejoin", "diagnosis.do.restart", "diagnosis.do.then-restart")
		do = append(do, msg.M("explain.do.find-out"))
	case RemedyNone:
		do = nil
	case RemedyWait:
		drop("diagnosis.do.restart", "diagnosis.do.then-restart")
	case RemedyRestart:
		drop("diagnosis.do.rejoin", "diagnosis.do.look-at-log")
		if !slices.ContainsFunc(do, func(m msg.Msg) bool { return m.ID == "diagnosis.do.restart" }) {
			do = append(do, msg.M("diagnosis.do.restart", x.names("")...))
		}
	default:
		drop("diagnosis.do.rejoin")
	}
	return do
}

// ofNode are the texts that stand in the genitive before the node's name,
// which some languages decline.
var ofNode = []string{"diagnosis.do.free-space", "diagnosis.do.fix-clock", "diagnosis.clock-skew.why"}

// names are the arguments of a text that speaks of a node and a member:
// a pasted log does not say what they are called.
func (x *explainer) names(id string) []any {
	here := msg.M("explain.this-node")
	if slices.Contains(ofNode, id) {
		here = msg.M("explain.of-this-node")
	}
	return []any{"node", here, "member", msg.M("explain.this-member"), "detail", ""}
}

// words gives a cause its texts.
func (x *explainer) words(c weighed) ExplainedCause {
	kd := x.know.kinds[c.id]
	id := "diagnosis." + c.id
	if c.variant != "" {
		id += "." + c.variant
	}
	out := ExplainedCause{
		ID: c.id, Confidence: c.sure, Evidence: slices.Clone(c.evidence),
		Title: msg.M(id + ".title"), Why: msg.M(id+".why", x.names(id+".why")...),
	}
	if c.sure == "" {
		out.Confidence = etcdops.Possible
	}
	for _, name := range kd.Do {
		out.Do = append(out.Do, msg.M("diagnosis.do."+name, x.names("diagnosis.do."+name)...))
	}
	for _, name := range kd.DoNot {
		out.DoNot = append(out.DoNot, msg.M("diagnosis.dont."+name, x.names("diagnosis.dont."+name)...))
	}
	return out
}
