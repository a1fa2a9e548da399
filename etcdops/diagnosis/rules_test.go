package diagnosis

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/novatui/novatui/assets"
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     line
	}{
		{"json", `{"level":"fatal","ts":"2026-11-03T14:00:00.5Z","caller":"etcdmain/etcd.go:157","msg":"discovery failed","error":"bind: \"x\"","local-member-id":"a1","stacktrace":"go\n\tmain"}`,
			line{from: fromEtcd, level: "fatal", caller: "etcdmain/etcd.go:157", msg: "discovery failed", err: `bind: "x"`, json: true, fields: []field{{"local-member-id", "a1"}}}},
		{"json cut by the journal viewer", `{"level":"warn","msg":"slow fdatasync","took":"1.2s","expected-dur`,
			line{from: fromEtcd, level: "warn", msg: "slow fdatasync", json: true, fields: []field{{"took", "1.2s"}}}},
		{"json with other values", `{"msg":"m","n":12,"list":["a","}"],"o":{"x":1},"b":true}`,
			line{from: fromEtcd, msg: "m", json: true, fields: []field{{"n", "12"}, {"list", `["a","}"]`}, {"o", `{"x":1}`}, {"b", "true"}}}},
		{"journalctl's prefix", `Nov 03 14:00:00 master-2 etcd[310]: {"level":"info","msg":"hello"}`,
			line{from: fromEtcd, pid: 310, level: "info", msg: "hello", json: true}},
		{"systemd", `Nov 03 14:00:00 master-2 systemd[1]: etcd.service: Main process exited, code=killed, status=9/KILL`,
			line{from: fromSystemd, pid: 1, msg: "etcd.service: Main process exited, code=killed, status=9/KILL"}},
		{"container runtime", `2022-02-03T22:40:02.301472214Z stderr F {"level":"info","msg":"received signal; shutting down"}`,
			line{from: fromEtcd, level: "info", msg: "received signal; shutting down", json: true}},
		{"capnslog", `2017-02-04 10:11:44.784748 C | etcdmain: open /var/lib/etcd/member: permission denied`,
			line{from: fromEtcd, level: "fatal", caller: "etcdmain", msg: "open /var/lib/etcd/member: permission denied"}},
		{"panic", `panic: freepages: failed to get all reachable pages`,
			line{from: fromEtcd, level: "panic", msg: "panic: freepages: failed to get all reachable pages"}},
		{"a table with a bar", `NAME | STATE | LEADER`, line{from: fromEtcd, msg: `NAME | STATE | LEADER`}},
		{"nothing", ``, line{from: fromEtcd}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parseLine(etcdops.LogLine{Text: c.in})
			if got.from != c.want.from || got.level != c.want.level || got.msg != c.want.msg || got.err != c.want.err ||
				got.caller != c.want.caller || got.pid != c.want.pid || got.json != c.want.json {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if len(got.fields) != len(c.want.fields) {
				t.Fatalf("fields %+v, want %+v", got.fields, c.want.fields)
			}
			for i := range got.fields {
				if got.fields[i] != c.want.fields[i] {
					t.Errorf("field %+v, want %+v", got.fields[i], c.want.fields[i])
				}
			}
			if strings.Contains(got.text, "stacktrace") {
				t.Errorf("shown with its stack trace: %s", got.text)
			}
		})
	}
}

// TestRulesAreWhole: every cause has its words in every language, and every
// id of the contract's list is a cause.
func TestRulesAreWhole(t *testing.T) {
	k, err := readRules(assets.Rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range strings.Fields(`db-corrupt wal-corrupt snap-missing data-inconsistent raft-lost-log removed-member
		cluster-id-mismatch already-bootstrapped initial-cluster-mismatch cert-expired cert-bad nospace-alarm disk-full
		slow-disk oom-killed host-crash stopped-by-supervisor port-in-use listen-addr-absent dns network-partition
		permission fd-limit lock-held clock-skew quorum-lost no-quorum-safe-guard version-mismatch known-bug
		learner-behind bad-config snapshot-file-bad data-dir-exists healthy unknown`) {
		if _, ok := k.kinds[id]; !ok {
			t.Errorf("%s is no cause", id)
		}
	}
	var ids []string
	for id, kd := range k.kinds {
		ids = append(ids, id+".title", id+".said", id+".why")
		for _, do := range kd.Do {
			ids = append(ids, "do."+do)
		}
		for _, do := range kd.DoNot {
			ids = append(ids, "dont."+do)
		}
		if kd.Data && kd.Outside {
			t.Errorf("%s is of the data and outside", id)
		}
	}
	for _, r := range k.rules {
		if r.Variant != "" {
			ids = append(ids, r.Cause+"."+r.Variant+".title", r.Cause+"."+r.Variant+".said", r.Cause+"."+r.Variant+".why")
		}
		if k.kinds[r.Cause].Data && r.Confidence == etcdops.Certain && !r.Last && r.Cause != "removed-member" {
			t.Errorf("rule %s speaks against data for certain, but not only when the process ended over it", r.ID)
		}
	}
	for _, lang := range msg.Languages {
		p := msg.New(lang)
		for _, id := range ids {
			if s := p.T("diagnosis."+id, "node", "n", "member", "m", "detail", "d"); strings.HasPrefix(s, "diagnosis.") {
				t.Errorf("%s: %s has no text", lang, id)
			}
		}
	}
}

func TestRulesAreChecked(t *testing.T) {
	causes := `[{id: a, explains: [b]}, {id: b}]`
	for _, c := range []struct{ causes, rules, want string }{
		{causes, `[{id: a/x, confidence: certain, from: f, match: [{msg: m}]}]`, ""},
		{`[{id: a, explains: [c]}]`, `[]`, "which is no cause"},
		{causes, `[{id: a, confidence: certain, from: f, match: [{msg: m}]}]`, "not CAUSE/WHAT"},
		{causes, `[{id: z/x, confidence: certain, from: f, match: [{msg: m}]}]`, "no cause"},
		{causes, `[{id: a/x, confidence: sure, from: f, match: [{msg: m}]}]`, "confidence"},
		{causes, `[{id: a/x, confidence: certain, match: [{msg: m}]}]`, "where the knowledge is from"},
		{causes, `[{id: a/x, confidence: certain, from: f, match: []}]`, "matches nothing"},
		{causes, `[{id: a/x, confidence: certain, from: f, match: [{massage: m}]}]`, "massage"},
		{causes, `[{id: a/x, confidence: certain, from: f, match: [{msg: m}], when: [never]}]`, "condition"},
		{causes, `[{id: a/x, confidence: certain, from: f, match: [{msg: m}]}, {id: a/x, confidence: certain, from: f, match: [{msg: m}]}]`, "twice"},
	} {
		_, err := readRules(fstest.MapFS{
			"rules/causes.yaml":     {Data: []byte(c.causes)},
			"rules/log-things.yaml": {Data: []byte(c.rules)},
		})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.rules, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s %s: got %v, want %q", c.causes, c.rules, err, c.want)
		}
	}
}
