package etcdops

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// onHere runs a command of a builder on this machine.
func onHere(t testing.TB, c remote.Command, err error) (string, int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p := exec.Command(c.Argv[0], c.Argv[1:]...)
	p.Stdin = strings.NewReader(c.Stdin)
	out, err := p.Output()
	if p.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), p.ProcessState.ExitCode()
}

// lease runs a command of the lease and reads its answer.
func leaseAnswer(t testing.TB, c remote.Command, err error) LeaseSeen {
	t.Helper()
	out, exit := onHere(t, c, err)
	seen, err := ParseLease([]byte(out))
	if exit != 0 || err != nil {
		t.Fatalf("exit %d, %v: %s", exit, err, out)
	}
	return seen
}

func TestLeaseIsTakenByOne(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: tree(t, nil)})
	if seen := leaseAnswer(t, h.LeaseLook(), nil); seen.Token != "" {
		t.Errorf("before: %+v", seen)
	}
	const tokens = "0123456789"
	seen := make([]LeaseSeen, len(tokens))
	var wg sync.WaitGroup
	for i, r := range tokens {
		wg.Go(func() {
			c, err := h.LeaseTake("ab"+string(r), `{"run":"`+string(r)+`"}`, "")
			seen[i] = leaseAnswer(t, c, err)
		})
	}
	wg.Wait()
	winner := seen[0].Token
	for i, s := range seen {
		if s.Token != winner || string(s.Record) != `{"run":"`+winner[2:]+`"}` || s.Age < 0 || s.Age > 5*time.Second {
			t.Errorf("%d is told %+v", i, s)
		}
	}
	c, err := h.LeaseTake(winner, `{"run":"again"}`, "")
	if s := leaseAnswer(t, c, err); s.Token != winner || string(s.Record) != `{"run":"again"}` {
		t.Errorf("taken again: %+v", s)
	}
	c, err = h.LeaseRelease(winner)
	if s := leaseAnswer(t, c, err); s.Token != "" {
		t.Errorf("released: %+v", s)
	}
	if left := listing(t, h.Facts.Root); len(left) != 3 { // the root, var and lib
		t.Errorf("left is %v", left)
	}
}

func TestLeaseTakeOverNamesWhom(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: tree(t, nil)})
	take := func(token, over string) LeaseSeen {
		c, err := h.LeaseTake(token, `{"of":"`+token+`"}`, over)
		return leaseAnswer(t, c, err)
	}
	take("aa", "")
	old := time.Now().Add(-time.Minute)
	if err := os.Chtimes(h.Path(RunsDir+"/lease"), old, old); err != nil {
		t.Fatal(err)
	}
	if s := leaseAnswer(t, h.LeaseLook(), nil); s.Token != "aa" || s.Age < time.Minute || s.Age > 2*time.Minute {
		t.Errorf("a minute later: %+v", s)
	}
	if s := take("bb", "cc"); s.Token != "aa" {
		t.Errorf("over another one's: %+v", s)
	}
	if s := take("bb", "aa"); s.Token != "bb" || s.Age > 5*time.Second {
		t.Errorf("over aa's: %+v", s)
	}
	// Who lost it renews and releases in vain.
	for _, c := range []func() (remote.Command, error){
		func() (remote.Command, error) { return h.LeaseRenew("aa", `{"of":"aa"}`) },
		func() (remote.Command, error) { return h.LeaseRelease("aa") },
	} {
		cmd, err := c()
		if s := leaseAnswer(t, cmd, err); s.Token != "bb" || string(s.Record) != `{"of":"bb"}` {
			t.Errorf("%s: %+v", cmd.Argv[4], s)
		}
	}
	var names []string
	for name := range listing(t, h.Path(RunsDir)) {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"./", "lease", "lease.bb"}) {
		t.Errorf("left is %v", names)
	}
}

// TestLeaseTakesOnlyItsFiles: nothing goes away that is not the lease's own.
func TestLeaseTakesOnlyItsFiles(t *testing.T) {
	root := tree(t, map[string]string{"var/lib/novatui/1/plan.json": "kept", "var/lib/novatui/lease.txt": "kept"})
	h := HostAt(remote.Node{Name: "n", Root: root})
	c, err := h.LeaseTake("aa", "{}", "")
	leaseAnswer(t, c, err)
	c, err = h.LeaseRelease("aa")
	leaseAnswer(t, c, err)
	left := listing(t, root)
	if left["var/lib/novatui/1/plan.json"] != "kept" || left["var/lib/novatui/lease.txt"] != "kept" || len(left) != 7 {
		t.Errorf("left is %v", left)
	}
	// What is no lease is not taken and not taken away.
	for name, place := range map[string]func(string) error{
		"a folder": func(p string) error { return os.Mkdir(p, 0o700) },
		"a file":   func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"a link":   func(p string) error { return os.Symlink("lease.txt/../1", p) },
	} {
		p := h.Path(RunsDir + "/lease")
		if err := place(p); err != nil {
			t.Fatal(err)
		}
		for _, over := range []string{"", "bb"} {
			c, err := h.LeaseTake("aa", "{}", over)
			if s := leaseAnswer(t, c, err); s.Token == "aa" || s.Token == "" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if _, err := os.Lstat(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLeaseRefusesStrangeInput(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: "/lab/n"})
	for _, token := range []string{"", "../x", "AB", "a b", strings.Repeat("a", 65)} {
		if _, err := h.LeaseTake(token, "{}", ""); err == nil {
			t.Errorf("token %q was taken", token)
		}
	}
	for _, record := range []string{"", "a\nb", "a\x00", strings.Repeat("x", 9000)} {
		if _, err := h.LeaseRenew("aa", record); err == nil {
			t.Errorf("record %.20q was taken", record)
		}
	}
	for _, out := range []string{"", "held=\x1b[2J\nage=1", "held=aa", "held=aa\nage=x", "held=aa\nage=99999999999999999999"} {
		if s, err := ParseLease([]byte(out)); err == nil {
			t.Errorf("%q is read as %+v", out, s)
		}
	}
}

func TestFenceRunsOnlyForTheHolder(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: tree(t, nil)})
	c, err := h.LeaseTake("aa", "{}", "")
	leaseAnswer(t, c, err)
	file := filepath.Join(h.Facts.Root, "file")
	write := remote.Command{Argv: []string{"sh", "-c", `cat >"$1"; exit 7`, "sh", file}, Effect: remote.Change,
		Timeout: time.Second, Stdin: "it's"}
	if _, exit := onHere(t, h.Fenced("bb", write), nil); exit != ExitFenced {
		t.Errorf("exit %d for bb", exit)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("bb's command was run")
	}
	if _, exit := onHere(t, h.Fenced("aa", write), nil); exit != 7 || read(t, file) != "it's" {
		t.Errorf("exit %d for aa", exit)
	}
	if len(write.Argv) != 5 {
		t.Error("the fence changed the command that it was given")
	}
}
