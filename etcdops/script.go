package etcdops

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/novatui/novatui/assets"
	"github.com/novatui/novatui/assets/msg"
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
	name string, effect remote.Effect, timeout time.Duration, brief msg.Msg, args ...string,
) remote.Command {
	return scriptCommand(name, effect, timeout, brief, args...)
}

func scriptCommand(
	name string, effect remote.Effect, timeout time.Duration, brief msg.Msg, args ...string,
) remote.Command {
	return remote.Command{
		Argv:    append([]string{"/bin/sh", "-c", cachedScript(name), "novatui"}, args...),
		Effect:  effect,
		Timeout: timeout,
	}.Named(brief)
}

// detached is a command that goes on when its connection, or the program, is
// gone (remote.Command.Detach): what is long, and what must not be cut off in
// the middle of the data directory. What is quick and done at once or not at all
// stays attached, what is fed by a stream must, and systemd keeps its own jobs.
func detached(c remote.Command) remote.Command {
	c.Detach = true
	return c
}

// scripts holds the texts that were made already, by name.
var scripts sync.Map

func cachedScript(name string) string {
	if text, ok := scripts.Load(name); ok {
		return text.(string)
	}
	text := scriptText(name)
	scripts.Store(name, text)
	return text
}

// scriptText is the text of a script as it is sent: with the functions of
// lib.sh and env.sh that it uses (it asks for the files by lines "#include
// NAME"), and without comments, so that a person who reads the command line
// reads nothing that does not run. A missing script is a defect of the build
// that every test of its builder finds.
func scriptText(name string) string {
	b, err := assets.Scripts.ReadFile("remote/" + name)
	if err != nil {
		panic(fmt.Sprintf("script %s: %v", name, err))
	}
	var included, body []string
	for line := range strings.Lines(string(b)) {
		t := strings.TrimSpace(line)
		if file, ok := strings.CutPrefix(t, "#include "); ok {
			included = append(included, scriptText(file))
			continue
		}
		// No script holds a here-document, so that a line that begins with #
		// is a comment wherever it stands.
		if t != "" && !strings.HasPrefix(t, "#") {
			body = append(body, line)
		}
	}
	text := strings.Join(body, "")
	if len(included) == 0 {
		return text
	}
	return usedOf(strings.Join(included, ""), text) + text
}

// shellFunction begins a function of the included files: at the beginning of a
// line, as does the closing brace of one that is longer than a line.
var shellFunction = regexp.MustCompile(`^([a-z_]+)\(\) \{`)

// usedOf keeps, of the shared functions, those that the script or another kept
// function names, and everything that is no function.
func usedOf(shared, script string) string {
	type part struct {
		name string // empty: no function
		text string
	}
	var parts []part
	inside := false
	for line := range strings.Lines(shared) {
		m := shellFunction.FindStringSubmatch(line)
		switch {
		case inside:
			parts[len(parts)-1].text += line
			inside = strings.TrimRight(line, "\n") != "}"
		case m != nil:
			parts = append(parts, part{m[1], line})
			inside = !strings.HasSuffix(strings.TrimSpace(line), "}")
		default:
			parts = append(parts, part{"", line})
		}
	}
	keep := map[int]bool{}
	for text, more := script, true; more; {
		more = false
		for i, p := range parts {
			if !keep[i] && (p.name == "" || names(text, p.name)) {
				keep[i], more = true, true
				text += p.text
			}
		}
	}
	var out strings.Builder
	for i, p := range parts {
		if keep[i] {
			out.WriteString(p.text)
		}
	}
	return out.String()
}

// names reports whether a shell text holds a word.
func names(text, word string) bool {
	return regexp.MustCompile(`(^|[^A-Za-z0-9_-])` + word + `($|[^A-Za-z0-9_-])`).MatchString(text)
}
