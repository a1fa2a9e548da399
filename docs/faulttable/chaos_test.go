package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheCampaignIsFilled(t *testing.T) {
	dir := t.TempDir()
	page, results := filepath.Join(dir, "faults.md"), filepath.Join(dir, "results")
	write(t, page, "# Head\n"+chaosBegin+"\nold\n"+chaosEnd+"\ntail\n")
	write(t, results, `{"world":"lab","version":"3.7.3","seed":1,"damage":"stop","procedure":"restart","faults":[{"kind":"freeze","struck":true},{"kind":"ssh-reset","struck":false}],"outcome":"proved","tries":1,"seconds":4.4}
{"world":"lab","version":"3.7.3","seed":2,"damage":"stop","procedure":"restart","faults":[{"kind":"freeze","struck":true}],"outcome":"proved","tries":3,"seconds":20}
{"world":"lab","version":"3.7.3","seed":3,"damage":"lose-all","procedure":"restore","faults":[],"outcome":"proved","tries":2,"seconds":9}
{"world":"hosts","version":"3.7.3","seed":3,"damage":"lose-all","procedure":"restore","faults":[{"kind":"reboot","struck":true}],"outcome":"","tries":2,"seconds":0,"broken":["C: two\nclusters"]}
`)
	if err := runChaos(page, []string{results}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| lab 3.7.3 | **all** | 3 | none | 3 | 9 s | 20 s |",
		"| lab 3.7.3 | restart | 2 | none | 3 | 20 s | 20 s |",
		"| hosts 3.7.3 | restore | 1 | **1** | 2 | – | – |",
		"| freeze | 2 | – |",
		"| ssh-reset | 0 | – |",
		"| reboot | – | 1 |",
		"- hosts, seed 3 (lose-all): C: two clusters",
		"# Head\n", "\ntail\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%q is missing in\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "old") {
		t.Error("the old tables are still there")
	}
	if err := runChaos(page, nil); err == nil {
		t.Error("no results are no error")
	}
}
