package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/novatui/novatui/assets/msg"
)

// program is one invocation: its streams, its environment and the flags that
// every command shares.
type program struct {
	stdin  *os.File
	stdout io.Writer
	stderr io.Writer
	env    []string
	flags  globalFlags
	// printer is chosen when first needed: reading the catalogue costs
	// milliseconds that `novatui version` does not have.
	printer *msg.Printer
	// language of the cluster file; empty until one was read.
	fileLanguage string
}

// globalFlags are understood by every command, also by those that do not need
// them.
type globalFlags struct {
	cluster string
	nodes   string
	lang    string
	noColor bool
	output  string
}

// run executes the command line and returns the exit status. It is the only
// place that prints errors.
func (p *program) run(args []string) int {
	ctx, stop := withSignals(context.Background())
	defer stop()
	root := newRoot(p)
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		p.printError(ctx, err)
	}
	return exitStatus(ctx, err)
}

// msgs is the printer of the chosen language: --lang before the cluster file
// before the environment.
func (p *program) msgs() *msg.Printer {
	if p.printer == nil {
		p.printer = msg.New(p.language())
	}
	return p.printer
}

func (p *program) language() string {
	for _, lang := range []string{p.flags.lang, p.fileLanguage} {
		if slices.Contains(msg.Languages, lang) {
			return lang
		}
	}
	return msg.FromEnvironment(p.env)
}

// t is the text of a message of area cmd in the chosen language.
func (p *program) t(id string, pairs ...any) string { return p.msgs().T(id, pairs...) }

// getenv is os.Getenv on the environment that the program was started with.
func (p *program) getenv(name string) string {
	for _, e := range slices.Backward(p.env) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}

// interactive reports whether there is somebody to ask: a terminal to read
// from and a terminal to show the question on.
func (p *program) interactive() bool {
	errFile, ok := p.stderr.(*os.File)
	return ok && p.stdin != nil && term.IsTerminal(int(p.stdin.Fd())) && term.IsTerminal(int(errFile.Fd()))
}

// colourless reports whether colour must not be used: --no-color, or NO_COLOR
// with any value at all (https://no-color.org), or a dumb terminal.
func (p *program) colourless() bool {
	return p.flags.noColor || p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb"
}

// say writes a line for people. It goes to stderr, so that stdout stays data.
func (p *program) say(format string, args ...any) {
	// A terminal that is gone must not stop a recovery.
	_, _ = fmt.Fprintf(p.stderr, format+"\n", args...)
}

// outputFormat checks -o against what the command offers; the first of the
// offered ones is the default.
func (p *program) outputFormat(offered ...string) (string, error) {
	if p.flags.output == "" {
		return offered[0], nil
	}
	if !slices.Contains(offered, p.flags.output) {
		return "", usagef("give one of: -o "+strings.Join(offered, ", -o "),
			"unknown output format %q", p.flags.output)
	}
	return p.flags.output, nil
}
