//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// typedOnce are the runbook's first commands, typed on a healthy member, and
// typedEach those that it has an engineer type on every node, the dead one
// included, to find out what ails it (vendor documents 000 and 002: health,
// list, status; service, journal; and the disk, the first suspect). Each is an
// ssh of its own with etcdctl's own time limits.
var (
	typedOnce = []string{"CTL endpoint health --cluster --write-out=table", "CTL member list --write-out=table",
		"CTL endpoint status --cluster --write-out=table"}
	typedEach = []string{"systemctl status etcd --no-pager", "journalctl -u etcd -n 100 --no-pager", "df -h /var/lib/etcd",
		"CTL endpoint health", "CTL endpoint status", "CTL member list"}
)

// BenchmarkDiagnose looks at a cluster of which one member's database is
// corrupt: by novatui diagnose, and by the runbook's commands one after the
// other. Nobody has to read or to type between them.
func BenchmarkDiagnose(b *testing.B) {
	h := start(b, hosts.Options{})
	c := named(b, "corrupt-db")
	c.Break(b, h)
	suite.Diagnose(b, h) // reads the program into the page cache
	var ours, theirs time.Duration
	for b.Loop() {
		began := time.Now()
		d := suite.Diagnose(b, h)
		ours += time.Since(began)
		if d.Recommended.Procedure != c.Procedure || d.State != "degraded" {
			b.Fatalf("it finds the cluster %s and recommends %s", d.State, d.Recommended.Procedure)
		}
		theirs += typed(b, h)
	}
	ratio := ours.Seconds() / theirs.Seconds()
	b.ReportMetric(ours.Seconds()/float64(b.N), "diagnose-s/op")
	b.ReportMetric(theirs.Seconds()/float64(b.N), "typed-s/op")
	b.ReportMetric(ratio, "diagnose/typed")
	b.ReportMetric(0, "ns/op")
	b.Log(verdict("diagnose/typed", ratio, targetTyped))
}

// typed runs the commands and gives the time of all. Those that ask a dead
// member fail, which is an answer.
func typed(b *testing.B, h *hosts.Hosts) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), suite.Limit)
	defer cancel()
	answered, began := 0, time.Now()
	ask := func(node, command string) {
		command = strings.Replace(command, "CTL", "set -a; . /etc/etcd.env; set +a; /opt/etcd/etcdctl", 1)
		out, err := h.Operate(ctx, "ssh", "-q", "-F", "none", "-i", "id_ed25519", "-o", "UserKnownHostsFile=known_hosts",
			"-o", "IdentitiesOnly=yes", "root@"+h.Address(node), command).CombinedOutput()
		if len(out) == 0 {
			b.Fatalf("%s: %s: no output, %v", node, command, err)
		}
		if err == nil {
			answered++
		}
	}
	for _, command := range typedOnce {
		ask("master-1", command)
	}
	for _, node := range h.Nodes() {
		for _, command := range typedEach {
			ask(node, command)
		}
	}
	took := time.Since(began)
	if least := 2*len(typedEach) + 1; answered < least {
		b.Fatalf("%d commands succeeded, at least %d should", answered, least)
	}
	return took
}

// timeline tells where a run's time went, from its events: each stage, each
// step's parts, and the commands that took long.
func timeline(b *testing.B, began time.Time, events []byte) string {
	b.Helper()
	type event struct {
		Seq, Ref                      uint64
		Time                          time.Time
		Type, Stage, Step, Node, Line string
	}
	var out strings.Builder
	say := func(from, to time.Time, format string, args ...any) {
		fmt.Fprintf(&out, "%7.2f %7.2f %7.2f  %s\n", from.Sub(began).Seconds(), to.Sub(began).Seconds(), to.Sub(from).Seconds(), fmt.Sprintf(format, args...))
	}
	var last event
	open, commands := map[string]time.Time{}, map[uint64]event{}
	for line := range bytes.Lines(events) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			b.Fatalf("an event: %v: %s", err, line)
		}
		switch e.Type {
		case "run-started":
			say(began, e.Time, "before the run")
		case "stage-started", "step-intent":
			open[e.Stage+e.Step] = e.Time
		case "stage-done":
			say(open[e.Stage], e.Time, "stage %s", e.Stage)
		case "step-done":
			say(open[e.Stage+e.Step], e.Time, "  %s", e.Step)
		case "command":
			commands[e.Seq] = e
		case "command-end":
			if c := commands[e.Ref]; e.Time.Sub(c.Time) > 200*time.Millisecond {
				line, _, _ := strings.Cut(c.Line, "\n")
				say(c.Time, e.Time, "    %s: %.100s", c.Node, line)
			}
			delete(commands, e.Ref)
		}
		last = e
	}
	for _, seq := range slices.Sorted(maps.Keys(commands)) {
		fmt.Fprintf(&out, "no end: %.100s\n", commands[seq].Line)
	}
	say(last.Time, time.Now(), "after the last event")
	return out.String()
}
