package workflows

import (
	"slices"
	"testing"

	"github.com/novatui/novatui/etcdops"
)

// TestMembershipWithoutQuorumsWord: etcd 3.4 has no member list that a quorum
// confirms; there the lists of all members must agree.
func TestMembershipWithoutQuorumsWord(t *testing.T) {
	own := func(f *etcdops.Facts) {
		f.MembersFrom = etcdops.FromLocal
		for i := range f.Nodes {
			f.Nodes[i].Endpoint.OwnMembers, f.Nodes[i].Endpoint.OwnMembersFrom = slices.Clone(f.Members), etcdops.FromLocal
		}
	}
	for name, c := range map[string]struct {
		change func(*etcdops.Facts)
		want   bool
	}{
		"quorum's word":          {func(*etcdops.Facts) {}, true},
		"all agree":              {own, true},
		"nobody says":            {func(f *etcdops.Facts) { f.MembersFrom = etcdops.FromEnv }, false},
		"one has another list":   {func(f *etcdops.Facts) { own(f); f.Nodes[1].Endpoint.OwnMembers[0].ID = "ff" }, false},
		"one has a shorter list": {func(f *etcdops.Facts) { own(f); f.Nodes[2].Endpoint.OwnMembers = f.Members[:2] }, false},
		"one tells at its peer port only": {
			func(f *etcdops.Facts) { own(f); f.Nodes[0].Endpoint.OwnMembersFrom = etcdops.FromPeer }, false,
		},
		"one is not healthy": {func(f *etcdops.Facts) { own(f); f.Nodes[2].Endpoint.Healthy = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, v := factsOf(3)
			w := newWorld(noSite{}, Stored{Facts: f, Verdict: v})
			c.change(&f)
			if got := w.membershipRight(f, nodesOf(f)); got != c.want {
				t.Errorf("membershipRight = %v, want %v", got, c.want)
			}
		})
	}
}
