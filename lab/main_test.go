package lab

import (
	"context"
	"fmt"
	"os"
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
	os.Exit(m.Run())
}

func callerMain(dir string, owned bool) int {
	if _, err := Up(context.Background(), Options{Dir: dir, Keys: 100, OwnedByCaller: owned}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	select {}
}
