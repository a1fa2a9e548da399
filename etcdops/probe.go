package etcdops

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Bounds of the probe.
const (
	probeTimeout  = 20 * time.Second
	maxProbeBytes = 24 << 20
)

// probeCommand is the read-only probe of a node.
func probeCommand(cfg Config, n remote.Node, mark string, known toolsKnown) remote.Command {
	args := []string{
		mark, n.Root, firstOf(cfg.Unit, "etcd.service"), n.Path(cfg.EnvFile), n.Path(cfg.BinDir), cfg.Readyz, known.String(),
	}
	for _, dir := range cfg.SnapshotDirs {
		args = append(args, n.Path(dir))
	}
	c := scriptCommand("probe.sh", remote.Read, probeTimeout, msg.M("command.probe"), args...)
	c.Quiet = true
	return c
}

// part is one part of a probe's output.
type part struct {
	name string
	text []byte
}

// probeOutput is what a probe said, and when it began to.
type probeOutput struct {
	parts []part
	// sent and first are the operator's clock at the request and at the first
	// line of the answer.
	sent, first time.Time
	// complete says that the last part was reached.
	complete bool
	// known is what the probe was told of the tools.
	known toolsKnown
}

// toolsKnown is what the tools of a node said of their version, and the stamp
// (device, inode, size, times) of the file that said it. A tool is a process of
// tens of megabytes; it is not started again as long as its file is the same.
type toolsKnown map[string]toolKnown

type toolKnown struct{ stamp, version string }

// String is the probe's argument.
func (k toolsKnown) String() string {
	var b strings.Builder
	for _, tool := range slices.Sorted(maps.Keys(k)) {
		if t := k[tool]; t.version != "" && isStamp(t.stamp) {
			fmt.Fprintf(&b, "%s%s=%s", sep(&b), tool, t.stamp)
		}
	}
	return b.String()
}

func sep(b *strings.Builder) string {
	if b.Len() == 0 {
		return ""
	}
	return " "
}

// isStamp: digits and colons, as probe.sh makes them.
func isStamp(s string) bool {
	return s != "" && len(s) < 100 && strings.Trim(s, "0123456789:") == ""
}

// probe runs the probe on a node. When its end is not seen, what came until
// then is the answer, together with an error.
func probe(ctx context.Context, conn remote.Conn, cfg Config, known toolsKnown) (probeOutput, error) {
	mark, err := newMark()
	if err != nil {
		return probeOutput{}, err
	}
	c := probeCommand(cfg, conn.Node(), mark, known)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	sink := &probeSink{mark: []byte(mark)}
	sent := time.Now()
	res, err := conn.Run(ctx, c, remote.Streams{Stdout: sink})
	out := probeOutput{parts: splitProbe(sink.bytes(), mark), sent: sent, first: sink.first, known: known}
	out.complete = len(out.parts) > 0 && out.parts[len(out.parts)-1].name == "end"
	switch {
	case err != nil:
		return out, fmt.Errorf("probing the node: %w", err)
	case len(out.parts) == 0:
		return out, fmt.Errorf("probing the node: %w", firstErr(res.Check(conn.Node().Name, c),
			errors.New("the script gave no answer")))
	case !out.complete:
		return out, errors.New("probing the node: the answer is cut off")
	}
	return out, nil
}

// newMark makes the random word that frames a probe's parts.
func newMark() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making a random mark: %w", err)
	}
	return "novatui-" + hex.EncodeToString(b[:]), nil
}

// probeSink keeps a bounded copy of the output and notes when it began.
type probeSink struct {
	mark  []byte
	mu    sync.Mutex
	buf   bytes.Buffer
	first time.Time
}

func (s *probeSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := maxProbeBytes - s.buf.Len(); room > 0 {
		s.buf.Write(p[:min(len(p), room)])
	}
	if s.first.IsZero() && bytes.Contains(s.buf.Bytes(), s.mark) {
		s.first = time.Now()
	}
	return len(p), nil
}

func (s *probeSink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buf.Bytes())
}

// splitProbe cuts the output at the lines "MARK name". What stands before the
// first of them (a login's message of the day) is not part of it.
func splitProbe(out []byte, mark string) []part {
	var parts []part
	for line := range bytes.Lines(out) {
		if name, ok := bytes.CutPrefix(line, []byte(mark+" ")); ok {
			parts = append(parts, part{name: string(bytes.TrimSpace(name))})
			continue
		}
		if len(parts) > 0 {
			last := &parts[len(parts)-1]
			last.text = append(last.text, line...)
		}
	}
	return parts
}

// find gives the first part of a name; nil when there is none.
func (o probeOutput) find(name string) []byte {
	for _, p := range o.parts {
		if p.name == name {
			return p.text
		}
	}
	return nil
}

// decode reads a file that the probe sent in base64 or hexadecimal.
func decode(text []byte) ([]byte, error) {
	how, data, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	packed := strings.Join(strings.Fields(string(data)), "")
	switch string(how) {
	case "b64":
		b, err := base64.StdEncoding.DecodeString(packed)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the node: %w", err)
		}
		return b, nil
	case "hex":
		b, err := hex.DecodeString(packed)
		if err != nil {
			return nil, fmt.Errorf("reading a file of the node: %w", err)
		}
		return b, nil
	}
	return nil, errors.New("reading a file of the node: unknown form")
}
