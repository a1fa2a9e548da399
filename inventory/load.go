package inventory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// maxFile bounds a cluster file, in bytes: hundreds of nodes fit many times.
const maxFile = 1 << 20

// Load reads and checks a cluster file. The problems returned beside a nil
// error are warnings; an error is a Problem (the file cannot be read) or
// Problems (all that is wrong with it).
func Load(path string) (Cluster, []Problem, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return Cluster{}, nil, fmt.Errorf("finding %s: %w", path, err)
	}
	data, err := read(abs)
	if err != nil {
		text := msg.M("inventory.cannot-read", "error", msg.Raw(reason(err)))
		if errors.Is(err, fs.ErrNotExist) {
			text = msg.M("inventory.no-such-file")
		}
		return Cluster{}, nil, Problem{File: path, Text: text}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // Only a path with ~ needs it, and says so then.
	}
	return parse(data, path, filepath.Dir(abs), abs, home)
}

// read returns at most maxFile bytes of a regular file; a FIFO or a device
// under the name of a cluster file must not hang the start.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, nil
}

// reason is an error of the file system without the path, which the problem
// already names.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// parse reads the text of a cluster file. shown is the file's name in
// problems, dir what relative paths start from.
func parse(data []byte, shown, dir, abs, home string) (Cluster, []Problem, error) {
	p := &parser{file: shown, dir: dir, home: home}
	c := defaults()
	c.Path = abs
	if root := p.document(data); root != nil {
		p.cluster(root, &c)
	}
	byLine := func(a, b Problem) int { return a.Line - b.Line }
	slices.SortStableFunc(p.errors, byLine)
	slices.SortStableFunc(p.warnings, byLine)
	if len(p.errors) > 0 {
		return Cluster{}, p.warnings, p.errors
	}
	return c, p.warnings, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// document is the one mapping that the file must be.
func (p *parser) document(data []byte) *yaml.Node {
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			p.fail(1, msg.M("inventory.empty"))
			return nil
		}
		p.syntax(err)
		return nil
	}
	var more yaml.Node
	if err := decoder.Decode(&more); err == nil {
		p.fail(more.Line, msg.M("inventory.second-document"))
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Tag == "!!null" {
		p.fail(1, msg.M("inventory.empty"))
		return nil
	}
	return doc.Content[0]
}

func (p *parser) syntax(err error) {
	line, text := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		text = m[2]
	}
	p.fail(line, msg.M("inventory.not-yaml", "error", remote.Clean(text)))
}

var (
	topKeys  = []string{"cluster", "environment", "platform", "nodes", "ssh", "etcd", "snapshots", "kubernetes", "language"}
	nodeKeys = []string{"name", "address", "root", "ssh"}
	sshKeys  = []string{"user", "port", "jump", "sudo", "identity_files", "known_hosts"}
	etcdKeys = []string{"unit", "env_file", "bin_dir"}
)

func (p *parser) cluster(root *yaml.Node, c *Cluster) {
	top, ok := p.mapping(root, msg.M("inventory.top"), topKeys)
	if !ok {
		return
	}
	if n := top["cluster"]; n != nil {
		c.Name = p.name(n, "cluster")
	} else {
		p.fail(root.Line, msg.M("inventory.no-cluster"))
	}
	p.choice(top["environment"], "environment", &c.Environment, "production", "staging", "lab")
	p.choice(top["platform"], "platform", &c.Platform, "auto", "systemd", "kubeadm", "openshift")
	p.choice(top["language"], "language", &c.Language, "auto", "en", "ru")
	if n := top["etcd"]; n != nil {
		p.etcd(n, &c.Etcd)
	}
	p.snapshots(top["snapshots"], c)
	if n := top["kubernetes"]; n != nil {
		if m, ok := p.mapping(n, msg.Raw("kubernetes"), []string{"readyz"}); ok && m["readyz"] != nil {
			c.Readyz = p.url(m["readyz"], "kubernetes.readyz")
		}
	}
	var common sshSettings
	if n := top["ssh"]; n != nil {
		common = p.ssh(n, sshSettings{})
	}
	if n := top["nodes"]; n != nil {
		c.Nodes = p.nodes(n, common)
	} else {
		p.fail(root.Line, msg.M("inventory.no-nodes"))
	}
}

func (p *parser) etcd(n *yaml.Node, e *Etcd) {
	m, ok := p.mapping(n, msg.Raw("etcd"), etcdKeys)
	if !ok {
		return
	}
	if n := m["unit"]; n != nil {
		e.Unit = p.unit(n)
	}
	if n := m["env_file"]; n != nil {
		e.EnvFile = p.absolute(n, "etcd.env_file")
	}
	if n := m["bin_dir"]; n != nil {
		e.BinDir = p.absolute(n, "etcd.bin_dir")
	}
}

func (p *parser) snapshots(n *yaml.Node, c *Cluster) {
	if n != nil {
		for _, item := range p.list(n, "snapshots") {
			m, ok := p.mapping(item, msg.Raw("snapshots"), []string{"dir"})
			if !ok {
				continue
			}
			if m["dir"] == nil {
				p.fail(item.Line, msg.M("inventory.no-dir"))
				continue
			}
			dir := p.absolute(m["dir"], "snapshots.dir")
			if slices.Contains(c.SnapshotDirs, dir) {
				p.warn(m["dir"].Line, msg.M("inventory.dir-twice", "dir", dir))
				continue
			}
			c.SnapshotDirs = append(c.SnapshotDirs, dir)
		}
	}
	if len(c.SnapshotDirs) == 0 {
		c.SnapshotDirs = []string{DefaultSnapshotDir}
	}
}
