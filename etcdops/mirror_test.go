package etcdops

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/novatui/novatui/remote"
)

// mirrorOf runs a command of the mirror with input.
func mirrorOf(t testing.TB, in string, c remote.Command, err error) (size int64, sum string, exit int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(c.Argv[0], c.Argv[1:]...)
	p.Stdin = strings.NewReader(in)
	out, _ := p.Output()
	size, sum, err = ParseMirror(out)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return size, sum, p.ProcessState.ExitCode()
}

func TestMirrorAppendsOnce(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: tree(t, nil)})
	const tag, run = "20261103-140314", "20261103-140314-restore-ab12"
	look := func() (int64, string) {
		c, err := h.MirrorLook(tag, run, "journal.jsonl")
		size, sum, _ := mirrorOf(t, "", c, err)
		return size, sum
	}
	put := func(offset int64, text string) (int64, int) {
		c, err := h.MirrorAppend(tag, run, "journal.jsonl", offset)
		size, _, exit := mirrorOf(t, text, c, err)
		return size, exit
	}
	if size, _ := look(); size != -1 {
		t.Errorf("before: %d", size)
	}
	for _, c := range []struct {
		offset int64
		text   string
		size   int64
		exit   int
	}{{0, "one\n", 4, 0}, {0, "one\n", 4, ExitDiffers}, {4, "two\n", 8, 0}, {4, "two\n", 8, ExitDiffers}, {9, "x", 8, ExitDiffers}} {
		if size, exit := put(c.offset, c.text); size != c.size || exit != c.exit {
			t.Errorf("%+v: size %d, exit %d", c, size, exit)
		}
	}
	file := h.RunDir(tag) + "/run/" + run + "/journal.jsonl"
	if got := read(t, file); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	for _, dir := range []string{h.RunDir(tag), h.RunDir(tag) + "/run/" + run} {
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", dir, st, err)
		}
	}
	if size, sum := look(); size != 8 || sum != fmt.Sprintf("%x", sha256.Sum256([]byte("one\ntwo\n"))) {
		t.Errorf("%d %s", size, sum)
	}
	for n := 1; n <= 2; n++ {
		c, err := h.MirrorAside(tag, run, "journal.jsonl")
		mirrorOf(t, "", c, err)
		if size, _ := put(0, "other\n"); size != 6 {
			t.Errorf("after it was set aside: %d", size)
		}
	}
	if got := read(t, file+".other-1") + read(t, file+".other-2"); got != "one\ntwo\nother\n" {
		t.Errorf("set aside is %q", got)
	}
}

func TestMirroredListsWhatIsARun(t *testing.T) {
	h := HostAt(remote.Node{Name: "n", Root: tree(t, map[string]string{
		"var/lib/novatui/20261103-140314/run/a-1/plan.json":     "{}",
		"var/lib/novatui/20261103-140314/run/a-1/journal.jsonl": "{}\n" + `{"seq":2,"time":"x","type":"run-done","run":"a-1"}` + "\n",
		"var/lib/novatui/20261104-140314/run/b-1/plan.json":     "{}",
		"var/lib/novatui/20261104-140314/run/b-1/journal.jsonl": "\x1b[2J run=evil evil 1 1 torn" + strings.Repeat("x", 1<<20),
		"var/lib/novatui/20261104-140314/run/c/plan.json":       "{}",
		"var/lib/novatui/20261104-140314/run/d d/plan.json":     "{}",
		"var/lib/novatui/20261104-140314/run/d d/journal.jsonl": "x",
		"var/lib/novatui/lease":                                 "x",
	})})
	out, exit := onHere(t, h.MirrorList(), nil)
	all := ParseMirrored([]byte(out))
	if exit != 0 || len(all) != 2 || strings.Contains(out, "\x1b") {
		t.Fatalf("exit %d: %+v\n%.2000s", exit, all, out)
	}
	if b, a := all[0], all[1]; b.Run != "b-1" || b.LastType != "" || b.JournalBytes < 1<<20 || a.Run != "a-1" || a.LastType != "run-done" || a.PlanBytes != 2 {
		t.Errorf("%+v", all)
	}
	c, err := h.MirrorFetch(all[0].Tag, all[0].Run, "journal.jsonl", 10)
	if out, _ := onHere(t, c, err); len(out) != 10 {
		t.Errorf("%q", out)
	}
	for _, bad := range [][3]string{{"../x", "a", "f"}, {"a", "../b", "f"}, {"a", "b", "../f"}, {"a", "b", ""}} {
		if c, err := h.MirrorFetch(bad[0], bad[1], bad[2], 1); err == nil {
			t.Errorf("%v makes %v", bad, c.Argv)
		}
	}
}
