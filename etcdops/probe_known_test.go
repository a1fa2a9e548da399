package etcdops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// TestProbeAsksAToolOnce: a tool is started for its version once, and again
// when another file has taken its place.
func TestProbeAsksAToolOnce(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"etc/etcd.env": "ETCD_NAME=x\n"})
		starts := filepath.Join(dir, "opt/etcd.starts")
		install := func(version string) {
			write(t, filepath.Join(dir, "opt/new"), "#!/bin/sh\necho >> \"$0.starts\"\necho 'etcd Version: "+version+"'\n")
			if err := os.Chmod(filepath.Join(dir, "opt/new"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "opt/new"), filepath.Join(dir, "opt/etcd")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "opt"), 0o755); err != nil {
			t.Fatal(err)
		}
		var known toolsKnown
		look := func(want string, wantStarts int) {
			t.Helper()
			cmd := probeCommand(Config{EnvFile: "/etc/etcd.env", BinDir: "/opt"}, remote.Node{Root: dir}, "MARK", known)
			out, errOut, status := runScript(shell, "", "probe.sh", cmd.Argv[4:]...)
			if status != 0 {
				t.Fatalf("%v: status %d, %s", shell, status, errOut)
			}
			var n NodeFacts
			o := probeOutput{parts: splitProbe([]byte(out), "MARK"), sent: time.Now(), first: time.Now(), known: known}
			known = o.fill(&n, Config{}).tools
			log, err := os.ReadFile(starts)
			if err != nil {
				t.Fatal(err)
			}
			if n.Versions.Etcd != want || strings.Count(string(log), "\n") != wantStarts {
				t.Errorf("%v: version %q after %d starts, want %q after %d", shell, n.Versions.Etcd,
					strings.Count(string(log), "\n"), want, wantStarts)
			}
		}
		install("3.6.1")
		look("3.6.1", 1)
		look("3.6.1", 1)
		install("3.7.3")
		look("3.7.3", 2)
		look("3.7.3", 2)
	}
}
