package remote

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/novatui/novatui/assets/msg"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"plain\ttext\n":       "plain\ttext\n",
		"привет, 日本":          "привет, 日本",
		"\x1b[2J\x1b]0;x\x07": "␛[2J␛]0;x␇",
		"a\rb\x00c\x7f":       "a␍b␀c␡",
		"\u009b31m":           "\ufffd31m",
		"\xff\xfe":            "\ufffd\ufffd",
		"safe\u202egnp.exe":   "safe\ufffdgnp.exe",
		"a\u200fb\u2066c":     "a\ufffdb\ufffdc",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\r\n")
	f.Add("a\u202eb\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || isBidi(r) {
				t.Errorf("%q still holds %U", got, r)
			}
		}
		if Clean(got) != got {
			t.Errorf("cleaning %q again changes it", got)
		}
	})
}

// FuzzQuote: what the shell makes of a quoted word is the word.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", "'", `\`, "$(id)", "`id`", "\n", "!", "*", "~", "a=b", "\xff", "-n", "привет"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) || len(s) > 10000 {
			t.Skip()
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+Quote(s)+"x").Output()
		if err != nil || string(out) != s+"x" {
			t.Errorf("Quote(%q) = %s comes out as %q, %v", s, Quote(s), out, err)
		}
	})
}

func TestCommandLine(t *testing.T) {
	c := Command{Argv: []string{"etcdctl", "--user=root:s3cret", "get", "a b"}, Env: []string{"X=s3cret y"}, Secrets: []string{"s3cret", ""}}
	if got, want := c.Line(), "X='*** y' etcdctl --user=root:*** get 'a b'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.Summary = "get with s3cret"
	if got := c.ShortIn(msg.New("ru").S); got != "get with ***" {
		t.Errorf("ShortIn without a message is %q", got)
	}
	if got := c.Named(msg.M("command.put-file", "path", "/s3cret")).ShortIn(msg.New("ru").S); got != "сохранить /***" {
		t.Errorf("ShortIn is %q", got)
	}
	if got := c.Short(); got != "get with ***" {
		t.Errorf("got %s", got)
	}
}

func TestValidate(t *testing.T) {
	good := Command{Argv: []string{"true"}, Effect: Read, Timeout: time.Second, Env: []string{"A_1=x=y"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Command){
		"no argv":         func(c *Command) { c.Argv = nil },
		"empty program":   func(c *Command) { c.Argv = []string{""} },
		"no effect":       func(c *Command) { c.Effect = "" },
		"strange effect":  func(c *Command) { c.Effect = "reads" },
		"no deadline":     func(c *Command) { c.Timeout = 0 },
		"NUL in argv":     func(c *Command) { c.Argv = []string{"a", "b\x00"} },
		"NUL in env":      func(c *Command) { c.Env = []string{"A=\x00"} },
		"env without =":   func(c *Command) { c.Env = []string{"A"} },
		"env with a name": func(c *Command) { c.Env = []string{"A;B=c"} },
		"env digit":       func(c *Command) { c.Env = []string{"1A=c"} },
		"env empty name":  func(c *Command) { c.Env = []string{"=c"} },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestResultCheck(t *testing.T) {
	c := Command{Argv: []string{"etcdctl", "x"}}
	if err := (Result{}).Check("n1", c); err != nil {
		t.Error(err)
	}
	err := Result{Exit: 2, Stderr: []byte("one\nlast \x1b[31mline\n")}.Check("n1", c)
	var exit *ExitError
	if !errors.As(err, &exit) || err.Error() != "n1: etcdctl x: exit status 2: last ␛[31mline" {
		t.Errorf("got %v", err)
	}
	if err := (Result{Exit: 137, Signal: "KILL"}).Check("n1", c); err == nil || err.Error() != "n1: etcdctl x: ended by signal KILL" {
		t.Errorf("got %v", err)
	}
}

func TestSame(t *testing.T) {
	a := Command{Argv: []string{"a"}, Env: []string{"X=1"}, Effect: Read, Stdin: "in", Timeout: 1}
	b := a
	b.Timeout, b.Summary, b.Quiet = 2, "other", true
	if !a.Same(b) {
		t.Error("what only concerns showing and time makes a difference")
	}
	for _, change := range []func(*Command){
		func(c *Command) { c.Argv = []string{"b"} }, func(c *Command) { c.Env = nil },
		func(c *Command) { c.Effect = Destroy }, func(c *Command) { c.Stdin = "" },
	} {
		b := a
		change(&b)
		if a.Same(b) {
			t.Errorf("%+v is the same as %+v", a, b)
		}
	}
}

func TestPath(t *testing.T) {
	if got := (Node{}).Path("/etc/etcd.env"); got != "/etc/etcd.env" {
		t.Error(got)
	}
	if got := (Node{Root: "/lab/n1"}).Path("/etc/etcd.env"); got != "/lab/n1/etc/etcd.env" {
		t.Error(got)
	}
}

func TestEachAsksAllAtOnceAndSurvivesPanics(t *testing.T) {
	meet := make(chan int)
	errs := Each([]int{0, 1, 2, 3}, func(i int, item int) error {
		switch i {
		case 0:
			meet <- 1 // only returns when another one runs at the same time
		case 1:
			<-meet
		case 2:
			panic("on purpose")
		}
		return fmt.Errorf("item %d: %w", item, context.Canceled)
	})
	for i, err := range errs {
		if i == 2 {
			if err == nil || !strings.Contains(err.Error(), "panic: on purpose") {
				t.Errorf("got %v", err)
			}
			continue
		}
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), fmt.Sprint(i)) {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if got := Each([]int(nil), func(int, int) error { return nil }); !slices.Equal(got, []error{}) {
		t.Errorf("got %v", got)
	}
}
