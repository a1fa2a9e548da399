package ssh

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// echoServer answers what it is sent; what is sent to silent is swallowed.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func TestTunnelDeadlinesWork(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	stop := make(chan struct{})
	addr := listen(t, func(net.Conn) { <-stop })
	defer close(stop)
	tunnel, err := c.Dial(within(t), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer tunnel.Close() //nolint:errcheck // the test is over
	if tunnel.RemoteAddr().String() != addr {
		t.Errorf("remote address %s", tunnel.RemoteAddr())
	}
	for name, f := range map[string]func() error{
		"read": func() error {
			_ = tunnel.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			_, err := tunnel.Read(make([]byte, 1))
			return err
		},
		"write": func() error { // until every window and buffer on the way is full
			_ = tunnel.SetWriteDeadline(time.Now().Add(time.Second))
			for {
				if _, err := tunnel.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
	} {
		faster(t, 5*time.Second, func() {
			if err := f(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func TestTunnelCarriesData(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	addr := listen(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	errs := remote.Each(make([]int, 8), func(i int, _ int) error {
		tunnel, err := c.Dial(within(t), "tcp", addr)
		if err != nil {
			return err
		}
		defer tunnel.Close() //nolint:errcheck // the test is over
		data := bytes.Repeat([]byte{byte('a' + i)}, 300<<10)
		sent := make(chan error, 1)
		go func() { _, err := tunnel.Write(data); sent <- err }()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(tunnel, got); err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return errors.New("other data came back")
		}
		return <-sent
	})
	// The listener serves one connection after the other, so that all eight are
	// only done when each one's Close reaches it.
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestTunnelCarriesHTTPWithTLS(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	tr := &http.Transport{DialContext: c.Dial, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
	body := strings.Repeat("x", 200<<10)
	for range 3 {
		resp, err := client.Post(web.URL, "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != body || resp.ProtoMajor != 2 {
			t.Errorf("%s, %d bytes, %v", resp.Proto, len(got), err)
		}
	}
}

func TestTunnelsThatCannotBe(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	c := connect(t, patient(), s.Node("n1"))
	closed := listen(t, func(net.Conn) {})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	for addr, want := range map[string]string{
		ln.Addr().String(): "connection refused", "nonsense": "nonsense", "127.0.0.1:0": "only TCP", "127.0.0.1:x": "invalid",
	} {
		_, err := c.Dial(within(t), "tcp", addr)
		wantKind(t, err, remote.ErrUnreachable)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", addr, err)
		}
	}
	if _, err := c.Dial(within(t), "unix", "/x"); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	// The other end closing is the end of file.
	tunnel, err := c.Dial(within(t), "tcp", closed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(tunnel); err != nil {
		t.Errorf("got %v", err)
	}
	_ = tunnel.Close()
	forbidding := newServer(t, remotetest.ServerOptions{NoForwarding: true})
	_, err = connect(t, patient(), forbidding.Node("n2")).Dial(within(t), "tcp", closed)
	wantKind(t, err, remote.ErrUnreachable)
	if !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", err)
	}
}

func TestTunnelsAreBoundedAndFreed(t *testing.T) {
	o := patient()
	o.MaxTunnels = 2
	c := connect(t, o, newServer(t, remotetest.ServerOptions{}).Node("n1"))
	addr := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for range 10 {
		tunnel, err := c.Dial(within(t), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tunnel.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsTunnels(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	tunnel, err := c.Dial(within(t), "tcp", listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	if err != nil {
		t.Fatal(err)
	}
	faster(t, 5*time.Second, func() { _ = c.Close() })
	if _, err := tunnel.Read(make([]byte, 1)); err == nil {
		t.Error("the tunnel lives on")
	}
	_ = tunnel.Close()
}
