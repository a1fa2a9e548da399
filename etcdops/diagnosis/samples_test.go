package diagnosis

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/novatui/novatui/etcdops"
)

// makeSamples set to a folder breaks etcd anew in every way and writes what it
// said into that folder; testdata was made so.
const makeSamples = "NOVATUI_MAKE_SAMPLES"

func TestMakeSamples(t *testing.T) {
	dir := os.Getenv(makeSamples)
	if dir == "" {
		t.Skip("set " + makeSamples + " to a folder to make the samples of testdata anew")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if s.rootOnly && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			m := s.do(t)
			write := func(name string, lines []string) {
				head := fmt.Sprintf("# how: %s\n# want: %s\n# etcd: %s\n# exit: %s\n# wal: %v\n",
					s.how, s.want, version.Version, exitOf(m), m.hasWAL())
				text := head + strings.Join(tidy(m, lines), "\n") + "\n"
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(s.name+".log", m.output())
			if m.peerLog != nil {
				write(s.name+".peer.log", m.peerLog)
			}
		})
	}
}

// keepAlike is how many lines that say the same a sample keeps.
const keepAlike = 3

// keepFrames is how many lines of a stack dump a sample keeps.
const keepFrames = 60

var ownFrame = regexp.MustCompile(`novatui/|etcdops/diagnosis|testing\.|_testmain|diagnosis\.test|/usr/local/go/`)

// tidy takes this machine out of a sample: its folders and resolver.
func tidy(m *realMember, lines []string) []string {
	base := filepath.Dir(filepath.Dir(m.dir))
	exe, _ := os.Executable()
	var out []string
	frames := 0
	seen := map[string]int{}
	for i, l := range lines {
		if p := parseLine(etcdops.LogLine{N: i + 1, Text: l}); p.json {
			key := regexp.MustCompile(`[0-9]+`).ReplaceAllString(p.msg+"\x00"+p.err, "0")
			if seen[key]++; seen[key] > keepAlike {
				continue
			}
		}
		l = strings.NewReplacer(base, "/srv/nova", exe, "/opt/etcd/etcd").Replace(l)
		l = regexp.MustCompile(`/[a-z/]*/pkg/mod/`).ReplaceAllString(l, "/go/pkg/mod/")
		l = regexp.MustCompile(` on [0-9.]+:53: `).ReplaceAllString(l, " on 10.0.0.53:53: ")
		l = regexp.MustCompile(`/tmp/[A-Za-z0-9_-]+/00\d/`).ReplaceAllString(l, "/srv/nova/")
		if cut := strings.Index(l, `,"stacktrace":"`); cut > 0 {
			l = l[:cut] + `,"stacktrace":"main.main\n\tserver/main.go:30"}`
		}
		if !strings.HasPrefix(l, "{") {
			if frames++; frames > keepFrames || ownFrame.MatchString(l) {
				continue
			}
		}
		out = append(out, l)
	}
	return out
}

func (m *realMember) hasWAL() bool {
	files, _ := filepath.Glob(m.path("member", "wal", "*.wal"))
	return len(files) > 0
}

func exitOf(m *realMember) string {
	select {
	case <-m.done:
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.exit.String()
	default:
		return "running"
	}
}
