package etcdops

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/novatui/novatui/remote"
)

// What the fuzzing of each target found worth keeping lies in
// testdata/fuzz/TARGET; `go test` replays it.

// produced are samples of really broken etcd: logs and outputs of its tools.
func produced(tb testing.TB) (logs [][]string, outputs []string) {
	tb.Helper()
	files, err := filepath.Glob("diagnosis/testdata/samples/*.jsonl")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			tb.Fatal(err)
		}
		s := bufio.NewScanner(f)
		s.Buffer(nil, 8<<20)
		for n := 0; s.Scan(); n++ {
			var c struct{ Log, Etcdctl []string }
			if err := json.Unmarshal(s.Bytes(), &c); err != nil {
				tb.Fatal(err)
			}
			if n%4 == 0 {
				logs = append(logs, c.Log)
			}
			outputs = append(outputs, c.Etcdctl...)
		}
		_ = f.Close()
	}
	return logs, outputs
}

// FuzzParseJournal: both forms of a journal. The texts are clean and bounded.
func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(`{"MESSAGE":[104,105],"_PID":"1"}`))
	f.Add([]byte(`{"MESSAGE":["a",[1]]}` + "\n" + `{"MESSAGE":[[]]}`))
	f.Add([]byte(`{"MESSAGE":"x","__REALTIME_TIMESTAMP":"9223372036854775807"}`))
	f.Add([]byte(`{"MESSAGE":[[[[["a"]]]]],"__REALTIME_TIMESTAMP":"1700000000000000"}`))
	logs, _ := produced(f)
	for i, lines := range logs {
		var b bytes.Buffer
		for k, l := range lines[:min(8, len(lines))] {
			if i%2 == 0 {
				fmt.Fprintf(&b, "2026-11-03T14:00:%02d+0300 m2 etcd[12]: %s\n", k, l)
				continue
			}
			text, err := json.Marshal(l)
			if err != nil {
				f.Fatal(err)
			}
			fmt.Fprintf(&b, `{"__REALTIME_TIMESTAMP":"17000000000000%02d","_PID":"12","SYSLOG_IDENTIFIER":"etcd","MESSAGE":%s}`+"\n", k, text)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range append(ParseJournal(b), ParseJournalShort(b)...) {
			if remote.Clean(l.Text) != l.Text || remote.Clean(l.Unit) != l.Unit || len(l.Text) > maxLogLine+len("…") {
				t.Errorf("not clean or too long: %q", l.Text)
			}
			if _, err := json.Marshal(l); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzParseProbe: the answer of the probe as a whole.
func FuzzParseProbe(f *testing.F) {
	f.Add([]byte("noise\nMARK clock\n1.5\nMARK host\nuid=0\nmonotonic=1e300\nMARK env\npath=/e\nexists=1\nMARK env.text\nb64\nQT0x\nMARK end\n"))
	f.Add([]byte("MARK cert\nuse=client\npath=/c\nMARK cert.text\nhex\n00\nMARK clientkey\nb64\nAA==\nMARK running\nprocess=1 T\narg=etcd\n"))
	f.Add([]byte("MARK data\npath=/d\nspace=1 2\nmeta=a b 700 1 2 3 4\nholders=1 2\naside=/d.novatui-1\nMARK wal\ninside=1\n"))
	f.Add([]byte("MARK ports\n127.0.0.1:2379 users:((\"etcd\",pid=9,fd=3))\n: pid=\nMARK readyz\ntool=curl\nok\nstatus=200\n"))
	f.Add([]byte("MARK snapshots\n1 2 /tmp/a.db\nMARK version.etcd\npath=/x\netcd Version: 3.7.3\nMARK oom\nx\nMARK runs\n/r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := NodeFacts{Node: "n"}
		out := probeOutput{parts: splitProbe(b, "MARK"), sent: time.Unix(1, 0), first: time.Unix(2, 0)}
		out.fill(&n, Config{Readyz: "https://x"})
		if len(n.OOM) > 20 || len(n.Runs) > 200 || len(n.Running) > 100 {
			t.Errorf("%d lines of OOM, %d runs, %d processes", len(n.OOM), len(n.Runs), len(n.Running))
		}
		for _, s := range append(slices.Clone(n.OOM), n.Host.Hostname, n.Readyz.Answer, n.Data.Owner, n.Data.SELinux) {
			if remote.Clean(s) != s || strings.Contains(s, "\n") {
				t.Errorf("not clean: %q", s)
			}
		}
		// Facts are kept in plans and reports.
		if _, err := json.Marshal(n); err != nil {
			t.Error(err)
		}
	})
}

// FuzzAnswers: what the commands of the builders answer: checksums, the check
// of a snapshot, stat, systemctl show, and the JSON of etcdctl and etcdutl of
// every version.
func FuzzAnswers(f *testing.F) {
	_, outputs := produced(f)
	for _, s := range outputs {
		f.Add([]byte(s))
	}
	for _, s := range []string{
		"size=20\nsha256=" + strings.Repeat("a", 64) + "\nhash=ok\netcd=" + strings.Repeat("b", 64) + "\n",
		strings.Repeat("0", 64) + " 12 /tmp/a b\n",
		"path=/d\nkind=dir\nmeta=etcd etcd 700 1 2 3 1700000000\nparent=a b 755 1 2 3 4\nempty=1\ndf=10 20\n",
		`{"members":[{"ID":1,"name":"a","peerURLs":["http://a:2380"]}],"member":{"ID":1,"peerURLs":["http://a:2380"]}}`,
		`{"hash":1,"revision":5,"totalKey":3,"totalSize":100,"version":"3.6.0"}`,
		"result=moved\n",
		"Id=etcd.service\nLoadState=loaded\nActiveState=activating\nSubState=auto-restart\nResult=exit-code\n" +
			"ExecMainCode=1\nExecMainStatus=2\nNRestarts=7\nMainPID=0\nRestart=on-failure\nRestartUSec=5s\n" +
			"StateChangeTimestampMonotonic=1000000\nEnvironmentFiles=/etc/etcd.env (ignore_errors=no)\n",
		"RestartUSec=1min 30s 5ms\nRestartUSec=1e300h\nExecMainCode=killed\nDropInPaths=/x/90-novatui-hold.conf",
		"RestartUSec=.h\nStateChangeTimestampMonotonic=NaN\nEnvironmentFiles= (ignore_errors=yes)",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseStat(b)
		_, _ = ParseMemberAdd(b, "x")
		_, _ = ParseSnapshotStatus(b)
		ScriptResult(b)
		if sums, err := ParseSums(b); err == nil {
			for _, s := range sums {
				if validateSHA256(s.SHA256) != nil {
					t.Errorf("took %q for a sum", s.SHA256)
				}
			}
		}
		if c, err := ParseCheckSnapshot(b); err == nil && validateSHA256(c.SHA256) != nil {
			t.Errorf("took %q for a sum", c.SHA256)
		}
		if members, err := ParseMemberList(b); err == nil && len(members) == 0 {
			t.Error("no members and no error")
		}
		if _, alarm, ok := parseAlarm(string(b)); ok && strings.Trim(alarm, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("alarm %q", alarm)
		}
		u := ParseUnit(b, 12.5)
		if u.SinceSeconds < -1 || u.RestartMillis < 0 {
			t.Errorf("since %d, restart %d", u.SinceSeconds, u.RestartMillis)
		}
		for _, s := range append(slices.Clone(u.EnvironmentFiles), u.Name, u.User, u.ExitCode) {
			if remote.Clean(s) != s {
				t.Errorf("not clean: %q", s)
			}
		}
	})
}

// FuzzCerts: certificate files of a node. What is shown is clean, and nothing
// that cannot be read is called signed.
func FuzzCerts(f *testing.F) {
	a := newAuthority(f)
	base := filepath.Join(f.TempDir(), "member")
	a.issue(f, base, time.Now().Add(time.Hour))
	leaf, key := []byte(read(f, base+".pem")), []byte(read(f, base+"-key.pem"))
	f.Add(leaf, a.pem, key)
	f.Add(slices.Concat([]byte("# a comment\n"), leaf, a.pem), a.pem, []byte("x"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), leaf, key)
	f.Fuzz(func(t *testing.T, cert, ca, key []byte) {
		for _, use := range []string{"server", "ca"} {
			c := CertFacts{Use: use}
			certs := parseCert(&c, cert)
			if (len(certs) == 0) != (c.Error != "") {
				t.Fatalf("%d certificates, error %q", len(certs), c.Error)
			}
			for _, s := range append(slices.Clone(c.SANs), c.Subject, c.Issuer) {
				if remote.Clean(s) != s || !utf8.ValidString(s) {
					t.Errorf("not clean: %q", s)
				}
			}
			if _, err := json.Marshal(c); err != nil {
				t.Error(err)
			}
			authorities, err := pemCerts(ca)
			if len(certs) == 0 || err != nil {
				continue
			}
			signed := slices.ContainsFunc(authorities, func(a *x509.Certificate) bool {
				return bytes.Equal(a.RawSubject, certs[0].RawIssuer)
			})
			if chainOK(certs, authorities) && !signed && len(certs) == 1 && !slices.ContainsFunc(authorities, certs[0].Equal) {
				t.Error("signed by nobody who is there")
			}
		}
		_, _ = identity{ca: ca, cert: cert, key: key}.config(time.Now)
	})
}

// FuzzSnapshotName: names of snapshot files, alone and in a listing of them.
func FuzzSnapshotName(f *testing.F) {
	f.Add("etcd_snapshot_nova-v5.1.1_k8s-v1.27.11_2024-06-14_081538.db.tar.gz")
	f.Add("etcd_snapshot_nova-5.1.1_k8s-1.27.11+k3s1_2024-02-30_081538.db")
	f.Add("12 1700000000 /var/backups/etcd_snapshot_nova-v5_k8s-v1_2024-06-14_081538.db\n-5 99999999999999 /tmp/a b.tgz")
	f.Fuzz(func(t *testing.T, name string) {
		if s, ok := ParseSnapshotName(name); ok {
			again, ok := ParseSnapshotName(s.String())
			if !ok || again != s {
				t.Errorf("%q: %+v is written as %q", name, s, s.String())
			}
		}
		if v, ok := ParseVersion(name); ok {
			if w, ok := ParseVersion(v.String()); !ok || v != w {
				t.Errorf("%q: %v", name, v)
			}
		}
		for _, file := range parseSnapshotFiles([]byte(name), "n") {
			if validatePath(file.Path) != nil {
				t.Errorf("%q is no path", file.Path)
			}
			if _, err := json.Marshal(file); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzPeerPort: what a peer port answers over a real connection: /members and
// /version, with the headers of HTTP.
func FuzzPeerPort(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: cdf818194e3a8c32\r\nConnection: close\r\n\r\n"
	f.Add([]byte(ok + `[{"id":1,"peerURLs":["http://a:2380"],"name":"a","clientURLs":["http://a:2379"]}]`))
	f.Add([]byte(ok + `{"etcdserver":"3.6.1","etcdcluster":"3.6.0"}`))
	f.Add([]byte(ok + "[{\"ID\":18446744073709551615,\"name\":\"\\u001b[2J\",\"peerURLs\":null,\"isLearner\":true}]"))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n[]"))
	f.Add([]byte("\x16\x03\x01"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		v, err := askPeer(context.Background(), "http://10.0.0.1:2380", saying(answer), identity{}, time.Now, 5*time.Second)
		if err != nil && len(v.members) > 0 {
			t.Errorf("%v, and %d members", err, len(v.members))
		}
		for _, m := range v.members {
			for _, s := range slices.Concat([]string{m.Name}, m.PeerURLs, m.ClientURLs) {
				if remote.Clean(s) != s || !utf8.ValidString(s) {
					t.Errorf("not clean: %q", s)
				}
			}
		}
		if remote.Clean(v.version) != v.version {
			t.Errorf("not clean: %q", v.version)
		}
	})
}

// saying dials a server that takes one request and says this, whatever it is.
func saying(answer []byte) dialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer func() { _ = there.Close() }()
			if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
				_, _ = there.Write(answer)
			}
		}()
		return here, nil
	}
}
