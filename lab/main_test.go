package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// envHelper makes the test binary bring a lab up in the folder it names, say so
// and wait to be killed: the caller that a lab must or must not outlive.
const envHelper = "NOVATUI_TEST_LAB_CALLER"

func TestMain(m *testing.M) {
	if code, played := Dispatch(os.Args); played {
		os.Exit(code)
	}
	if dir := os.Getenv(envHelper); dir != "" {
		os.Exit(callerMain(dir, len(os.Args) > 1 && os.Args[1] == "owned"))
	}
	os.Exit(runTests(m))
}

// runTests also looks for data races in the supervisors: they run in processes
// of their own, whose reports no test would see.
func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "novatui-lab-races-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("GORACE", "log_path="+filepath.Join(dir, "race")+" "+os.Getenv("GORACE")); err != nil {
		fmt.Println(err)
		return 1
	}
	code := m.Run()
	reports, err := filepath.Glob(filepath.Join(dir, "race*"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, path := range reports {
		b, err := os.ReadFile(path)
		fmt.Printf("FAIL: a data race in another process\n%s\n%v\n", b, err)
		code = 1
	}
	return code
}

func callerMain(dir string, owned bool) int {
	if _, err := Up(context.Background(), Options{Dir: dir, Keys: 100, OwnedByCaller: owned}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	select {}
}
