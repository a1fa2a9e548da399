package etcdops

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// envShapes are env files of many shapes with what systemd makes of them.
var envShapes = []struct {
	name, text string
	want       map[string]string
}{
	{"plain", "A=1\nB=two words \n", map[string]string{"A": "1", "B": "two words"}},
	{"no newline at the end", "A=1", map[string]string{"A": "1"}},
	{"quotes", `A="a b"` + "\nB='c \"d\"'\n", map[string]string{"A": "a b", "B": `c "d"`}},
	{"spaces around", "  A = \"x\"  \n\tB\t=\ty \t\n", map[string]string{"A": "x", "B": "y"}},
	{"comments", "# A=1\n; A=2\n  # A=3\nA=4 # not a comment\n", map[string]string{"A": "4 # not a comment"}},
	{"last one wins", "A=1\nA=2\n", map[string]string{"A": "2"}},
	{"continuation", "A=one \\\ntwo\nB=\"x \\\ny\"\n", map[string]string{"A": "one two", "B": "x y"}},
	{"quoted newline", "A=\"x\ny\"\nB='1\n2'\nC=3\n", map[string]string{"A": "x\ny", "B": "1\n2", "C": "3"}},
	{"escapes", `A=\"x\ y` + "\n" + `B="\$\"\a\\` + "\"\n", map[string]string{"A": `"x y`, "B": `$"\a\`}},
	{"escaped trailing space", "A=x\\ \nB=1\n", map[string]string{"A": "x ", "B": "1"}},
	{"joined quotes", `A="a"'b'c` + "\n", map[string]string{"A": "abc"}},
	{"quote inside", `A=a"b"` + "\n", map[string]string{"A": `a"b"`}},
	{"export is no name", "export A=1\nB=2\n", map[string]string{"B": "2"}},
	{"no equals sign", "A\nB=2\n", map[string]string{"B": "2"}},
	{"empty value", "A=\nB=\"\"\n", map[string]string{"A": "", "B": ""}},
	{"carriage returns", "A=1\r\nB=\"2\"\r\n", map[string]string{"A": "1", "B": "2"}},
	{"unterminated quote", "A=\"x\nB=2\n", map[string]string{"A": "x\nB=2\n"}},
	{"equals in the value", "A=etcd1=https://a:2380,etcd2=https://b:2380\n",
		map[string]string{"A": "etcd1=https://a:2380,etcd2=https://b:2380"}},
	{"not ASCII", "A=кластер\n", map[string]string{"A": "кластер"}},
	{"empty", "", map[string]string{}},
	{"only equals", "=x\n==\nB=1\n", map[string]string{"B": "1"}},
	{"comment ending in a backslash, as of v254", "# x \\\nA=1\n", map[string]string{"A": "1"}},
	{"vendor", `ETCD_NAME="etcd2"
ETCD_INITIAL_CLUSTER="etcd2=https://172.31.100.105:2380,etcd3=https://172.31.100.106:2380"
ETCD_INITIAL_ADVERTISE_PEER_URLS="https://172.31.100.105:2380"  
ETCD_INITIAL_CLUSTER_STATE=new
`, map[string]string{
		"ETCD_NAME":                        "etcd2",
		"ETCD_INITIAL_CLUSTER":             "etcd2=https://172.31.100.105:2380,etcd3=https://172.31.100.106:2380",
		"ETCD_INITIAL_ADVERTISE_PEER_URLS": "https://172.31.100.105:2380",
		"ETCD_INITIAL_CLUSTER_STATE":       "new",
	}},
}

func TestParseEnvReadsAsSystemdDoes(t *testing.T) {
	for _, c := range envShapes {
		got, err := ParseEnv([]byte(c.text))
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if _, err := ParseEnv([]byte("A=\xff\n")); err == nil {
		t.Error("a value that is not UTF-8 was taken")
	}
}

// shells are the shells of this machine that the scripts must run under.
func shells(t testing.TB) [][]string {
	t.Helper()
	var found [][]string
	for _, s := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(s[0]); err == nil {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return [][]string{{"sh"}} // every POSIX system has that
	}
	return found
}

// runScript runs one of our scripts under a shell; the status is -1 when it
// did not run.
func runScript(shell []string, stdin, name string, args ...string) (out, errOut string, status int) {
	argv := append(append([]string{}, shell[1:]...), "-c", scriptText(name), "novatui")
	cmd := exec.Command(shell[0], append(argv, args...)...)
	var o, e strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return "", err.Error(), -1
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func TestScriptAgreesWithParseEnv(t *testing.T) {
	for _, shell := range shells(t) {
		for _, c := range envShapes {
			file := filepath.Join(t.TempDir(), "etcd 'x'.env")
			write(t, file, c.text)
			args := []string{"ETCD_INITIAL_CLUSTER_STATE=existing", `A=new "value" with $x \ and spaces`}
			_, errOut, status := runScript(shell, "", "set-env.sh", append([]string{"set", file, "tag"}, args...)...)
			if strings.HasPrefix(c.name, "unterminated") || strings.HasPrefix(c.name, "comment ending") {
				if status != ExitRefused || read(t, file) != c.text {
					t.Errorf("%v, %s: status %d, %s; it must be refused", shell, c.name, status, errOut)
				}
				continue
			}
			if status != 0 {
				t.Errorf("%v, %s: status %d: %s", shell, c.name, status, errOut)
				continue
			}
			want := maps.Clone(c.want)
			want["ETCD_INITIAL_CLUSTER_STATE"] = "existing"
			want["A"] = `new "value" with $x \ and spaces`
			got, err := ParseEnv([]byte(read(t, file)))
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, %s: the file is now\n%s\nwhich says %q, %v, want %q",
					shell, c.name, read(t, file), got, err, want)
			}
			if kept := read(t, file+".novatui-tag"); kept != c.text {
				t.Errorf("%v, %s: the kept file is %q, want %q", shell, c.name, kept, c.text)
			}
			// A second time: nothing to do, and the kept file stays the first.
			before := read(t, file)
			out, _, status := runScript(shell, "", "set-env.sh", append([]string{"set", file, "tag"}, args...)...)
			if status != 0 || ScriptResult([]byte(out)) != "already" || read(t, file) != before {
				t.Errorf("%v, %s: the second time: status %d, %s", shell, c.name, status, out)
			}
		}
	}
}

func TestSetEnvKeepsEverythingElse(t *testing.T) {
	text := "# etcd of nova\nETCD_NAME=\"etcd2\"\n\n  ETCD_INITIAL_CLUSTER_STATE = \"new\"  \n" +
		"; old\n#ETCD_INITIAL_CLUSTER_STATE=new\nETCDCTL_PASSWORD='s e'\n"
	want := "# etcd of nova\nETCD_NAME=\"etcd2\"\n\n  ETCD_INITIAL_CLUSTER_STATE=existing\n" +
		"; old\n#ETCD_INITIAL_CLUSTER_STATE=new\nETCDCTL_PASSWORD='s e'\nETCD_INITIAL_CLUSTER_TOKEN=k8s_etcd\n"
	for _, shell := range shells(t) {
		file := filepath.Join(t.TempDir(), "etcd.env")
		write(t, file, text)
		if err := os.Chmod(file, 0o640); err != nil {
			t.Fatal(err)
		}
		args := []string{"ETCD_INITIAL_CLUSTER_STATE=existing", "ETCD_INITIAL_CLUSTER_TOKEN=k8s_etcd"}
		_, _, status := runScript(shell, "", "set-env.sh", append([]string{"check", file, "-"}, args...)...)
		if status != ExitDiffers || read(t, file) != text {
			t.Errorf("%v: check: status %d", shell, status)
		}
		if _, e, status := runScript(shell, "", "set-env.sh", append([]string{"set", file, "t"}, args...)...); status != 0 {
			t.Fatalf("%v: status %d: %s", shell, status, e)
		}
		if got := read(t, file); got != want {
			t.Errorf("%v: got\n%s\nwant\n%s", shell, got, want)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%v: mode %v, %v", shell, info.Mode(), err)
		}
		if _, e, status := runScript(shell, "", "set-env.sh", append([]string{"check", file, "-"}, args...)...); status != 0 {
			t.Errorf("%v: check afterwards: status %d: %s", shell, status, e)
		}
		if _, e, status := runScript(shell, "", "env-back.sh", file, "t", "u"); status != 0 || read(t, file) != text || read(t, file+".novatui-u") == text {
			t.Errorf("%v: restore-env: status %d: %s", shell, status, e)
		}
	}
}

func TestMaskEnvKeepsNoPassword(t *testing.T) {
	got := maskEnv(map[string]string{
		"ETCDCTL_PASSWORD": "p", "ETCDCTL_USER": "root:p", "PATH": "/bin", "ETCD_NAME": "n", "AWS_SECRET": "s",
	})
	want := map[string]string{"ETCDCTL_PASSWORD": Masked, "ETCDCTL_USER": Masked, "ETCD_NAME": "n"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FuzzParseEnv: never a panic, and the script's reader says the same.
func FuzzParseEnv(f *testing.F) {
	for _, c := range envShapes {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseEnv([]byte(text))
		if err != nil || strings.Contains(text, "\x00") || !utf8.ValidString(text) || len(text) > 2000 {
			return
		}
		file := filepath.Join(t.TempDir(), "e")
		write(t, file, text)
		cmd := exec.Command("sh", "-c", scriptText("lib.sh")+scriptText("env.sh")+`env_list get "$1"`, "x", file)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		code := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")
		for line := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if validEnvName(k) {
				said[k] = code.Replace(v)
			}
		}
		// awk cannot tell whether the last line had its newline.
		if !maps.Equal(said, got) && strings.HasSuffix(text, "\n") {
			t.Errorf("%q: the script says %q, ParseEnv %q", text, said, got)
		}
	})
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
