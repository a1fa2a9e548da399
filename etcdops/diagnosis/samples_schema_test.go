package diagnosis

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sampleCauses and sampleRemedies are the answers that the cases' schema knows.
var (
	sampleCauses = strings.Fields(`db-corrupt wal-corrupt snap-missing data-inconsistent raft-lost-log
		removed-member cluster-id-mismatch already-bootstrapped initial-cluster-mismatch cert-expired cert-bad
		nospace-alarm disk-full slow-disk oom-killed host-crash stopped-by-supervisor port-in-use
		listen-addr-absent dns network-partition permission fd-limit lock-held clock-skew quorum-lost
		no-quorum-safe-guard version-mismatch known-bug learner-behind bad-config snapshot-file-bad
		data-dir-exists healthy unknown`)
	sampleRemedies = strings.Fields("restart rejoin restore fix-cause-then-restart wait none unsafe-to-act")
)

// producedSample is one line of testdata/samples, which `make samples` writes.
type producedSample struct {
	ID           string   `json:"id"`
	Source       string   `json:"source"`
	Title        string   `json:"title"`
	EtcdVersion  *string  `json:"etcd_version"`
	Platform     string   `json:"platform"`
	UnitState    *string  `json:"unit_state"`
	Log          []string `json:"log"`
	PeersLog     []string `json:"peers_log"`
	Etcdctl      []string `json:"etcdctl"`
	MembersDown  *int     `json:"members_down"`
	MembersTotal *int     `json:"members_total"`
	Cause        string   `json:"cause"`
	Also         []string `json:"also"`
	Remedy       string   `json:"remedy"`
	Why          string   `json:"why"`
	Awkward      string   `json:"awkward"`
	How          string   `json:"how"`
}

// TestProducedSamples checks the form of the samples, not what the diagnosis
// makes of them.
func TestProducedSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	seen, causes := map[string]bool{}, map[string]bool{"known-bug": true} // docs/diagnosis.md says why there is none
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(bytes.TrimRight(b, "\n"), []byte("\n")) {
			var s producedSample
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			if err := d.Decode(&s); err != nil {
				t.Errorf("%s:%d: %v", file, i+1, err)
				continue
			}
			if seen[s.ID] {
				t.Errorf("%s: the id is there twice", s.ID)
			}
			seen[s.ID] = true
			if want := filepath.Base(file); s.Cause+".jsonl" != want {
				t.Errorf("%s: cause %s in the file %s", s.ID, s.Cause, want)
			}
			causes[s.Cause] = true
			checkProduced(t, s)
		}
	}
	for _, c := range sampleCauses {
		if !causes[c] {
			t.Errorf("no sample of the cause %s", c)
		}
	}
	if len(seen) < 60 {
		t.Errorf("%d samples; at least 60 are promised", len(seen))
	}
}

func checkProduced(t *testing.T, s producedSample) {
	t.Helper()
	for _, c := range append([]string{s.Cause}, s.Also...) {
		if !slices.Contains(sampleCauses, c) {
			t.Errorf("%s: no such cause: %s", s.ID, c)
		}
	}
	if !slices.Contains(sampleRemedies, s.Remedy) {
		t.Errorf("%s: no such remedy: %s", s.ID, s.Remedy)
	}
	if s.Source != "produced" || s.EtcdVersion == nil || s.Why == "" || s.How == "" || s.Title == "" || s.Platform == "" {
		t.Errorf("%s: says not how it was made, with what, or why its answer is right", s.ID)
	}
	if len(s.Log)+len(s.PeersLog)+len(s.Etcdctl) == 0 {
		t.Errorf("%s: is empty", s.ID)
	}
	if len(s.Log) > 60 {
		t.Errorf("%s: %d log lines", s.ID, len(s.Log))
	}
	for _, l := range slices.Concat(s.Log, s.PeersLog, s.Etcdctl) {
		for _, mine := range []string{"/nvs-", "/root/", ".cache"} {
			if strings.Contains(l, mine) {
				t.Errorf("%s: a path of the machine that made it: %.200s", s.ID, l)
			}
		}
	}
}
