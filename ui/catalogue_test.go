package ui

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/workflows/engine"
)

var (
	idInCode = regexp.MustCompile(`"(ui\.[a-z0-9.-]*[a-z0-9])"`)
	// A sentence: three words with spaces between letters.
	sentence = regexp.MustCompile(`"[A-Za-zА-Яа-я][^"\n]*[a-zа-я]{2,} [a-zа-я]{2,} [a-zа-я]{2,}[^"\n]*"`)
)

func sources(t *testing.T, visit func(path, code string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(path, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryMessageExists: every id that stands in the code, and every id that
// is put together from a value, is in the catalogue.
func TestEveryMessageExists(t *testing.T) {
	p := text.New("en")
	found := 0
	sources(t, func(path, code string) {
		for _, m := range idInCode.FindAllStringSubmatch(code, -1) {
			found++
			if !p.Has(m[1]) {
				t.Errorf("%s: %s is not in the catalogue", path, m[1])
			}
		}
	})
	if found < 200 {
		t.Errorf("only %d ids were found in the code", found)
	}
	var ids []string
	for _, s := range []etcdops.MemberState{etcdops.StateHealthy, etcdops.StateLearner, etcdops.StateUnstarted, etcdops.StateStarting, etcdops.StateFailed,
		etcdops.StateStopped, etcdops.StateNotAnswering, etcdops.StateNoQuorum, etcdops.StateRemoved, etcdops.StateUnreachable, etcdops.StateWrongCluster,
		etcdops.StateInconsistent, etcdops.StateUnknown} {
		ids = append(ids, "ui.state."+string(s))
	}
	for _, s := range []etcdops.Procedure{"", etcdops.ProcedureNone, etcdops.ProcedureRestart, etcdops.ProcedureRejoin, etcdops.ProcedureRestore, etcdops.ProcedureSalvage, etcdops.ProcedureFixCause} {
		ids = append(ids, "ui.procedure."+string(s))
		if s != "" {
			ids = append(ids, "ui.runbook."+string(s))
		}
	}
	for _, s := range []engine.Status{engine.StatusPending, engine.StatusDone, engine.StatusSkipped, engine.StatusNotDone, engine.StatusFailed, engine.StatusUnknown} {
		ids = append(ids, "ui.step-status."+string(s))
	}
	for _, s := range []string{"unreachable", "host-key-unknown", "host-key-changed", "auth", "privilege", "timeout", "probe", "other"} {
		ids = append(ids, "ui.connect.err."+s+".word", "ui.connect.err."+s+".title", "ui.connect.err."+s+".do")
	}
	for _, s := range []string{"resolve", "tcp", "host-key", "auth", "privilege", "ready"} {
		ids = append(ids, "ui.phase."+s)
	}
	for _, s := range []string{"allowed", "confirm", "blocked"} {
		ids = append(ids, "ui.verdict."+s)
	}
	for _, s := range []string{"pass", "warn", "block"} {
		ids = append(ids, "ui.guard."+s)
	}
	for _, id := range ids {
		if !p.Has(id) {
			t.Errorf("%s is not in the catalogue", id)
		}
	}
}

// TestNoSentenceInCode: what the wizard shows comes from the catalogue.
func TestNoSentenceInCode(t *testing.T) {
	sources(t, func(path, code string) {
		for _, line := range strings.Split(code, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "//") || strings.Contains(line, "ErrNoTerminal") || strings.Contains(line, "Errorf") {
				continue // errors for developers stay English
			}
			if m := sentence.FindString(line); m != "" {
				t.Errorf("%s: %s", path, m)
			}
		}
	})
}

// TestRules: no goroutine, no transport.
func TestRules(t *testing.T) {
	goStatement := regexp.MustCompile(`(?m)^\s*go (func|[a-z]+[.(])`)
	sources(t, func(path, code string) {
		if goStatement.MatchString(code) {
			t.Errorf("%s starts a goroutine", path)
		}
		if strings.Contains(code, `"github.com/novatui/novatui/remote`) {
			t.Errorf("%s imports a transport", path)
		}
		if n := strings.Count(code, "\n"); n > 450 {
			t.Errorf("%s has %d lines", path, n)
		}
	})
}
