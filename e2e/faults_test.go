//go:build e2e && linux

package e2e_test

import (
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestFaults: every fault of the lab is diagnosed right and repaired on real
// machines too, with each minor version of etcd.
func TestFaults(t *testing.T) {
	for _, version := range []string{hosts.Newest, "3.6.16", "3.5.35"} {
		t.Run(version, func(t *testing.T) {
			for _, c := range suite.Cases {
				t.Run(c.Name, func(t *testing.T) {
					suite.Run(t, start(t, hosts.Options{Versions: []string{version}}), c)
				})
			}
		})
	}
}
