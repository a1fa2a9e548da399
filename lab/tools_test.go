package lab

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSystemctl walks through systemctl's verbs over SSH, on a lab whose etcd
// really starts and stops.
func TestSystemctl(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	c := dial(t, l, "master-2")
	root := l.NodeRoot("master-2")

	expect(t, c, "systemctl status etcd", 0, "● etcd.service - etcd", "Active: active (running) since ", "Main PID: ")
	expect(t, c, "systemctl is-active etcd.service", 0, "active")
	expect(t, c, "systemctl is-enabled etcd", 0, "enabled")
	expect(t, c, "systemctl is-failed etcd", 1, "active")
	a := expect(t, c, "systemctl show etcd -p ActiveState,SubState --property=MainPID", 0)
	if a.out != "MainPID="+strconv.Itoa(status(t, l)["master-2"].Unit.PID)+"\nActiveState=active\nSubState=running\n" {
		t.Errorf("show: %q", a.out)
	}
	if a := expect(t, c, "systemctl show --value -p RestartUSec etcd", 0); a.out != "2s\n" {
		t.Errorf("show --value: %q", a.out)
	}
	expect(t, c, "systemctl cat etcd", 0, "# "+filepath.Join(root, "usr/lib/systemd/system/etcd.service"), "Restart=always")

	for line, code := range map[string]int{
		"systemctl start nosuch": 5, "systemctl stop nosuch": 5, "systemctl status nosuch": 4, "systemctl is-active nosuch": 4,
		"systemctl is-enabled nosuch": 1, "systemctl cat nosuch": 1, "systemctl frobnicate etcd": 1, "systemctl --frob": 1,
		"systemctl show -p LoadState --value nosuch | grep -qx not-found": 0,
	} {
		expect(t, c, line, code)
	}
	expect(t, c, "systemctl start nosuch", 5, "Failed to start nosuch.service: Unit nosuch.service not found.")

	expect(t, c, "systemctl stop etcd", 0)
	expect(t, c, "systemctl status etcd", 3, "○ etcd.service", "Active: inactive (dead)", "Stopped etcd.service - etcd.")
	expect(t, c, "systemctl is-active etcd", 3, "inactive")
	expect(t, c, "systemctl try-restart etcd", 0)
	expect(t, c, "systemctl is-active etcd", 3, "inactive")
	if pid := status(t, l)["master-2"].Unit.PID; pid != 0 {
		t.Errorf("etcd runs as %d after stop", pid)
	}

	expect(t, c, "systemctl mask etcd", 0, "Created symlink "+filepath.Join(root, "etc/systemd/system/etcd.service")+" → /dev/null.")
	expect(t, c, "systemctl start etcd", 1, "Failed to start etcd.service: Unit etcd.service is masked.")
	expect(t, c, "systemctl is-enabled etcd", 1, "masked")
	expect(t, c, "systemctl show -p LoadState -p UnitFileState --value etcd", 0, "masked\nmasked\n")
	expect(t, c, "systemctl unmask etcd", 0, "Removed ")
	expect(t, c, "systemctl mask --runtime etcd && systemctl is-enabled etcd", 1, "masked-runtime")
	expect(t, c, "systemctl unmask etcd && systemctl is-enabled etcd", 1, "masked-runtime")
	expect(t, c, "systemctl unmask --runtime etcd && systemctl is-enabled etcd", 0, "enabled")

	expect(t, c, "systemctl start --no-block etcd", 0)
	eventually(t, l, "healthy again", healthy("master-2"))
	before := status(t, l)["master-2"].Unit.PID
	expect(t, c, "systemctl restart etcd", 0)
	if after := status(t, l)["master-2"].Unit.PID; after == before || after == 0 {
		t.Errorf("restart: pid %d, then %d", before, after)
	}
}

// TestMaskWhereTheUnitLiesInEtc holds on to what systemd 252 does with a vendor's
// layout: mask fails, and --runtime changes nothing.
func TestMaskWhereTheUnitLiesInEtc(t *testing.T) {
	l := newLab(t, Options{Keys: 100, Nodes: 1, UnitInEtc: true})
	c := dial(t, l, "master-1")
	path := filepath.Join(l.NodeRoot("master-1"), "etc/systemd/system/etcd.service")
	expect(t, c, "systemctl mask etcd", 1, `Failed to mask unit, file "`+path+`" already exists.`)
	expect(t, c, "systemctl mask --runtime etcd", 0)
	expect(t, c, "systemctl is-enabled etcd", 0, "enabled")
	expect(t, c, "systemctl restart etcd", 0)
}

// TestUnitFilesAreRead changes the unit by a drop-in, as an operator would.
func TestUnitFilesAreRead(t *testing.T) {
	l := newLab(t, Options{Keys: 100, Nodes: 1})
	c := dial(t, l, "master-1")
	dir := filepath.Join(l.NodeRoot("master-1"), "etc/systemd/system/etcd.service.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[Service]\nRestartSec=7\nEnvironment=\"ETCD_LOG_LEVEL=warn\"\n"
	if err := os.WriteFile(filepath.Join(dir, "10-test.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, c, "systemctl show --value -p RestartUSec etcd", 0, "2s")
	expect(t, c, "systemctl daemon-reload && systemctl show --value -p RestartUSec etcd", 0, "7s")
	expect(t, c, "systemctl cat etcd", 0, "10-test.conf", "RestartSec=7")
	expect(t, c, "systemctl restart etcd && tr '\\0' '\\n' </proc/$(systemctl show --value -p MainPID etcd)/environ", 0, "ETCD_LOG_LEVEL=warn")
}

func TestJournalctl(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	c := dial(t, l, "master-1")
	expect(t, c, "journalctl -u etcd --no-pager", 0, " master-1 systemd[1]: Started etcd.service - etcd.", " master-1 etcd[", "Starting etcd.service - etcd...")
	if a := expect(t, c, "journalctl -u etcd.service -n 3 -o cat", 0); strings.Count(a.out, "\n") != 3 {
		t.Errorf("-n 3: %q", a.out)
	}
	a := expect(t, c, "journalctl -u etcd -o json -n1 -q --no-pager", 0)
	var fields map[string]string
	if err := json.Unmarshal([]byte(a.out), &fields); err != nil {
		t.Fatalf("%v in %s", err, a.out)
	}
	for name, want := range map[string]string{"_HOSTNAME": "master-1", "SYSLOG_IDENTIFIER": "etcd", "_SYSTEMD_UNIT": "etcd.service", "PRIORITY": "6"} {
		if fields[name] != want {
			t.Errorf("%s=%q, want %q", name, fields[name], want)
		}
	}
	micros, err := strconv.ParseInt(fields["__REALTIME_TIMESTAMP"], 10, 64)
	if err != nil || time.Since(time.UnixMicro(micros)) > time.Hour {
		t.Errorf("time stamp %q", fields["__REALTIME_TIMESTAMP"])
	}
	mark := time.Now()
	expect(t, c, "systemctl restart etcd", 0)
	expect(t, c, "journalctl -u etcd --after-cursor '"+fields["__CURSOR"]+"' -o cat", 0, "Stopping etcd.service - etcd...", "Stopped etcd.service - etcd.")
	stamp := "@" + strconv.FormatInt(mark.Unix()+1, 10)
	expect(t, c, "journalctl -u etcd -k", 0, "-- No entries --")
	expect(t, c, "journalctl -u etcd --since '"+stamp+"' --until '1 hour ago'", 0, "-- No entries --")
	expect(t, c, "journalctl -u nosuch", 0, "-- No entries --")
	expect(t, c, "journalctl -xeu etcd -r -t systemd -o short-iso --since today", 0, "systemd[1]: Started")
	expect(t, c, "journalctl -o frob", 1, "Unknown output format 'frob'.")
	expect(t, c, "journalctl --since frob", 1, "Failed to parse timestamp: frob")
	expect(t, c, "journalctl -b -1", 1)

	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("journalctl -u etcd -f -o cat -n 1"); err != nil {
		t.Fatal(err)
	}
	seen, follows := make(chan bool, 1), make(chan struct{})
	go func() {
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); first = false {
			if first {
				close(follows)
			}
			if lines.Text() == "Stopped etcd.service - etcd." {
				seen <- true
				return
			}
		}
		seen <- false
	}()
	select {
	case <-follows:
	case <-time.After(20 * time.Second):
		t.Fatal("journalctl -f prints nothing")
	}
	expect(t, dial(t, l, "master-1"), "systemctl stop etcd", 0)
	select {
	case ok := <-seen:
		if !ok {
			t.Error("journalctl -f ended without the line")
		}
	case <-time.After(20 * time.Second):
		t.Error("journalctl -f does not follow")
	}
	_ = s.Close()
	if !until(10*time.Second, func() bool { return len(sessions(l, "master-1")) == 0 }) {
		t.Error("journalctl -f goes on after its session")
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := newJournal("h", "m", "b", 0)
	long := strings.Repeat("x", 40<<10)
	for range 3000 {
		j.add(entry{Message: long})
	}
	entries, _ := j.since(0)
	if j.bytes > journalBytes || len(entries) == 0 || entries[len(entries)-1].Seq != 3000 {
		t.Errorf("%d entries, %d bytes", len(entries), j.bytes)
	}
	for range journalEntries * 2 {
		j.add(entry{Message: "x"})
	}
	if entries, _ = j.since(0); len(entries) != journalEntries {
		t.Errorf("%d entries", len(entries))
	}
}

func TestJournalTimeStamps(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 4, 5, 0, time.Local)
	for text, want := range map[string]time.Time{
		"now": now, "today": time.Date(2026, 11, 21, 0, 0, 0, 0, time.Local), "-5min": now.Add(-5 * time.Minute),
		"2 hours ago": now.Add(-2 * time.Hour), "2026-11-20 10:00:00": time.Date(2026, 11, 20, 10, 0, 0, 0, time.Local),
		"02:00": time.Date(2026, 11, 21, 2, 0, 0, 0, time.Local), "@1700000000.5": time.UnixMicro(1700000000500000),
		"2026-11-20 10:00:00 UTC": time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC),
	} {
		if got, err := parseStamp(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v", text, got, err, want)
		}
	}
}
