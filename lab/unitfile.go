package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Folders that systemd reads units from, most important first (systemd.unit(5),
// "Unit File Search Path", without the ones nothing writes to here). A node's
// root folder is put before them.
var unitFolders = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
}

// unitConfig is a service as its unit file and drop-ins describe it, with
// systemd's defaults filled in.
type unitConfig struct {
	Name        string
	Load        string // loaded, masked, not-found, bad-setting
	Fragment    string // path of the unit file
	DropIns     []string
	Description string

	Type         string // notify, simple, exec
	User         string
	ExecStart    string
	Environment  []string // NAME=value
	EnvFiles     []string // a leading - means that it may be missing
	WorkingDir   string
	Restart      string // no, always, on-failure, …
	RestartSec   time.Duration
	StartTimeout time.Duration // 0: infinity
	StopTimeout  time.Duration
	LimitWindow  time.Duration
	LimitBurst   int
	WantedBy     []string
}

// errInvalidUnit says that a unit file makes no sense.
var errInvalidUnit = errors.New("invalid unit file")

// loadUnit reads a unit of the node whose root folder is given.
func loadUnit(root, name string) (unitConfig, error) {
	c := unitConfig{
		Name: name, Load: "not-found", Description: name, Type: "simple", Restart: "no",
		RestartSec: 100 * time.Millisecond, StartTimeout: 90 * time.Second, StopTimeout: 90 * time.Second,
		LimitWindow: 10 * time.Second, LimitBurst: 5, WorkingDir: root,
	}
	for _, folder := range unitFolders {
		path := filepath.Join(root, folder, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		c.Fragment = path
		if isMask(path) {
			c.Load = "masked"
			return c, nil
		}
		if err := c.read(path); err != nil {
			c.Load = "bad-setting"
			return c, err
		}
		c.Load = "loaded"
		break
	}
	if c.Load != "loaded" {
		return c, nil
	}
	for _, path := range dropIns(root, name) {
		if err := c.read(path); err != nil {
			c.Load = "bad-setting"
			return c, err
		}
		c.DropIns = append(c.DropIns, path)
	}
	if c.ExecStart == "" {
		c.Load = "bad-setting"
		return c, fmt.Errorf("%w: %s: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing", errInvalidUnit, name)
	}
	return c, nil
}

// isMask reports whether a path is a link to /dev/null.
func isMask(path string) bool {
	target, err := os.Readlink(path)
	return err == nil && target == "/dev/null"
}

// dropIns lists NAME.d/*.conf of all unit folders, by file name; a file in a
// more important folder hides one of the same name.
func dropIns(root, name string) []string {
	found := map[string]string{}
	for _, folder := range unitFolders {
		paths, err := filepath.Glob(filepath.Join(root, folder, name+".d", "*.conf"))
		if err != nil {
			continue
		}
		for _, p := range paths {
			if _, hidden := found[filepath.Base(p)]; !hidden {
				found[filepath.Base(p)] = p
			}
		}
	}
	out := make([]string, 0, len(found))
	for _, p := range found {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return out
}

// read applies one file's assignments.
func (c *unitConfig) read(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading unit file: %w", err)
	}
	section := ""
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(b), "\\\n", " ")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue // systemd logs "Missing '='" and goes on
		}
		if err := c.set(section, strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("%w: %s: %s: %w", errInvalidUnit, path, key, err)
		}
	}
	return lines.Err()
}

// set applies one assignment; what the lab does not know is ignored.
func (c *unitConfig) set(section, key, value string) (err error) {
	switch section + "." + key {
	case "Unit.Description":
		c.Description = value
	case "Unit.StartLimitIntervalSec", "Service.StartLimitInterval":
		c.LimitWindow, err = parseSpan(value)
	case "Unit.StartLimitBurst", "Service.StartLimitBurst":
		c.LimitBurst, err = strconv.Atoi(value)
	case "Service.Type":
		c.Type = value
	case "Service.User":
		c.User = value
	case "Service.WorkingDirectory":
		c.WorkingDir = strings.TrimPrefix(value, "-")
	case "Service.ExecStart":
		c.ExecStart = strings.TrimLeft(value, "-@:+!")
	case "Service.Environment":
		if value == "" {
			c.Environment = nil
		}
		for _, word := range splitWords(value) {
			if name, v, ok := strings.Cut(word, "="); ok && isEnvName(name) {
				c.Environment = setEnv(c.Environment, name, v)
			}
		}
	case "Service.EnvironmentFile":
		if value == "" {
			c.EnvFiles = nil
		} else {
			c.EnvFiles = append(c.EnvFiles, value)
		}
	case "Service.Restart":
		c.Restart = value
	case "Service.RestartSec":
		c.RestartSec, err = parseSpan(value)
	case "Service.TimeoutSec":
		c.StartTimeout, err = parseSpan(value)
		c.StopTimeout = c.StartTimeout
	case "Service.TimeoutStartSec":
		c.StartTimeout, err = parseSpan(value)
	case "Service.TimeoutStopSec":
		c.StopTimeout, err = parseSpan(value)
	case "Install.WantedBy":
		c.WantedBy = append(c.WantedBy, strings.Fields(value)...)
	}
	return err
}

// environment is what the unit's process gets: Environment= and then every
// EnvironmentFile=, later ones winning.
func (c *unitConfig) environment() ([]string, error) {
	env := slices.Clone(c.Environment)
	for _, path := range c.EnvFiles {
		optional := strings.HasPrefix(path, "-")
		b, err := os.ReadFile(strings.TrimPrefix(path, "-"))
		if optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("loading environment files: %w", err)
		}
		for _, e := range parseEnvFile(string(b)) {
			name, value, _ := strings.Cut(e, "=")
			env = setEnv(env, name, value)
		}
	}
	return env, nil
}

// argv splits ExecStart= and puts variables in: ${NAME} within a word, $NAME as
// a word of its own that is split at blanks (systemd.service(5)).
func (c *unitConfig) argv(env []string) []string {
	var out []string
	for _, word := range splitWords(c.ExecStart) {
		if name, ok := strings.CutPrefix(word, "$"); ok && isEnvName(name) {
			out = append(out, strings.Fields(getEnv(env, name))...)
			continue
		}
		for {
			start := strings.Index(word, "${")
			end := strings.Index(word, "}")
			if start < 0 || end < start || !isEnvName(word[start+2:end]) {
				break
			}
			word = word[:start] + getEnv(env, word[start+2:end]) + word[end+1:]
		}
		out = append(out, word)
	}
	return out
}

// splitWords splits at blanks outside quotes and takes the quotes away.
func splitWords(s string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	inWord := false
	for _, r := range s {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				out = append(out, word.String())
			}
			word.Reset()
			inWord = false
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if inWord {
		out = append(out, word.String())
	}
	return out
}

var spanUnits = []struct {
	name string
	d    time.Duration
}{
	{"usec", time.Microsecond}, {"us", time.Microsecond}, {"msec", time.Millisecond}, {"ms", time.Millisecond},
	{"seconds", time.Second}, {"second", time.Second}, {"sec", time.Second},
	{"minutes", time.Minute}, {"minute", time.Minute}, {"min", time.Minute},
	{"hours", time.Hour}, {"hour", time.Hour}, {"hr", time.Hour},
	{"days", 24 * time.Hour}, {"day", 24 * time.Hour}, {"weeks", 7 * 24 * time.Hour}, {"week", 7 * 24 * time.Hour},
	{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour},
}

// parseSpan reads a systemd.time(7) span: "2", "10s", "1min 30s", "infinity"
// (which is 0 here).
func parseSpan(s string) (time.Duration, error) {
	if s = strings.TrimSpace(s); s == "infinity" {
		return 0, nil
	}
	var total time.Duration
	rest := s
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if digits < 0 {
			digits = len(rest)
		}
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no time span", s)
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		unit := time.Second
		for _, u := range spanUnits {
			if after, ok := strings.CutPrefix(rest, u.name); ok {
				unit, rest = u.d, strings.TrimLeft(after, " ")
				break
			}
		}
		if rest != "" && (rest[0] < '0' || rest[0] > '9') {
			return 0, fmt.Errorf("%q is no time span", s)
		}
		total += time.Duration(n * float64(unit))
	}
	if s == "" {
		return 0, errors.New("empty time span")
	}
	return total, nil
}

// formatSpan writes a span as systemctl show does ("1min 30s", "2s", "100ms").
func formatSpan(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var parts []string
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second},
		{"ms", time.Millisecond}, {"us", time.Microsecond}} {
		if n := d / u.d; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.d
		}
	}
	return strings.Join(parts, " ")
}
