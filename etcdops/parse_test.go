package etcdops

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

func TestParseJournal(t *testing.T) {
	out := `{"MESSAGE":"hello\u001b[31m","_PID":"42","SYSLOG_IDENTIFIER":"etcd","__REALTIME_TIMESTAMP":"1718357862426365"}
-- cursor: s=1
{"MESSAGE":[104,105,255],"_COMM":"etcd"}
{"MESSAGE":null}
{"MESSAGE":["first","second"],"SYSLOG_IDENTIFIER":"systemd"}
{"MESSAGE":[[104,105]]}
{"MESSAGE":[300]}
not json
{"broken
`
	lines := ParseJournal([]byte(out))
	var texts []string
	for i, l := range lines {
		if l.N != i+1 {
			t.Errorf("line %d has the number %d", i+1, l.N)
		}
		texts = append(texts, l.Text)
	}
	want := []string{"hello␛[31m", "hi�", "", "first", "hi", ""}
	if !reflect.DeepEqual(texts, want) {
		t.Errorf("got %q, want %q", texts, want)
	}
	if lines[0].PID != 42 || lines[0].Unit != "etcd" || lines[1].Unit != "etcd" || lines[0].Time.UTC().Year() != 2024 {
		t.Errorf("%+v %+v", lines[0], lines[1])
	}
	short := ParseJournalShort([]byte("-- Logs begin --\n2024-06-14T12:37:55+0300 nova-master-2 etcd[96408]: {\"level\":\"info\"}\nodd line\n"))
	if len(short) != 2 || short[0].PID != 96408 || short[0].Unit != "etcd" || short[0].Text != `{"level":"info"}` ||
		short[0].Time.IsZero() || short[1].Text != "odd line" {
		t.Errorf("%+v", short)
	}
	if l := ParseJournal([]byte(`{"MESSAGE":"` + strings.Repeat("x", 100_000) + `"}`)); len(l) != 1 || len(l[0].Text) > maxLogLine+4 {
		t.Error("a long line was not bounded")
	}
}

func TestParseUnit(t *testing.T) {
	u := ParseUnit([]byte(`Restart=always
RestartUSec=1min 5s
Id=etcd.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
Result=exit-code
UnitFileState=enabled
ExecMainCode=1
ExecMainStatus=2
NRestarts=17
MainPID=0
StateChangeTimestampMonotonic=90000000
User=etcd
DropInPaths=/etc/systemd/system/etcd.service.d/90-novatui-hold.conf
EnvironmentFiles=/etc/etcd.env (ignore_errors=no)
EnvironmentFiles=/etc/other (ignore_errors=yes)
`), 100.5)
	want := UnitFacts{
		Name: "etcd.service", Load: "loaded", Active: "activating", Sub: "auto-restart", Result: "exit-code",
		UnitFile: "enabled", ExitCode: "exited", ExitStatus: 2, Restarts: 17, SinceSeconds: 10, Restart: "always",
		RestartMillis: 65000, User: "etcd", Held: true, EnvironmentFiles: []string{"/etc/etcd.env", "/etc/other"},
	}
	if !reflect.DeepEqual(u, want) || !u.Masked() || u.Running() {
		t.Errorf("got  %+v\nwant %+v", u, want)
	}
	if u := ParseUnit(nil, -1); u.SinceSeconds != -1 || u.Masked() {
		t.Errorf("nothing: %+v", u)
	}
}

func TestSnapshotNames(t *testing.T) {
	const name = "etcd_snapshot_nova-v5.1.1_k8s-v1.27.11_2024-06-14_081538.db.tar.gz"
	s, ok := ParseSnapshotName(name)
	if !ok || s.NovaVersion != "5.1.1" || s.KubernetesVersion != "1.27.11" || !s.Archive || s.String() != name ||
		!s.TakenAt.Equal(time.Date(2024, 6, 14, 8, 15, 38, 0, time.UTC)) {
		t.Errorf("%+v, %v, %s", s, ok, s)
	}
	for _, bad := range []string{"", "snapshot.db", name + "x", "x" + name, strings.Replace(name, "06-14", "13-41", 1), "../" + name} {
		if _, ok := ParseSnapshotName(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		tools ToolVersions
		tool  string
		bump  bool
		hash  bool
		learn bool
	}{
		{ToolVersions{Etcd: "3.7.3", Etcdctl: "3.7.3", Etcdutl: "3.7.3"}, "etcdutl", true, true, true},
		{ToolVersions{Etcd: "3.6.16", Etcdctl: "3.6.16"}, "", false, false, true},
		{ToolVersions{Etcd: "3.5.10", Etcdctl: "3.5.10"}, "etcdctl", true, false, true},
		{ToolVersions{Etcd: "3.5.9", Etcdctl: "3.5.9", Etcdutl: "3.5.9"}, "etcdutl", false, false, true},
		{ToolVersions{Etcd: "3.5.6", Etcdctl: "3.5.6", Etcdutl: "3.5.6"}, "etcdutl", false, false, false},
		{ToolVersions{Etcd: "3.4.26", Etcdctl: "3.4.26"}, "etcdctl", false, false, true},
		{ToolVersions{Etcd: "3.4.27", Etcdctl: "3.4.27"}, "etcdctl", true, false, true},
		{ToolVersions{}, "", false, false, false},
	} {
		tool, err := c.tools.SnapshotTool()
		if tool != c.tool || (err != nil) != (c.tool == "") || c.tools.CanBump() != c.bump ||
			c.tools.CanHashKV() != c.hash || c.tools.CanLearner() != c.learn {
			t.Errorf("%+v: %q %v bump %v hash %v learner %v", c.tools, tool, err, c.tools.CanBump(), c.tools.CanHashKV(), c.tools.CanLearner())
		}
	}
	for _, bad := range []string{"", "3", "3.x.1", "3.5.1.2", "-3.5.1", "3.5.99999999999999999999"} {
		if v, ok := ParseVersion(bad); ok {
			t.Errorf("%q is %v", bad, v)
		}
	}
	v36, v37 := Version{3, 6, 14}, Version{3, 7, 0}
	if RunsDataOf(v36, v37) || !RunsDataOf(v37, v36) || !RunsDataOf(v36, Version{3, 6, 20}) {
		t.Error("which version starts on which data")
	}
}

func TestRunningProcesses(t *testing.T) {
	got := ownProcesses(parseProcesses([]byte(`process=7 Ssl
arg=/lab/n1/opt/etcd/etcd
arg=--password=secret

process=8 Tl
args=/lab/n1/opt/etcd/etcd --name etcd1

process=9 R
arg=/lab/n1/opt/etcd/etcd
arg=--version

process=10 S
arg=/lab/n2/opt/etcd/etcd
`)), "/lab/n1")
	want := []ProcessFacts{
		{PID: 7, Argv: []string{"/lab/n1/opt/etcd/etcd", "--password=***"}},
		{PID: 8, Argv: []string{"/lab/n1/opt/etcd/etcd", "--name", "etcd1"}, StoppedState: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseAlarm(t *testing.T) {
	for _, s := range []string{"memberID:10501334649042878790 alarm:NOSPACE ", "memberID:10501334649042878790  alarm:NOSPACE"} {
		if id, alarm, ok := parseAlarm(s); !ok || id != 10501334649042878790 || alarm != "NOSPACE" {
			t.Errorf("%q: %d %s %v", s, id, alarm, ok)
		}
	}
	if _, _, ok := parseAlarm("etcdserver: no leader"); ok {
		t.Error("that is no alarm")
	}
}

// torn is a connection whose command never ends, after it said something.
type torn struct{ localConn }

func (c *torn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	mark := cmd.Argv[4]
	fmt.Fprintf(s.Stdout, "motd\n\n%s clock\n1718357862.5\n\n%s host\nhostname=h\nuid=0\n\n%s unit\nActiveState=fai", mark, mark, mark)
	return remote.Result{}, fmt.Errorf("lost: %w", remote.ErrOutcomeUnknown)
}

func (c *torn) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, remote.ErrUnreachable
}

type oneConn struct{ conn remote.Conn }

func (o oneConn) Conn(context.Context, string) (remote.Conn, error) { return o.conn, nil }

func TestTornProbeTellsWhatCame(t *testing.T) {
	n := remote.Node{Name: "n"}
	c := NewCollector(Config{}, []remote.Node{n}, oneConn{&torn{localConn{node: n}}})
	f, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := f.Nodes[0]
	if got.Host.Hostname != "h" || got.ErrorKind != "unreachable" || got.Error == "" || got.Ports != nil {
		t.Errorf("%+v", got)
	}
}

func TestStatusTable(t *testing.T) {
	f := Facts{
		Nodes: []NodeFacts{
			{Node: "a", Unit: UnitFacts{Active: "active", Sub: "running"}, Endpoint: EndpointFacts{
				Answers: true, Healthy: true, MemberID: "1f", LeaderID: "1f", DBSize: 151_000_000, Revision: 7, RaftTerm: 2}},
			{Node: "b", Error: "no route", Endpoint: EndpointFacts{Error: "refused"}},
		},
		Members: []Member{{ID: "1f", Name: "etcd1", Node: "a"}, {ID: "2f", Name: "etcd2", Node: "b"}, {ID: "3f", Name: "etcd9"}},
	}
	v := Verdict{Members: []MemberVerdict{{Node: "a", State: StateHealthy}, {Member: f.Members[2], State: StateUnreachable}}}
	header, rows := StatusTable(f, v)
	if len(rows) != 3 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		if len(r) != len(header) {
			t.Errorf("%d cells under %d headers: %q", len(r), len(header), r)
		}
	}
	got := strings.Join(rows[0], "|")
	if got != "a|etcd1|-|1f|healthy|active (running)|-|151 MB|0 B|true|false|2|0|0|7|-|" {
		t.Errorf("got %s", got)
	}
	if rows[1][16] != "no route; refused" || rows[2][4] != "unreachable" {
		t.Errorf("%q %q", rows[1], rows[2])
	}
}

func TestMembersOfOtherClusters(t *testing.T) {
	// A node that came up as a cluster of its own does not decide who is a
	// member (facts-etcd 38).
	env := func(peer string) EnvFacts {
		return EnvFacts{Values: map[string]string{"ETCD_INITIAL_ADVERTISE_PEER_URLS": peer}}
	}
	main := []Member{{ID: "a", Name: "e1", PeerURLs: []string{"https://N1.local:2380/"}}, {ID: "b", Name: "e2", PeerURLs: []string{"https://10.0.0.2:2380"}}}
	f := Facts{Nodes: []NodeFacts{
		{Node: "n0", Env: env("https://10.0.0.9:2380"), Endpoint: EndpointFacts{ClusterID: "lone", Healthy: true,
			OwnMembers: []Member{{ID: "x", Name: "e9"}}, OwnMembersFrom: FromLocal}},
		{Node: "n1", Env: env("https://n1.local:2380"), Endpoint: EndpointFacts{ClusterID: "main", Healthy: true, OwnMembers: main, OwnMembersFrom: FromLocal}},
		{Node: "n2", Address: "10.0.0.2", Endpoint: EndpointFacts{ClusterID: "main", Healthy: true}},
	}}
	mergeMembers(&f, map[string]answer{"n0": {confirmed: f.Nodes[0].Endpoint.OwnMembers}, "n1": {confirmed: main}})
	if f.MembersFrom != FromLinearizable || len(f.Members) != 2 || f.Members[0].Node != "n1" || f.Members[1].Node != "n2" {
		t.Errorf("%s: %+v", f.MembersFrom, f.Members)
	}
}

func TestProbeChangesNothing(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{
			"etc/etcd.env": "ETCD_DATA_DIR='" + "@" + "'\n", "data/member/snap/db": "x", "tmp/a.db": "y",
			"etc/machine-id": "abc\n",
		})
		env := filepath.Join(dir, "etc/etcd.env")
		write(t, env, `ETCD_DATA_DIR="`+strings.NewReplacer(`"`, `\"`, `$`, `\$`).Replace(dir)+`/data"`+"\n")
		before := listing(t, dir)
		cmd := probeCommand(Config{Unit: "etcd.service", EnvFile: "/etc/etcd.env", BinDir: "/opt", SnapshotDirs: []string{"/tmp"}},
			remote.Node{Name: "n", Root: dir}, "MARK", nil)
		out, errOut, status := runScript(shell, "", "probe.sh", cmd.Argv[4:]...)
		if status != 0 || errOut != "" {
			t.Errorf("%v: status %d, %s", shell, status, errOut)
		}
		var n NodeFacts
		o := probeOutput{parts: splitProbe([]byte(out), "MARK"), sent: time.Now(), first: time.Now()}
		o.fill(&n, Config{})
		if n.Data.Path != dir+"/data" || !n.Data.HasDB || len(n.Snapshots) != 1 || n.Host.MachineID != "abc" {
			t.Errorf("%v: data %+v, snapshots %v", shell, n.Data, n.Snapshots)
		}
		if got := listing(t, dir); !reflect.DeepEqual(got, before) {
			t.Errorf("%v: the probe changed something: %v", shell, got)
		}
	}
}

func TestProbeWithoutTools(t *testing.T) {
	// Nothing but a shell and what POSIX has: absent facts, no failure.
	bin := t.TempDir()
	for _, tool := range []string{"awk", "sort", "cat", "head", "tail", "tr", "sed", "od", "cut", "wc", "ls", "grep", "id", "date", "uname", "ps", "df", "du"} {
		for _, dir := range []string{"/usr/bin", "/bin"} {
			if _, err := os.Stat(dir + "/" + tool); err == nil {
				_ = os.Symlink(dir+"/"+tool, bin+"/"+tool)
				break
			}
		}
	}
	dir := tree(t, map[string]string{"etc/etcd.env": "ETCD_NAME=x\n"})
	cmd := probeCommand(Config{EnvFile: "/etc/etcd.env"}, remote.Node{Root: dir}, "MARK", nil)
	conn := &localConn{env: []string{"PATH=" + bin}}
	var out bytes.Buffer
	res, err := conn.Run(t.Context(), cmd, remote.Streams{Stdout: &out})
	if err != nil || res.Exit != 0 {
		t.Fatalf("status %d, %v: %s", res.Exit, err, res.Stderr)
	}
	var n NodeFacts
	o := probeOutput{parts: splitProbe(out.Bytes(), "MARK"), sent: time.Now(), first: time.Now()}
	o.fill(&n, Config{})
	if n.Env.Name() != "x" || n.Env.Error != "" || n.Versions.Etcd != "" || n.Unit.Active != "" {
		t.Errorf("%+v", n)
	}
	if last := o.parts[len(o.parts)-1].name; last != "end" {
		t.Errorf("the last part is %s", last)
	}
}
