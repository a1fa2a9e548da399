//go:build !linux

package diagnosis

import "testing"

func smallDisk(t *testing.T, _ string) {
	t.Helper()
	t.Skip("needs a tmpfs")
}
