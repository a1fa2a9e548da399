package main

import (
	"io"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/novatui/novatui/lab"
)

// The benchmarks measure bin/novatui, as `make build` leaves it and as an
// operator starts it; a test binary starts slower. `make bench` builds it first.

func built(b *testing.B, args ...string) *exec.Cmd {
	b.Helper()
	const path = "../../bin/novatui"
	if _, err := os.Stat(path); err != nil {
		b.Skip("make build first: ", err)
	}
	home := b.TempDir()
	cmd := exec.CommandContext(b.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+home, "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	return cmd
}

// BenchmarkVersion is `novatui version` from start to end (at most 50 ms).
func BenchmarkVersion(b *testing.B) {
	for b.Loop() {
		if out, err := built(b, "version").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}

// brokenMember is a lab with one dead member, and its cluster file.
func brokenMember(b *testing.B) string {
	b.Helper()
	l, err := lab.Up(b.Context(), lab.Options{OwnedByCaller: true, Program: labProgram})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Down(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
	})
	if err := l.Break(b.Context(), "stop", "master-2"); err != nil {
		b.Fatal(err)
	}
	return l.ClusterFile()
}

// BenchmarkDiagnose is `novatui diagnose` of a lab of three with one dead
// member, connections included (at most 1.5 s).
func BenchmarkDiagnose(b *testing.B) {
	file := brokenMember(b)
	for b.Loop() {
		if out, err := built(b, "diagnose", "--cluster", file, "-o", "json").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}

// BenchmarkFirstScreen is the time from the start of the wizard to its first
// screen with words on it (at most 150 ms).
func BenchmarkFirstScreen(b *testing.B) {
	file := brokenMember(b)
	words := regexp.MustCompile(`nova-lab`)
	for b.Loop() {
		began := time.Now()
		cmd := built(b, "--cluster", file)
		tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			b.Fatal(err)
		}
		seen, buf := []byte{}, make([]byte, 64<<10)
		for !words.Match(seen) {
			n, err := tty.Read(buf)
			seen = append(seen, buf[:n]...)
			if err != nil {
				b.Fatalf("%v\n%q", err, seen)
			}
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/screen")
		b.StopTimer()
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, tty) // ends with an error when the program does
		_ = cmd.Wait()
		_ = tty.Close()
		b.StartTimer()
	}
}
