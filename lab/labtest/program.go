// Package labtest gives tests a quick lab. Under the race detector a test binary
// that plays etcd and every systemctl of a lab takes several times as long as the
// tests that want one; they care for the program that works on the lab.
package labtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program gives a program that plays the parts of a lab without the race
// detector (lab.Options.Program, and the links to etcd and its tools): a build of
// novatui, or this test binary when it is built without the detector itself and
// calls lab.Dispatch. remove takes the build away.
func Program() (path string, remove func() error, err error) {
	if !RaceDetector {
		path, err = os.Executable()
		return path, func() error { return nil }, err
	}
	dir, err := os.MkdirTemp("", "novatui-labtest-")
	if err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) } // a temporary folder of ours
	path = filepath.Join(dir, "novatui")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/novatui/novatui/cmd/novatui").CombinedOutput(); err != nil {
		_ = remove()
		return "", nil, fmt.Errorf("building a program for labs: %w\n%s", err, out)
	}
	return path, remove, nil
}
