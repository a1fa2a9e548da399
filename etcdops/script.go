package etcdops

import (
	"fmt"
	"strings"
	"time"

	"github.com/novatui/novatui/assets"
	"github.com/novatui/novatui/remote"
)

// Exit statuses of the scripts in assets/remote.
const (
	// ExitRefused: a precondition does not hold and nothing was changed; the
	// last line of stderr says why.
	ExitRefused = 3
	// ExitDiffers: a check ran and its answer is no.
	ExitDiffers = 4
)

// script makes the command that runs one of our scripts with arguments:
// sh -c TEXT novatui ARGUMENT…. The text is a constant; data travels as
// arguments only.
func (h Host) script(
	name string, effect remote.Effect, timeout time.Duration, summary string, args ...string,
) remote.Command {
	return scriptCommand(name, effect, timeout, summary, args...)
}

func scriptCommand(
	name string, effect remote.Effect, timeout time.Duration, summary string, args ...string,
) remote.Command {
	return remote.Command{
		Summary: summary,
		Argv:    append([]string{"/bin/sh", "-c", scriptText(name), "novatui"}, args...),
		Effect:  effect,
		Timeout: timeout,
	}
}

// scriptText is the text of a script, with the shared functions of lib.sh and
// env.sh put in where it asks for them by a line "#include NAME". A missing
// script is a defect of the build that every test of its builder finds.
func scriptText(name string) string {
	b, err := assets.Scripts.ReadFile("remote/" + name)
	if err != nil {
		panic(fmt.Sprintf("script %s: %v", name, err))
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if file, ok := strings.CutPrefix(strings.TrimSpace(line), "#include "); ok {
			out.WriteString(scriptText(file))
			continue
		}
		if t := strings.TrimSpace(line); t == "" || strings.HasPrefix(t, "#") {
			// Comments are for the reader of the file; the command line of a
			// node need not carry them. No script holds a here-document.
			continue
		}
		out.WriteString(line)
	}
	return out.String()
}
