// Package ui is the wizard: a root model with a stack of screens, a stack of
// overlays and the routing of keys. Screens render strings; only the root
// makes a tea.View. The package does no I/O and starts no goroutine: what is
// slow runs in a tea.Cmd through the Backend.
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/term"

	"github.com/novatui/novatui/ui/backend"
)

// What the program implements and gets; see package backend.
type (
	Backend      = backend.Backend
	ClusterInfo  = backend.ClusterInfo
	NodeInfo     = backend.NodeInfo
	ConnectError = backend.ConnectError
	Question     = backend.Question
	Assessed     = backend.Assessed
	PlanRequest  = backend.PlanRequest
	Report       = backend.Report
)

// ErrNoTerminal says that there is no terminal in which the wizard could be
// shown; the headless commands work without one.
var ErrNoTerminal = errors.New("the wizard needs a terminal")

// Options are how the wizard is shown.
type Options struct {
	// Lang is en or ru; empty means from the environment.
	Lang string
	// Plain asks for no full-screen program at all.
	Plain bool
	// NoColor is --no-color; NO_COLOR in Env does the same.
	NoColor bool
	// SSH says that the wizard itself is shown over SSH: it then redraws at
	// most ten times a second. SSH_TTY or SSH_CONNECTION in Env do the same.
	SSH bool
	// Env is the environment as NAME=value pairs; nil means the process's own.
	Env []string
	// Input and Output are the terminal; nil means stdin and stdout.
	Input  io.Reader
	Output io.Writer
}

// Run shows the wizard until the operator leaves it or ctx ends. It returns
// ErrNoTerminal, with what to do instead, when there is no terminal that can
// show it.
func Run(ctx context.Context, b Backend, o Options) error {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Input == nil {
		o.Input = os.Stdin
	}
	if o.Output == nil {
		o.Output = os.Stdout
	}
	if err := terminal(o); err != nil {
		return err
	}
	look := lookOf(o)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what the wizard's commands still wait for
	var program *tea.Program
	m := newModel(b, look, world{
		now:   time.Now,
		after: tea.Tick,
		do: func(work func(context.Context) tea.Msg) tea.Cmd {
			return func() tea.Msg { return work(ctx) }
		},
		send: func(msg tea.Msg) { program.Send(msg) },
	})
	fps := 30
	if look.ssh {
		fps = 10
	}
	options := []tea.ProgramOption{
		tea.WithInput(o.Input), tea.WithOutput(o.Output),
		tea.WithEnvironment(look.env), tea.WithFPS(fps),
		// Signals are the program's: a run must end at a known place first.
		tea.WithoutSignalHandler(), tea.WithFilter(func(model tea.Model, t tea.Msg) tea.Msg {
			if _, ok := t.(tea.QuitMsg); ok && ctx.Err() != nil {
				return t // asked for below
			}
			return m.filter(model, t)
		}),
	}
	if !look.colour {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	program = tea.NewProgram(m, options...)
	// It is asked to leave and not killed: then it waits for its reader before it
	// closes what that reads from (bubbletea 2.0.9, shutdown).
	stop := context.AfterFunc(ctx, program.Quit)
	defer stop()
	_, err := program.Run()
	switch {
	case err == nil && ctx.Err() == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("the wizard was ended: %w", context.Cause(ctx))
	}
	return fmt.Errorf("showing the wizard: %w", err)
}

// terminal checks that there is one.
func terminal(o Options) error {
	name := env(o.Env, "TERM")
	switch {
	case o.Plain:
		return fmt.Errorf("%w, and --plain was asked for: use novatui diagnose, plan and apply", ErrNoTerminal)
	case name == "" || name == "dumb":
		return fmt.Errorf("%w, and TERM is %q: use novatui diagnose, plan and apply", ErrNoTerminal, name)
	case !isTerminal(o.Input) || !isTerminal(o.Output):
		return fmt.Errorf("%w, and stdin or stdout is none: use novatui diagnose, plan and apply", ErrNoTerminal)
	}
	return nil
}

func isTerminal(x any) bool {
	f, ok := x.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}
