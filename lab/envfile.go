package lab

import (
	"strings"
	"unicode/utf8"
)

// parseEnvFile reads an EnvironmentFile= as systemd does (systemd 252,
// src/basic/env-file.c, parse_env_file_internal): comments at the start of a
// line only, single and double quotes, backslash escapes and continued lines,
// trailing blanks of unquoted values dropped, nothing expanded. Lines without
// an equals sign and names that are no variable names are ignored.
func parseEnvFile(text string) []string {
	p := envParser{}
	for i := 0; i < len(text); i++ {
		p.step(text[i])
	}
	p.endOfLine()
	return p.out
}

type envState int

const (
	envPreKey envState = iota
	envKey
	envPreValue
	envValue
	envValueEscape
	envSingle
	envDouble
	envDoubleEscape
	envComment
	envCommentEscape
)

type envParser struct {
	state envState
	key   strings.Builder
	value strings.Builder
	keep  int // length of value that trailing blanks must not shorten
	out   []string
}

func (p *envParser) step(c byte) {
	newline := c == '\n' || c == '\r'
	blank := c == ' ' || c == '\t'
	switch p.state {
	case envPreKey:
		switch {
		case c == '#' || c == ';':
			p.state = envComment
		case !newline && !blank:
			p.state = envKey
			p.key.WriteByte(c)
		}
	case envKey:
		switch {
		case newline:
			p.reset()
		case c == '=':
			p.state = envPreValue
		default:
			p.key.WriteByte(c)
		}
	case envPreValue, envValue:
		p.stepValue(c, newline, blank)
	case envValueEscape:
		p.state = envValue
		if !newline {
			p.put(c)
		}
	case envSingle:
		if c == '\'' {
			p.state = envPreValue
		} else {
			p.put(c)
		}
	case envDouble:
		switch c {
		case '"':
			p.state = envPreValue
		case '\\':
			p.state = envDoubleEscape
		default:
			p.put(c)
		}
	case envDoubleEscape:
		p.state = envDouble
		switch {
		case strings.IndexByte("\"\\`$", c) >= 0:
			p.put(c)
		case !newline:
			p.put('\\')
			p.put(c)
		}
	case envComment:
		switch {
		case c == '\\':
			p.state = envCommentEscape
		case newline:
			p.state = envPreKey
		}
	case envCommentEscape:
		p.state = envComment
	}
}

func (p *envParser) stepValue(c byte, newline, blank bool) {
	switch {
	case newline:
		p.endOfLine()
	case p.state == envPreValue && c == '\'':
		p.state = envSingle
	case p.state == envPreValue && c == '"':
		p.state = envDouble
	case c == '\\':
		p.state = envValueEscape
	case p.state == envPreValue && blank:
	case blank:
		p.value.WriteByte(c)
	default:
		p.state = envValue
		p.put(c)
	}
}

// put appends a character that no trimming may take away.
func (p *envParser) put(c byte) {
	p.value.WriteByte(c)
	p.keep = p.value.Len()
}

func (p *envParser) endOfLine() {
	switch p.state {
	case envPreKey, envKey, envComment, envCommentEscape:
	default:
		key, value := strings.TrimRight(p.key.String(), " \t"), p.value.String()[:p.keep]
		if isEnvName(key) && utf8.ValidString(value) {
			p.out = setEnv(p.out, key, value)
		}
	}
	p.reset()
}

func (p *envParser) reset() {
	p.key.Reset()
	p.value.Reset()
	p.keep = 0
	p.state = envPreKey
}

func isEnvName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// setEnv replaces or adds a variable in a list of NAME=value pairs.
func setEnv(env []string, name, value string) []string {
	for i, e := range env {
		if strings.HasPrefix(e, name+"=") {
			env[i] = name + "=" + value
			return env
		}
	}
	return append(env, name+"="+value)
}

// getEnv finds a variable in a list of NAME=value pairs.
func getEnv(env []string, name string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}
