package inventory

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fence    = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	tableKey = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|")
)

// TestReferenceIsTrue: every example of the reference is accepted, and it names
// every key that there is, and no other.
func TestReferenceIsTrue(t *testing.T) {
	b, err := os.ReadFile("../docs/cluster-file.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := fence.FindAllStringSubmatch(string(b), -1)
	if len(examples) != 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		_, warnings, err := parse([]byte(e[1]), "cluster-file.md", "/dir", "/dir/x", "/home/me")
		if err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
		for _, w := range warnings {
			if !strings.Contains(w.Error(), "does not exist") {
				t.Errorf("example %d: %v", i+1, w)
			}
		}
	}
	keys := slices.Concat(topKeys, nodeKeys, sshKeys)
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "etcd" || k == "kubernetes" })
	for _, k := range etcdKeys {
		keys = append(keys, "etcd."+k)
	}
	keys = append(keys, "kubernetes.readyz")
	var documented []string
	for _, m := range tableKey.FindAllStringSubmatch(string(b), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(keys)
	slices.Sort(documented)
	if keys, documented = slices.Compact(keys), slices.Compact(documented); !slices.Equal(keys, documented) {
		t.Errorf("keys       %v\ndocumented %v", keys, documented)
	}
}
