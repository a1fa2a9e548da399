// Command pictures makes the pictures of the docs from the program itself: it
// plays the first drill in tmux as a person would, waits for each screen, and
// writes what is on it as SVG. It needs tmux and bin/novatui (make pictures).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// limit bounds the wait for one screen.
const limit = 90 * time.Second

func main() {
	program := flag.String("program", "bin/novatui", "the program to show")
	dir := flag.String("out", "docs/pictures", "folder for the pictures")
	flag.Parse()
	if err := run(*program, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(program, dir string) error {
	for _, p := range []struct {
		name, lang    string
		width, height int
	}{
		{"drill", "en", 100, 30}, {"drill-80x24", "en", 80, 24}, {"drill-ru", "ru", 100, 30}, {"drill-200x50", "en", 200, 50},
	} {
		if err := play(program, dir, p.name, p.lang, p.width, p.height); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// scene is one screen: what must be on it before the picture is taken (the
// word that the header shows for the step of the path), and the keys that lead
// to the next one.
type scene struct {
	name string
	wait map[string]string // by language
	keys []string
}

// script plays the drill to its end. The texts are those that a person would
// wait for, too.
var script = []scene{
	{"diagnose", map[string]string{"en": "Recommended:", "ru": "Рекомендуется"}, []string{"Enter"}},
	{"choose", map[string]string{"en": "CHOOSE", "ru": "ВЫБОР"}, []string{"Enter"}},
	{"review", map[string]string{"en": "REVIEW", "ru": "ПЛАН"}, []string{"Enter"}},
	{"confirm", map[string]string{"en": "Type the cluster's name", "ru": "Введите имя кластера"}, []string{"-l", clusterName}},
	{"", nil, []string{"Enter"}},
	{"execute", map[string]string{"en": " 8/10 ", "ru": " 8/10 "}, nil},
	{"report", map[string]string{"en": "Proved healthy", "ru": "Работоспособность доказана"}, []string{"q"}},
}

// clusterName among the keys stands for the name that the header shows: every
// drill has one of its own.
const clusterName = "CLUSTER"

func play(program, dir, name, lang string, width, height int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	state, err := os.MkdirTemp("", "novatui-pictures-")
	if err != nil {
		return fmt.Errorf("a folder for the run: %w", err)
	}
	defer func() { _ = os.RemoveAll(state) }() // made two lines above
	session := "novatui-pictures"
	program, err = filepath.Abs(program)
	if err != nil {
		return fmt.Errorf("finding %s: %w", program, err)
	}
	line := fmt.Sprintf("env XDG_STATE_HOME=%s LANG=C.UTF-8 LC_ALL=C.UTF-8 COLORTERM=truecolor %s drill --lang %s", state, program, lang)
	if _, err := tmux(ctx, "new-session", "-d", "-s", session, "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), line); err != nil {
		return err
	}
	defer func() { _, _ = tmux(context.WithoutCancel(ctx), "kill-session", "-t", session) }() // it may have ended by itself
	cluster := ""
	for _, s := range script {
		if s.name != "" {
			screen, err := waitFor(ctx, session, s.wait[lang])
			if err != nil {
				return fmt.Errorf("waiting for the screen %s: %w", s.name, err)
			}
			if fields := strings.Fields(ansi.Strip(screen)); len(fields) > 1 {
				cluster = fields[1]
			}
			file := filepath.Join(dir, name+"-"+s.name+".svg")
			if err := os.WriteFile(file, []byte(svg(screen, width, height)), 0o644); err != nil { //nolint:gosec // a picture is public
				return fmt.Errorf("writing the picture: %w", err)
			}
		}
		if len(s.keys) > 0 {
			keys := slices.Clone(s.keys)
			if i := slices.Index(keys, clusterName); i >= 0 {
				keys[i] = cluster
			}
			if _, err := tmux(ctx, append([]string{"send-keys", "-t", session}, keys...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func tmux(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "tmux", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// waitFor looks at the screen until a text is on it.
func waitFor(ctx context.Context, session, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		plain, err := tmux(ctx, "capture-pane", "-p", "-t", session)
		if err != nil {
			return "", err
		}
		if strings.Contains(plain, text) {
			return tmux(ctx, "capture-pane", "-e", "-p", "-t", session)
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("%q did not come; the screen was:\n%s", text, plain), ctx.Err())
		case <-tick.C:
		}
	}
}
