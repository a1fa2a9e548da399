package ssh

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/novatui/novatui/remote"
)

// A node's sshd hands the one string of an exec request to the login shell of
// the user, whatever that is, after login scripts that may print. So the string
// is built to mean the same to sh, bash, dash, zsh, csh, tcsh and fish: it
// starts /bin/sh with a script between single quotes that holds only characters
// which all of them take literally there. The script prints a marker on both
// outputs and becomes the command: what came before the marker is noise, and no
// marker means that the command never started.

// maxLine bounds the string, in bytes: Linux takes at most 128 KiB for one
// argument (MAX_ARG_STRLEN).
const maxLine = 120 << 10

// marker is printed before a command. It is random, so that nothing a login
// script prints can pass for it, and it is written in two halves in the script,
// so that a shell that echoes what it runs does not print it either.
type marker struct{ first, second string }

func newMarker() marker {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails, by its documentation
	s := hex.EncodeToString(b)
	return marker{"novatui-" + s[:12], s[12:]}
}

// text is what the marker looks like in the output; the process id and a line
// break follow.
func (m marker) text() string { return m.first + m.second + " " }

// script prints the marker with a process id, given as the shell has it.
func (m marker) script(pid string) string {
	echo := fmt.Sprintf(`echo %s""%s %s`, m.first, m.second, pid)
	return echo + ";" + echo + ">&2;"
}

// before puts the marker before a script.
func (m marker) before(script string) string { return m.script("$$") + script }

// atSudo is what is printed right before sudo is called, so that a refusal of
// sudo can be told from one of the login shell.
func (m marker) atSudo() string { return m.first + "-at-sudo" }

// commandScript is the POSIX shell script that becomes the command, with the
// marker. Where sudo is needed, the marker is printed beyond it: without one,
// sudo has refused and the command surely did not run. (The exit status of a
// refusal, 1, could be the command's own.) The process id is sudo's, which
// passes signals on.
func commandScript(m marker, c remote.Command, sudo bool) (string, error) {
	if p := c.Argv[0]; strings.HasPrefix(p, "-") || strings.Contains(p, "=") {
		return "", fmt.Errorf("%q is not a program", p)
	}
	var b strings.Builder
	env := append([]string{"LC_ALL=C"}, c.Env...)
	if sudo {
		// sudo resets the environment; env(1) sets it beyond that.
		fmt.Fprintf(&b, `echo %s""-at-sudo;exec sudo -n -- env`, m.first)
	} else {
		b.WriteString(m.before("export"))
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		b.WriteString(" " + name + "=" + remote.Quote(value))
	}
	if sudo {
		b.WriteString(" /bin/sh -c " + remote.Quote(m.script("$0")+`exec "$@"`) + " $$")
	} else {
		b.WriteString(";exec")
	}
	for _, a := range c.Argv {
		b.WriteString(" " + remote.Quote(a))
	}
	return b.String(), nil
}

// shellLine wraps a script for the login shell.
func shellLine(script string) (string, error) {
	var line string
	if plain(script) {
		line = "exec /bin/sh -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'"
	} else {
		line = `exec /bin/sh -c 'eval "$(printf %b "` + octal(script) + `")"'`
	}
	if len(line) > maxLine {
		return "", fmt.Errorf("the command line is %d bytes long, %d are possible: use its standard input", len(line), maxLine)
	}
	return line, nil
}

// plain reports whether every login shell takes a script between single quotes
// as it is: csh replaces ! and ends quotes at a line break, fish collapses
// backslashes, and what is not ASCII depends on the locale.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '\\' || c == '!' {
			return false
		}
	}
	return true
}

// octal writes s for printf %b within double quotes within single quotes.
func octal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c > 0x7e || strings.IndexByte("\\!\"$`'", c) >= 0:
			fmt.Fprintf(&b, `\0%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
