package suite_test

import (
	"testing"

	"github.com/novatui/novatui/e2e/suite"
)

// TestFaults: each fault of the lab is diagnosed right, and what is recommended
// repairs it.
func TestFaults(t *testing.T) {
	for _, c := range suite.Cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel() // most of a repair is waiting
			suite.Run(t, newLab(t), c)
		})
	}
}
