package lab

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if code, played := Dispatch(os.Args); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}
