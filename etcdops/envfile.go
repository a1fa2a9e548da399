package etcdops

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrEnvFile: an env file that systemd would not take.
var ErrEnvFile = errors.New("not an env file that systemd reads")

// Masked stands in Facts where the env file has a password.
const Masked = "***"

// ParseEnv reads an env file as systemd reads EnvironmentFile= (systemd
// v254, src/basic/env-file.c): quotes of both kinds, escapes, continuation
// lines, comments with # and ;, spaces around the equals sign, the last of
// several assignments wins. Names that are not variables' names ("export X")
// are dropped, as systemd drops them. The error wraps ErrEnvFile: text that is
// not UTF-8 makes systemd refuse the whole file.
func ParseEnv(text []byte) (map[string]string, error) {
	// C's string ends at the first NUL.
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	values := map[string]string{}
	p := envParser{lastKeySpace: -1, lastValueSpace: -1}
	for _, c := range text {
		if p.step(c) {
			if err := p.push(values); err != nil {
				return nil, err
			}
		}
	}
	if p.inValue() {
		if err := p.push(values); err != nil {
			return nil, err
		}
	}
	return values, nil
}

type envState int

const (
	envPreKey envState = iota
	envKey
	envPreValue
	envValue
	envEscape
	envSingle
	envDouble
	envDoubleEscape
	envComment
	envCommentEscape
)

// envParser is systemd's state machine, one byte at a time.
type envParser struct {
	state      envState
	key, value []byte
	// Where trailing white space began; -1 when there is none.
	lastKeySpace, lastValueSpace int
}

func isEnvNewline(c byte) bool { return c == '\n' || c == '\r' }

func isEnvSpace(c byte) bool { return c == ' ' || c == '\t' || isEnvNewline(c) }

// step takes one byte; true when an assignment ends with it.
func (p *envParser) step(c byte) (done bool) {
	switch p.state {
	case envPreKey:
		if c == '#' || c == ';' {
			p.state = envComment
		} else if !isEnvSpace(c) {
			p.state, p.key, p.lastKeySpace = envKey, append(p.key[:0], c), -1
		}
	case envKey:
		p.stepKey(c)
	case envPreValue, envValue:
		return p.stepValue(c)
	case envEscape:
		p.state = envValue
		if !isEnvNewline(c) {
			p.value = append(p.value, c)
		}
	case envSingle:
		if c == '\'' {
			p.state = envPreValue
		} else {
			p.value = append(p.value, c)
		}
	case envDouble, envDoubleEscape:
		p.stepDouble(c)
	case envComment:
		if c == '\\' {
			p.state = envCommentEscape
		} else if isEnvNewline(c) {
			p.state = envPreKey
		}
	case envCommentEscape:
		p.state = envComment
		if isEnvNewline(c) {
			p.state = envPreKey
		}
	}
	return false
}

func (p *envParser) stepKey(c byte) {
	switch {
	case isEnvNewline(c):
		p.state = envPreKey
		return
	case c == '=':
		p.state, p.lastValueSpace = envPreValue, -1
		return
	case !isEnvSpace(c):
		p.lastKeySpace = -1
	case p.lastKeySpace < 0:
		p.lastKeySpace = len(p.key)
	}
	p.key = append(p.key, c)
}

// stepValue handles a value outside of quotes, before and in its text. Quotes
// count only before: a"b" is the text a"b".
func (p *envParser) stepValue(c byte) (done bool) {
	before := p.state == envPreValue
	switch {
	case isEnvNewline(c):
		p.state = envPreKey
		if !before {
			p.chomp()
		}
		return true
	case before && c == '\'':
		p.state = envSingle
	case before && c == '"':
		p.state = envDouble
	case c == '\\':
		p.state = envEscape
		if !before {
			p.lastValueSpace = -1
		}
	case before && isEnvSpace(c):
	case before:
		p.state = envValue
		p.value = append(p.value, c)
	default:
		if !isEnvSpace(c) {
			p.lastValueSpace = -1
		} else if p.lastValueSpace < 0 {
			p.lastValueSpace = len(p.value)
		}
		p.value = append(p.value, c)
	}
	return false
}

func (p *envParser) stepDouble(c byte) {
	if p.state == envDoubleEscape {
		p.state = envDouble
		if strings.IndexByte("\"\\`$", c) >= 0 {
			p.value = append(p.value, c)
		} else if c != '\n' {
			p.value = append(p.value, '\\', c)
		}
		return
	}
	switch c {
	case '"':
		p.state = envPreValue
	case '\\':
		p.state = envDoubleEscape
	default:
		p.value = append(p.value, c)
	}
}

func (p *envParser) chomp() {
	if p.lastValueSpace >= 0 {
		p.value = p.value[:p.lastValueSpace]
	}
}

// inValue reports whether the file ended in an assignment without its newline.
func (p *envParser) inValue() bool {
	if p.state == envValue {
		p.chomp()
	}
	return p.state >= envPreValue && p.state <= envDoubleEscape
}

func (p *envParser) push(values map[string]string) error {
	key := p.key
	if p.lastKeySpace >= 0 {
		key = key[:p.lastKeySpace]
	}
	if !utf8.Valid(key) || !utf8.Valid(p.value) {
		return fmt.Errorf("%w: the assignment of %q is not UTF-8", ErrEnvFile, key)
	}
	if validEnvName(string(key)) {
		values[string(key)] = string(p.value)
	}
	p.key, p.value = p.key[:0], p.value[:0]
	return nil
}

// maskEnv keeps the variables that belong to etcd and etcdctl, and replaces
// what is secret in them.
func maskEnv(values map[string]string) map[string]string {
	kept := map[string]string{}
	for name, value := range values {
		if !strings.HasPrefix(name, "ETCD_") && !strings.HasPrefix(name, "ETCDCTL_") {
			continue
		}
		if secretEnv(name) && value != "" {
			value = Masked
		}
		kept[name] = value
	}
	return kept
}

// secretEnv reports whether a variable's value is a secret. ETCDCTL_USER may be
// user:password; ETCD_INITIAL_CLUSTER_TOKEN only tells clusters apart, and the
// token of ETCD_AUTH_TOKEN is a kind, with paths of key files.
func secretEnv(name string) bool {
	return strings.Contains(name, "PASSWORD") || strings.Contains(name, "SECRET") || name == "ETCDCTL_USER"
}
