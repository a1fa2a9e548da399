//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// The targets: of the playbook's time, of the floor, of the typed commands'
// time, and of memory. They are printed beside the figures; missing one is no
// failure, ending unproved is.
const (
	targetPlaybook = 0.6
	targetFloor    = 1.25
	targetTyped    = 0.15
	targetMemory   = 150 // MB
)

// BenchmarkRestoreGiB restores a database of 1 GiB, of which the archive lies
// on one node and etcd is lost on all three: by novatui, by an Ansible playbook
// that does the same, and by nothing but the commands that it cannot be done
// without. restore-s is the time of apply, from its start to its end, the proof
// and the report included; plan-s that of plan, which reads the archive once
// more so that the operator sees what is in it. The playbook has no like of
// that, so with-plan/ansible is given besides.
func BenchmarkRestoreGiB(b *testing.B) {
	d, err := bigDatabase(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var all restored
	for b.Loop() {
		ours := restoreByNovatui(b, d)
		ansible := restoreByPlaybook(b, d)
		files, election := restoreFloor(b, d)
		all.add(ours, ansible, files, election)
	}
	floor := all.files.took + all.election.took
	b.ReportMetric(all.apply.took.Seconds(), "restore-s")
	b.ReportMetric(all.plan.Seconds(), "plan-s")
	b.ReportMetric(all.ansible.took.Seconds(), "ansible-s")
	b.ReportMetric(floor.Seconds(), "floor-s")
	b.ReportMetric(all.apply.took.Seconds()/all.ansible.took.Seconds(), "restore/ansible")
	b.ReportMetric((all.plan+all.apply.took).Seconds()/all.ansible.took.Seconds(), "with-plan/ansible")
	b.ReportMetric(all.apply.took.Seconds()/floor.Seconds(), "restore/floor")
	b.ReportMetric(all.memory, "peak-MB")
	b.ReportMetric(all.cpu.Seconds(), "cpu-s")
	nodes := (all.files.cpu + all.election.cpu).Seconds()
	b.ReportMetric(all.apply.cpu.Seconds()/all.ansible.cpu.Seconds(), "nodes-cpu/ansible")
	b.ReportMetric(all.apply.cpu.Seconds()/nodes, "nodes-cpu/floor")
	b.ReportMetric(0, "ns/op")
	b.Logf("%s; %s; %s; processor time of the nodes: novatui %.1f s, playbook %.1f s, floor %.1f s",
		verdict("restore/ansible", all.apply.took.Seconds()/all.ansible.took.Seconds(), targetPlaybook),
		verdict("restore/floor", all.apply.took.Seconds()/floor.Seconds(), targetFloor),
		verdict("peak memory, MB", all.memory, targetMemory), all.apply.cpu.Seconds(), all.ansible.cpu.Seconds(), nodes)
}

func verdict(what string, got, most float64) string {
	word := "met"
	if got > most {
		word = "MISSED"
	}
	return fmt.Sprintf("%s %.3g, at most %.3g: %s", what, got, most, word)
}

// spent is what something took: time, and processor time of the nodes.
type spent struct{ took, cpu time.Duration }

// fastest keeps the faster of two rounds; the zero value is none.
func (s *spent) fastest(o spent) {
	if s.took == 0 || o.took < s.took {
		*s = o
	}
}

// restored is the fastest round of each, with the most memory of all rounds:
// whatever else the machine does only ever makes a round slower.
type restored struct {
	apply, ansible, files, election spent
	plan, cpu                       time.Duration
	memory                          float64 // MB
}

func (r *restored) add(o restored, ansible, files, election spent) {
	if r.apply.took == 0 || o.apply.took < r.apply.took {
		r.apply, r.plan, r.cpu = o.apply, o.plan, o.cpu
	}
	r.memory = max(r.memory, o.memory)
	r.ansible.fastest(ansible)
	r.files.fastest(files)
	r.election.fastest(election)
}

// clocked starts to measure; the function ends it.
func clocked(b *testing.B, h *hosts.Hosts) func() spent {
	b.Helper()
	cpu, err := h.CPU()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	return func() spent {
		took := time.Since(began)
		now, err := h.CPU()
		if err != nil {
			b.Fatal(err)
		}
		return spent{took, now - cpu}
	}
}

// lostCluster gives hosts on which etcd is lost everywhere, with the archive
// on the given nodes. What was written for it is on the disk, so that nobody
// has to wait for it later.
func lostCluster(b *testing.B, d bigData, on ...string) (h *hosts.Hosts, archive string) {
	b.Helper()
	h = start(b, hosts.Options{})
	c := named(b, "lose-all")
	c.Break(b, h)
	// The playbook needs Python on the nodes, and novatui uses it where it is:
	// all work on the same machines.
	if err := h.AddPython(b.Context()); err != nil {
		b.Fatal(err)
	}
	archive = "/opt/backup/" + filepath.Base(d.Archive)
	for _, node := range on {
		// Reading it once also brings it into the page cache, for everybody.
		if out, err := exec.Command("cp", d.Archive, h.Path(node, archive)).CombinedOutput(); err != nil {
			b.Fatalf("cp: %v: %s", err, out)
		}
	}
	syscall.Sync()
	return h, archive
}

// restoreByNovatui plans and applies, and looks at what is left.
func restoreByNovatui(b *testing.B, d bigData) restored {
	b.Helper()
	h, archive := lostCluster(b, d, "master-1")
	files := allFiles(b, h)
	old := map[string]string{}
	for _, node := range h.Nodes() {
		old[node] = database(b, h, node, "/var/lib/etcd")
	}
	if diagnosis := suite.Diagnose(b, h); diagnosis.Recommended.Procedure != "restore" {
		b.Fatalf("recommended %+v", diagnosis.Recommended)
	}
	plan := filepath.Join(b.TempDir(), "plan.json")
	var r restored
	// The big database was written by an etcd of its own.
	elsewhere := "snapshot-ours=snapshot-ours " + h.Cluster()
	began := time.Now()
	ctx, cancel := context.WithTimeout(b.Context(), suite.Limit)
	defer cancel()
	if a := h.Novatui(ctx, nil, "plan", "restore", "--snapshot", "master-1:"+archive, "--out", plan, "--override", elsewhere); a.Exit != done {
		b.Fatalf("plan: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	r.plan = time.Since(began)
	syscall.Sync()

	c := h.Command(ctx, nil, "apply", plan, "--confirm", h.Cluster(), "--override", elsewhere, "-o", "json")
	var events, words bytes.Buffer
	c.Stdout, c.Stderr = &events, &words
	began = time.Now()
	ended := clocked(b, h)
	memory, err := measured(c)
	r.apply = ended()
	if err != nil {
		b.Fatalf("apply: %v\n%s", err, words.Bytes()[max(0, words.Len()-4000):])
	}
	r.memory = memory
	r.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	b.Logf("novatui: plan %.1f s, apply %.1f s, %.0f MB, %.1f s of CPU", r.plan.Seconds(), r.apply.took.Seconds(), r.memory, r.cpu.Seconds())
	detail("where the time of apply went: from, to and how long in seconds\n%s", timeline(b, began, events.Bytes()))

	if diagnosis := suite.Diagnose(b, h); diagnosis.State != "healthy" {
		b.Fatalf("novatui finds the cluster %s afterwards", diagnosis.State)
	}
	provedWhole(b, h, d)
	nothingLeft(b, h, files)
	for node, sum := range old {
		oldDataThere(b, h, node, sum)
	}
	if b.Failed() {
		b.FailNow()
	}
	left := "left on the nodes, all of it named by the report:"
	for node, now := range allFiles(b, h) {
		left += "\n" + node + " " + added(files[node], now)
	}
	b.Log(left)
	return r
}

// detail says at length what -v asks for; of a benchmark's own log go test shows
// the first lines only.
func detail(format string, args ...any) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// added lists the highest of the new files and folders.
func added(before, after map[string]bool) string {
	var list []string
	for path := range after {
		if !before[path] && (before[filepath.Dir(path)] || !after[filepath.Dir(path)]) {
			list = append(list, path)
		}
	}
	return strings.Join(list, " ")
}

// measured runs a command and gives the most memory that it held at one time,
// in MB. It is read from the process itself: what wait tells counts this
// process too, from which it was forked.
func measured(c *exec.Cmd) (float64, error) {
	if err := c.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	status := fmt.Sprintf("/proc/%d/status", c.Process.Pid)
	most := 0.0
	for {
		select {
		case err := <-ended:
			return most, err
		case <-time.After(10 * time.Millisecond):
		}
		text, _ := os.ReadFile(status)
		_, rest, found := strings.Cut(string(text), "VmHWM:")
		var kib float64
		if _, err := fmt.Sscanf(rest, "%f", &kib); found && err == nil {
			most = max(most, kib*1024/1e6)
		}
	}
}

// restoreByPlaybook runs testdata/restore.yml.
func restoreByPlaybook(b *testing.B, d bigData) spent {
	b.Helper()
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		b.Fatal("the playbook needs Debian's ansible-core: apt-get install --no-install-recommends ansible-core")
	}
	h, archive := lostCluster(b, d, "master-1")
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	here, err := filepath.Abs("testdata")
	if err != nil {
		b.Fatal(err)
	}
	inventory := "[etcd]\n"
	for _, node := range h.Nodes() {
		inventory += node + " ansible_host=" + h.Address(node) + " ansible_user=root ansible_ssh_private_key_file=id_ed25519\n"
	}
	c := h.Operate(ctx, "/usr/bin/ansible-playbook", "-i", "inventory.ini", filepath.Join(here, "restore.yml"),
		"-e", "snapshot="+archive, "-e", "source=master-1", "-e", "scratch="+b.TempDir(), "-e", "stamp="+time.Now().Format("20060102-150405"))
	if err := os.WriteFile(filepath.Join(c.Dir, "inventory.ini"), []byte(inventory), 0o600); err != nil {
		b.Fatal(err)
	}
	c.Env = append(c.Env, "ANSIBLE_CONFIG="+filepath.Join(here, "ansible.cfg"))
	syscall.Sync()
	ended := clocked(b, h)
	out, err := c.CombinedOutput()
	s := ended()
	if err != nil {
		b.Fatalf("the playbook: %v\n%s", err, out)
	}
	b.Logf("playbook: %.1f s", s.took.Seconds())
	detail("%s", out)
	provedWhole(b, h, d)
	return s
}

// floorFiles unpacks and restores, and tells how long it took. The unit is
// down, the data directory is free, and the env file is right.
const floorFiles = `set -eu
cd /var/tmp
set -a; . /etc/etcd.env; set +a
unset ETCDCTL_ENDPOINTS
began=$(date +%s%N)
tar -xzf @ARCHIVE@
/opt/etcd/etcdutl snapshot restore /var/tmp/@DB@ --name="$ETCD_NAME" --initial-cluster="$ETCD_INITIAL_CLUSTER" \
  --initial-cluster-token="$ETCD_INITIAL_CLUSTER_TOKEN" --initial-advertise-peer-urls="$ETCD_INITIAL_ADVERTISE_PEER_URLS" \
  --data-dir="$ETCD_DATA_DIR" --bump-revision=1000000000 --mark-compacted >/dev/null 2>&1
echo $(($(date +%s%N) - began))`

// restoreFloor takes the time of what no restore can do without: unpacking and
// restoring, on all nodes at once with the archive already there, until the
// slowest is ready, and then from the start of all members to the first answer
// that needs a quorum.
func restoreFloor(b *testing.B, d bigData) (files, election spent) {
	b.Helper()
	nodes := []string{"master-1", "master-2", "master-3"}
	h, archive := lostCluster(b, d, nodes...)
	ctx, cancel := context.WithTimeout(b.Context(), suite.Limit)
	defer cancel()
	onAll := func(f func(i int, node string) error) {
		errs := make([]error, len(nodes))
		var wg sync.WaitGroup
		for i, node := range nodes {
			wg.Go(func() { errs[i] = f(i, node) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			b.Fatal(err)
		}
	}
	ssh := func(node, command string) ([]byte, error) {
		out, err := h.Operate(ctx, "ssh", "-q", "-F", "none", "-i", "id_ed25519", "-o", "UserKnownHostsFile=known_hosts",
			"-o", "IdentitiesOnly=yes", "root@"+h.Address(node), command).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", node, err, out)
		}
		return out, err
	}
	onAll(func(_ int, node string) error {
		_, err := ssh(node, "systemctl stop etcd; systemctl reset-failed etcd; mv /var/lib/etcd /var/lib/etcd.old; sync")
		return err
	})
	script := strings.NewReplacer("@ARCHIVE@", archive, "@DB@", filepath.Base(strings.TrimSuffix(archive, ".tar.gz"))).Replace(floorFiles)
	took := make([]time.Duration, len(nodes))
	ended := clocked(b, h)
	onAll(func(i int, node string) error {
		out, err := ssh(node, script)
		if err == nil {
			_, err = fmt.Sscan(string(out), (*int64)(&took[i]))
		}
		return err
	})
	files = ended()
	files.took = max(took[0], took[1], took[2])
	ended = clocked(b, h)
	onAll(func(_ int, node string) error {
		_, err := h.Exec(ctx, node, "systemctl", "start", "--no-block", "etcd")
		return err
	})
	if err := h.Answers(ctx); err != nil {
		b.Fatal(err)
	}
	election = ended()
	b.Logf("floor: files %.1f %.1f %.1f s, election %.1f s", took[0].Seconds(), took[1].Seconds(), took[2].Seconds(), election.took.Seconds())
	if err := h.Healthy(ctx); err != nil {
		b.Fatal(err)
	}
	provedWhole(b, h, d)
	return files, election
}

// provedWhole proves from outside that the cluster has the archive's data: one
// leader, one hash at one revision, no alarm, three members, and every key with
// its value.
func provedWhole(b *testing.B, h *hosts.Hosts, d bigData) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), suite.Limit)
	defer cancel()
	var leaders, hashes []string
	revision := int64(0)
	for i, node := range h.Nodes() {
		c, err := h.Client(node)
		if err != nil {
			b.Fatal(err)
		}
		leader, hash, err := seen(ctx, c, &revision)
		if i == 0 && err == nil {
			var n int
			var digest string
			if n, digest, err = contents(ctx, c); err == nil && (n != d.Keys || digest != d.Digest) {
				err = fmt.Errorf("%d keys with the digest %s, of %d with %s", n, digest, d.Keys, d.Digest)
			}
		}
		if err = errors.Join(err, c.Close()); err != nil {
			b.Fatalf("%s: %v", node, err)
		}
		leaders, hashes = append(leaders, leader), append(hashes, hash)
	}
	for i := range leaders {
		if leaders[i] != leaders[0] || hashes[i] != hashes[0] {
			b.Fatalf("leaders %v, hashes %v", leaders, hashes)
		}
	}
}

func seen(ctx context.Context, c *clientv3.Client, revision *int64) (leader, hash string, err error) {
	endpoint := c.Endpoints()[0]
	st, err := c.Status(ctx, endpoint)
	if err != nil {
		return "", "", err
	}
	if *revision == 0 {
		*revision = st.Header.Revision
	}
	h, err := c.HashKV(ctx, endpoint, *revision)
	if err != nil {
		return "", "", err
	}
	members, err := c.MemberList(ctx)
	if err != nil {
		return "", "", err
	}
	alarms, err := c.AlarmList(ctx)
	if err == nil && (len(members.Members) != 3 || len(alarms.Alarms) > 0 || st.Leader == 0) {
		err = fmt.Errorf("members %v, alarms %v, leader %x", members.Members, alarms.Alarms, st.Leader)
	}
	return fmt.Sprintf("%x of %x", st.Leader, st.Header.ClusterId), fmt.Sprintf("%x", h.Hash), err
}
