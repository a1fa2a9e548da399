package suite

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// Result is how one case ended, a line of the file that NOVATUI_RESULTS names.
type Result struct {
	Test      string  `json:"test"`
	Fault     string  `json:"fault"`
	Procedure string  `json:"procedure"`
	Version   string  `json:"version"` // of etcd
	World     string  `json:"world"`   // lab or hosts
	Seconds   float64 `json:"seconds"` // of the whole case, the breaking included
	OK        bool    `json:"ok"`
}

// Record appends a result to the file that NOVATUI_RESULTS names, if it names
// one, when the test ends: call it first. A World may have the method About,
// which names the world and etcd's version.
func Record(t testing.TB, w World, fault, procedure string) {
	t.Helper()
	path, began := os.Getenv("NOVATUI_RESULTS"), time.Now()
	if path == "" {
		return
	}
	r := Result{Test: t.Name(), Fault: fault, Procedure: procedure}
	if a, ok := w.(interface {
		About() (world, version string)
	}); ok {
		r.World, r.Version = a.About()
	}
	t.Cleanup(func() {
		if t.Skipped() {
			return
		}
		r.Seconds, r.OK = time.Since(began).Round(10*time.Millisecond).Seconds(), !t.Failed()
		line, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
			return
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = f.Close() }()
		if _, err := f.Write(append(line, '\n')); err != nil { // one write: other tests append too
			t.Error(err)
		}
	})
}
