package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/lab/labtest"
	"github.com/novatui/novatui/workflows/engine"
)

// TestMain makes this test binary the program itself: the parts of a lab first,
// then novatui as the scripts of testdata call it.
func TestMain(m *testing.M) {
	if code, played := lab.Dispatch(os.Args); played {
		os.Exit(code)
	}
	testscript.Main(withProgram{m}, map[string]func(){"novatui": main})
}

// labProgram plays the parts of a lab.
var labProgram string

// withProgram has it as long as the tests run.
type withProgram struct{ *testing.M }

func (m withProgram) Run() int {
	var remove func() error
	var err error
	if labProgram, remove, err = labtest.Program(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = remove() }() // a temporary file
	return m.M.Run()
}

// TestScripts drives the program as an operator's shell does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": cmdStatus,
			"json":   cmdJSON,
			"setvar": cmdSetvar,
			"mode":   cmdMode,
			"events": cmdEvents,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "lab" {
				return !testing.Short(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// setupScript gives every script a home of its own.
func setupScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("LC_ALL", "C.UTF-8")
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("SSH_AUTH_SOCK", "")
	env.Setenv("NL", "\n")            // a script cannot write one inside an argument
	env.Setenv("PROGRAM", labProgram) // "lab up" of this one is a quick lab
	if self, err := os.Executable(); err == nil && self == labProgram {
		env.Setenv("PROGRAM", "novatui") // the name by which it plays that
	}
	env.Setenv("LAB", filepath.Join(env.WorkDir, "lab"))
	env.Setenv("FILE", filepath.Join(env.WorkDir, "lab", "novatui.yaml"))
	env.Defer(func() {
		// A script that failed half-way leaves its lab running.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := lab.Cleanup(ctx, env.Getenv("LAB"))
		if err != nil && !errors.Is(err, lab.ErrNoLab) {
			env.T().Log("taking the lab down:", err)
		}
	})
	return nil
}

// cmdStatus runs a command and requires its exit status: status N COMMAND ARG...
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
	}
	if got != want {
		ts.Fatalf("%s: exit status %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// cmdJSON compares a value in the last stdout: json PATH WANT. PATH is keys and
// list indexes with dots between, and KEY=VALUE to choose from a list
// ("members.node=master-2.state"); "PATH.length" is the length of a list. WANT is a
// regular expression for the whole value.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH WANT")
	}
	got, err := lookUp(ts.ReadFile("stdout"), args[0])
	if err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	re, err := regexp.Compile("^(?:" + args[1] + ")$")
	ts.Check(err)
	if re.MatchString(got) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %t)", args[0], got, args[1], neg)
	}
}

// cmdSetvar puts a value of the last stdout into a variable: setvar NAME PATH,
// or, with a regular expression between slashes, its first group.
func cmdSetvar(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setvar NAME PATH")
	}
	out := ts.ReadFile("stdout")
	if expr, ok := strings.CutPrefix(args[1], "/"); ok {
		m := regexp.MustCompile(strings.TrimSuffix(expr, "/")).FindStringSubmatch(out)
		if len(m) < 2 {
			ts.Fatalf("%s does not match", args[1])
		}
		ts.Setenv(args[0], m[1])
		return
	}
	value, err := lookUp(out, args[1])
	ts.Check(err)
	ts.Setenv(args[0], value)
}

// cmdMode requires the permissions of a file: mode 0600 FILE.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode PERMISSIONS FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has the mode %s, want %s", args[1], got, args[0])
	}
}

// cmdEvents requires the last stdout to be one event of a run a line, numbered
// without a gap, from the first type to the last: events FIRST LAST.
func cmdEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: events FIRST LAST")
	}
	var events []engine.Event
	for n, line := range strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\n"), "\n") {
		var e engine.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			ts.Fatalf("line %d is no event: %v: %s", n+1, err, line)
		}
		if n > 0 && e.Seq != events[n-1].Seq+1 {
			ts.Fatalf("event %d follows %d", e.Seq, events[n-1].Seq)
		}
		events = append(events, e)
	}
	if first, last := events[0].Type, events[len(events)-1].Type; string(first) != args[0] || string(last) != args[1] {
		ts.Fatalf("events from %s to %s, want %s to %s", first, last, args[0], args[1])
	}
	if events[0].Schema != engine.EventSchema {
		ts.Fatalf("the first event has the schema %q", events[0].Schema)
	}
}

// lookUp finds a value in JSON text.
func lookUp(text, path string) (string, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", fmt.Errorf("stdout is not JSON: %w", err)
	}
	for _, key := range strings.Split(path, ".") {
		var err error
		if v, err = descend(v, key); err != nil {
			return "", err
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func descend(v any, key string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if value, ok := v[key]; ok {
			return value, nil
		}
	case []any:
		if key == "length" {
			return len(v), nil
		}
		if name, want, ok := strings.Cut(key, "="); ok {
			for _, item := range v {
				if m, ok := item.(map[string]any); ok && fmt.Sprint(m[name]) == want {
					return item, nil
				}
			}
			return nil, fmt.Errorf("no item has %s", key)
		}
		if i, err := strconv.Atoi(key); err == nil && i < len(v) {
			return v[i], nil
		}
	}
	return nil, fmt.Errorf("there is no %q", key)
}
