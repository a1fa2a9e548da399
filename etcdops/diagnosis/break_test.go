package diagnosis

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

var local = net.IPv4(127, 0, 0, 1)

func threeMembers(t *testing.T) *realCluster {
	t.Helper()
	c := newRealCluster(t, 3, "http")
	c.startAll()
	c.put(c.members[0], 0, 50, 200)
	return c
}

// downOne stops etcd2 of a healthy cluster, lets break work on its files and
// starts it again.
func downOne(t *testing.T, breakIt func(c *realCluster, m *realMember)) *realMember {
	t.Helper()
	c := threeMembers(t)
	m := c.members[1]
	m.stop(syscall.SIGTERM)
	breakIt(c, m)
	m.start()
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	must(t, os.RemoveAll(path))
}

// follower is a member other than the first that does not lead.
func (c *realCluster) follower() *realMember {
	c.t.Helper()
	for _, m := range c.members[1:] {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		s, err := c.client(m).Status(ctx, m.clientURL())
		cancel()
		must(c.t, err)
		if s.Leader != s.Header.MemberId {
			return m
		}
	}
	c.t.Fatal("no follower")
	return nil
}

func (c *realCluster) other(not *realMember) *realMember {
	for _, m := range c.members {
		if m != not {
			return m
		}
	}
	return nil
}

func (c *realCluster) removeMember(through, gone *realMember) {
	c.t.Helper()
	cl := c.client(through)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	list, err := cl.MemberList(ctx)
	must(c.t, err)
	for _, m := range list.Members {
		if m.Name != gone.name {
			continue
		}
		for {
			// etcd refuses within some seconds of a start ("unhealthy cluster").
			if _, err := cl.MemberRemove(ctx, m.ID); err == nil {
				return
			} else if ctx.Err() != nil {
				c.t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func tlsCluster(t *testing.T) *realCluster {
	t.Helper()
	c := newRealCluster(t, 3, "https")
	a := newAuthority(t, "nova etcd CA")
	for _, m := range c.members {
		m.tls = a.issue(m.name, -time.Hour, 40*time.Hour, local)
	}
	c.startAll()
	c.rogue = a
	return c
}

// tlsFault restarts etcd2 with another certificate; without an address it is
// signed by another authority.
func tlsFault(t *testing.T, from, until time.Duration, ip net.IP) *realMember {
	t.Helper()
	c := tlsCluster(t)
	m := c.members[1]
	m.stop(syscall.SIGTERM)
	if ip == nil {
		m.tls = newAuthority(t, "another CA").issue(m.name, -time.Hour, 40*time.Hour, local)
	} else {
		m.tls = c.rogue.issue("bad", from, until, ip)
	}
	m.start()
	time.Sleep(8 * time.Second)
	m.peerLog = c.members[0].output()
	return m
}

// fill writes until the file system has no room.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	b := make([]byte, 64<<10)
	for len(b) > 0 {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}
