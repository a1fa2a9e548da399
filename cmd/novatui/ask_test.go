package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/novatui/novatui/lab"
)

// TestHostKeyIsAskedFor: an unknown host key is shown with its fingerprint, and
// only the whole word yes accepts and remembers it.
func TestHostKeyIsAskedFor(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a lab")
	}
	l, err := lab.Up(t.Context(), lab.Options{OwnedByCaller: true, Program: labProgram, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		lang, typed string
		accepted    bool
	}{
		{"en", "yes\n", true},
		{"ru", "да\n", true},
		{"en", "\n", false},
		{"en", "ye\n", false},
		{"en", "\x04", false}, // end of input
	} {
		t.Run(c.lang+" "+strings.Trim(c.typed, "\n\x04"), func(t *testing.T) {
			askHostKey(t, l, c.lang, c.typed, c.accepted)
		})
	}
}

var fingerprint = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`)

func askHostKey(t *testing.T, l *lab.Lab, lang, typed string, accepted bool) {
	home := t.TempDir()
	known := filepath.Join(home, "known_hosts")
	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(l.ClusterFile())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "cluster.yaml")
	text := strings.ReplaceAll(string(b), filepath.Join(l.Dir(), "known_hosts"), known)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, home, "diagnose", "--cluster", file, "--lang", lang)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	shown := readUntil(t, tty, fingerprint)
	if _, err := io.WriteString(tty, typed); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(tty) // ends with an error when the program does
	err = cmd.Wait()
	after, readErr := os.ReadFile(known)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if accepted != (len(after) > 0) || accepted != (err == nil) {
		t.Errorf("accepted %t, want %t (%v)\n%s%s", len(after) > 0, accepted, err, shown, rest)
	}
}

// readUntil reads the terminal until a text appears.
func readUntil(t *testing.T, tty *os.File, want *regexp.Regexp) string {
	t.Helper()
	if err := tty.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		t.Fatal(err)
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for !want.MatchString(all.String()) {
		n, err := tty.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v, and %s never came:\n%s", err, want, all.String())
		}
	}
	return all.String()
}
