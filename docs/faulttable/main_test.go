package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableIsFilled(t *testing.T) {
	dir := t.TempDir()
	page, results := filepath.Join(dir, "faults.md"), filepath.Join(dir, "results")
	write(t, page, "# Head\n"+begin+"\nold\n"+end+"\ntail\n")
	write(t, results, `{"test":"TestFaults/stop","fault":"stop","procedure":"restart","version":"3.7.3","world":"lab","seconds":4.4,"ok":true}
{"test":"TestFaults/3.6.16/stop","fault":"stop","procedure":"restart","version":"3.6.16","world":"hosts","seconds":6,"ok":false}
{"test":"TestFaults/3.7.3/wipe","fault":"wipe-data","procedure":"rejoin","version":"3.7.3","world":"hosts","seconds":6,"ok":true}
{"test":"TestSystems/separate_WAL/lose-all","fault":"lose-all","procedure":"restore","version":"3.7.3","world":"hosts","seconds":9,"ok":true}
{"test":"TestClock","fault":"clock","procedure":"fix-cause","version":"3.7.3","world":"hosts","seconds":9,"ok":true}
`)
	if err := run(page, []string{results}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| fault | procedure | lab 3.7.3 | hosts 3.7.3 | hosts 3.6.16 |",
		"| stop | restart | passed, 4 s | not covered | **failed** |",
		"| wipe-data | rejoin | not covered | passed, 6 s | not covered |",
		"| separate WAL: lose-all | restore | passed, 9 s |",
		"| TestClock: clock | fix-cause | passed, 9 s |",
		"# Head\n", "\ntail\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing in\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "old") {
		t.Error("the old table is still there")
	}
	if err := run(page, nil); err == nil {
		t.Error("no results are no error")
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
