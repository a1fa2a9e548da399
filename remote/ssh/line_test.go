package ssh

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// loginShells are those of this machine.
func loginShells() []string {
	var all []string
	for _, name := range []string{"sh", "dash", "bash", "zsh", "ksh", "tcsh", "csh", "fish"} {
		if path, err := exec.LookPath(name); err == nil {
			all = append(all, path)
		}
	}
	return all
}

var hard = []string{
	"", " ", "a b", "'", `\`, `\\`, `\'`, `'\''`, "!", "!!", "a!b", "$HOME", "${x}", "$(id)", "`id`", `"`, "\n", "a\nb\n", "\t", "\r\n",
	"*", "?", "[a]", "~", "~root", "#x", "-n", "--", "a=b", ";", "&", "&&", "|", "<", ">", "(", ")", "{a,b}", "%d", "%%", `\n`, `\0101`, `\c`,
	"привет", "\x1b[31m", "\x7f", "\xff\xfe", "日本", "\u202e", strings.Repeat("x'", 3000), "^a^b", "@{slot}", `\` + "\n", "'\n'", "\\!", "a\\\\!",
}

// viaShell runs what would be sent, as sshd does: login shell, -c, line.
func viaShell(t testing.TB, shell string, m marker, argv []string) []string {
	t.Helper()
	c := remote.Command{Argv: append([]string{"/bin/sh", "-c", `printf '%s\0' "$@"`, "sh"}, argv...)}
	script, err := commandScript(m, c, false)
	if err != nil {
		t.Fatal(err)
	}
	line, err := shellLine(script)
	if err != nil {
		return argv // too long: refused before it is sent
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", line) //nolint:gosec // that is what is tested
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s\nfor %q", shell, err, errOut.Bytes(), line)
	}
	_, after, ok := bytes.Cut(out.Bytes(), []byte(fmt.Sprintf("%s%d\n", m.text(), cmd.Process.Pid)))
	if !ok {
		t.Fatalf("%s: no marker with process %d in %q", shell, cmd.Process.Pid, out.Bytes())
	}
	if !bytes.Contains(errOut.Bytes(), []byte(m.text())) {
		t.Errorf("%s: no marker on standard error: %q", shell, errOut.Bytes())
	}
	got := strings.Split(string(after), "\x00")
	return got[:len(got)-1]
}

func TestEveryLoginShellPassesArgumentsOn(t *testing.T) {
	for _, shell := range loginShells() {
		if got := viaShell(t, shell, newMarker(), hard); !slices.Equal(got, hard) {
			for i := range hard {
				if i >= len(got) || got[i] != hard[i] {
					t.Fatalf("%s: argument %d: got %q, want %q", shell, i, got[i:], hard[i])
				}
			}
		}
		for _, arg := range hard {
			if got := viaShell(t, shell, newMarker(), []string{arg, "end"}); !slices.Equal(got, []string{arg, "end"}) {
				t.Errorf("%s: got %q, want %q", shell, got, arg)
			}
		}
	}
}

func TestEveryLoginShellOverSSH(t *testing.T) {
	for _, shell := range loginShells() {
		c := connect(t, patient(), newServer(t, remotetest.ServerOptions{Shell: shell}).Node("n1"))
		cmd := sh(`printf '%s\0' "$LC_ALL" "$A" "$@"; cat; exit 3`)
		cmd.Argv = append(append(cmd.Argv, "sh"), hard...)
		cmd.Env, cmd.Stdin = []string{"A=it's !\\\n$x"}, "input"
		r, err := c.Run(within(t), cmd, remote.Streams{})
		want := strings.Join(append([]string{"C", "it's !\\\n$x"}, hard...), "\x00") + "\x00input"
		if err != nil || string(r.Stdout) != want || r.Exit != 3 || len(r.Stderr) > 0 {
			t.Errorf("%s: got %q, %q, %d, %v", shell, r.Stdout, r.Stderr, r.Exit, err)
		}
	}
}

func TestReadableLinesStayReadable(t *testing.T) {
	script, err := commandScript(marker{"a", "b"}, remote.Command{Argv: []string{"systemctl", "stop", "etcd.service"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	line, err := shellLine(script)
	if want := `exec /bin/sh -c 'echo a""b $$;echo a""b $$>&2;export LC_ALL=C;exec systemctl stop etcd.service'`; line != want || err != nil {
		t.Errorf("got %s, %v", line, err)
	}
	script, err = commandScript(marker{"a", "b"}, remote.Command{Argv: []string{"mv", "a b", "c"}, Env: []string{"X=1 2"}}, true)
	if want := `echo a""-at-sudo;exec sudo -n -- env LC_ALL=C X='1 2' /bin/sh -c 'echo a""b $0;echo a""b $0>&2;exec "$@"' $$ mv 'a b' c`; script != want || err != nil {
		t.Errorf("got %s, %v", script, err)
	}
}

// FuzzLine: whatever an argument holds, sh gives the command exactly that; for
// the other shells the line stays within what all of them take literally.
func FuzzLine(f *testing.F) {
	for _, s := range hard {
		f.Add(s, "second")
	}
	m := marker{"novatui-aa", "bb"}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) || len(a)+len(b) > 20000 {
			t.Skip()
		}
		want := []string{a, b}
		if got := viaShell(t, "/bin/sh", m, want); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		script, err := commandScript(m, remote.Command{Argv: []string{"x", a, b}}, true)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := shellLine(script); err == nil && !literal(line) {
			t.Errorf("not every shell takes %q literally", line)
		}
	})
}

// literal checks a line against the rules that line.go rests on, without the
// code of line.go.
func literal(line string) bool {
	inner, ok := strings.CutPrefix(line, "exec /bin/sh -c '")
	if !ok || !strings.HasSuffix(inner, "'") {
		return false
	}
	inner = strings.ReplaceAll(strings.TrimSuffix(inner, "'"), `'\''`, "")
	for i := range len(inner) {
		switch c := inner[i]; {
		case c < ' ', c > '~', c == '!', c == '\'':
			return false
		case c == '\\' && (i+1 == len(inner) || strings.IndexByte("0nt", inner[i+1]) < 0):
			return false
		}
	}
	return true
}

func FuzzSink(f *testing.F) {
	f.Add([]byte("noise"), []byte("out"), 3)
	f.Add([]byte("novatui-"), []byte("novatui-aabb\n"), 1)
	f.Fuzz(func(t *testing.T, noise, out []byte, step int) {
		mark := []byte("novatui-aabb ")
		if bytes.Contains(append(slices.Clone(noise), mark[:len(mark)-1]...), mark) || step < 1 {
			t.Skip()
		}
		s := newSink(mark, nil, &sharedTee{}, 1<<20)
		all := slices.Concat(noise, mark, []byte("123\n"), out)
		for len(all) > 0 {
			n := min(step, len(all))
			if _, err := s.Write(all[:n]); err != nil {
				t.Fatal(err)
			}
			all = all[n:]
		}
		if got, _ := s.detach(); !bytes.Equal(got, out) || s.process() != 123 {
			t.Errorf("got %q, want %q", got, out)
		}
	})
}
