package ui

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
)

// look is how the environment wants the wizard to be shown.
type look struct {
	lang   string
	colour bool
	ascii  bool
	ssh    bool
	// askBackground says that the terminal can be asked whether it is dark;
	// others might print the question.
	askBackground bool
	env           []string
}

// lookOf reads the environment. Bubble Tea honours NO_COLOR only for values
// that strconv.ParseBool takes as true (2.0.9), the standard (no-color.org)
// for every non-empty one: so it is decided here.
func lookOf(o Options) look {
	l := look{
		lang:   o.Lang,
		colour: !o.NoColor && env(o.Env, "NO_COLOR") == "",
		ssh:    o.SSH || env(o.Env, "SSH_TTY") != "" || env(o.Env, "SSH_CONNECTION") != "",
		ascii:  !utf8Locale(o.Env),
		env:    o.Env,
	}
	if l.lang == "" || l.lang == "auto" {
		l.lang = msg.FromEnvironment(o.Env)
		if l.ascii {
			// Letters outside ASCII would come out as noise.
			l.lang = msg.Languages[0]
		}
	}
	for _, known := range []string{"xterm", "tmux", "kitty", "alacritty", "foot", "wezterm", "ghostty", "rio", "contour", "iterm"} {
		if strings.Contains(env(o.Env, "TERM"), known) {
			l.askBackground = true
		}
	}
	return l
}

// env is the value of a variable, the last one winning.
func env(list []string, name string) string {
	value := ""
	for _, e := range list {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// utf8Locale reports whether the locale's character set is UTF-8: LC_ALL
// before LC_CTYPE before LANG, as POSIX has it. Without any of them (a bare
// container, macOS started from the desktop) UTF-8 is assumed only when the
// terminal says who it is.
func utf8Locale(list []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(list, name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return env(list, "TERM_PROGRAM") != ""
}
