package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSmallestFileGetsEveryDefault(t *testing.T) {
	path := write(t, t.TempDir(), "c.yaml", "cluster: nova\nnodes: [{name: a}, {name: b, address: 10.0.0.2}, {address: c.example}]\n")
	c, warnings, err := Load(path)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := Cluster{
		Path: path, Name: "nova", Environment: "production", Platform: "auto", Language: "auto",
		Nodes: []remote.Node{
			{Name: "a", Address: "a", Sudo: "auto"},
			{Name: "b", Address: "10.0.0.2", Sudo: "auto"},
			{Name: "c.example", Address: "c.example", Sudo: "auto"},
		},
		Etcd:         Etcd{Unit: "etcd.service", EnvFile: "/etc/etcd.env", BinDir: "/opt/etcd"},
		SnapshotDirs: []string{"/tmp"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestEveryKeyArrives(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	dir := t.TempDir()
	write(t, dir, "keys/lab", "x")
	path := write(t, dir, "c.yaml", `
cluster: nova-lab
environment: lab
platform: systemd
language: ru
ssh: { user: ops, port: 2200, jump: "root@b1:22,b2", sudo: auto, identity_files: [keys/lab], known_hosts: ~/kh }
etcd: { unit: etcd-main, env_file: /etc/etcd/main.env, bin_dir: /usr/local/bin/ }
snapshots: [ { dir: /tmp }, { dir: /mnt/backup } ]
kubernetes: { readyz: "https://127.0.0.1:6443/readyz" }
nodes:
  - { name: n1, address: 127.0.0.1, root: /lab/n1, ssh: { port: 3001, jump: none } }
  - { name: n2, address: 127.0.0.1, root: /lab/n2, ssh: { port: 3002, sudo: never, user: me } }
  - { name: n3, address: "fe80::1%eth0", ssh: { identity_files: [], known_hosts: [/a, b] } }
`)
	c, warnings, err := Load(path)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	key := []string{filepath.Join(dir, "keys/lab")}
	want := Cluster{
		Path: path, Name: "nova-lab", Environment: "lab", Platform: "systemd", Language: "ru",
		Nodes: []remote.Node{
			{Name: "n1", Address: "127.0.0.1", Port: 3001, User: "ops", Jump: "none", Sudo: "auto", Root: "/lab/n1", IdentityFiles: key, KnownHosts: []string{"/home/me/kh"}},
			{Name: "n2", Address: "127.0.0.1", Port: 3002, User: "me", Jump: "root@b1:22,b2", Sudo: "never", Root: "/lab/n2", IdentityFiles: key, KnownHosts: []string{"/home/me/kh"}},
			{Name: "n3", Address: "fe80::1%eth0", Port: 2200, User: "ops", Jump: "root@b1:22,b2", Sudo: "auto", IdentityFiles: []string{}, KnownHosts: []string{"/a", filepath.Join(dir, "b")}},
		},
		Etcd:         Etcd{Unit: "etcd-main.service", EnvFile: "/etc/etcd/main.env", BinDir: "/usr/local/bin"},
		SnapshotDirs: []string{"/tmp", "/mnt/backup"},
		Readyz:       "https://127.0.0.1:6443/readyz",
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

const nodesOK = "nodes: [{name: a}, {name: b}, {name: c}]\n"

// Each case: the text of the file, and what the error (or warning) must say,
// line included.
var problems = []struct {
	name, text string
	want       []string
}{
	{"empty", "", []string{"f.yaml:1: The file is empty"}},
	{"only a comment", "# x\n", []string{"f.yaml:1: The file is empty"}},
	{"a list", "- a\n", []string{"f.yaml:1: Here the cluster file must hold keys"}},
	{"not YAML", "cluster: a\nnodes: [\n", []string{"This is not valid YAML"}},
	{"tab", "cluster: a\nnodes:\n\t- a\n", []string{"f.yaml:3: This is not valid YAML"}},
	{"two documents", "cluster: a\n" + nodesOK + "---\ncluster: b\n", []string{"f.yaml:3: A second YAML document"}},
	{"no cluster", nodesOK, []string{"f.yaml:1: The key cluster is missing"}},
	{"no nodes", "cluster: a\n", []string{"f.yaml:1: The cluster has no nodes"}},
	{"nodes without value", "cluster: a\nnodes:\n", []string{"The cluster has no nodes"}},
	{"empty nodes", "cluster: a\nnodes: []\n", []string{"f.yaml:2: The cluster has no nodes"}},
	{"unknown key", "cluster: a\n" + nodesOK + "frobnicate: 1\n", []string{`f.yaml:3: Unknown key "frobnicate" in the cluster file. Remove it or use one of: cluster, environment`}},
	{"misspelt key", "cluster: a\n" + nodesOK + "\nenviroment: lab\n", []string{`f.yaml:4: Unknown key "enviroment" in the cluster file. Did you mean "environment"?`}},
	{"dash for underscore", "cluster: a\n" + nodesOK + "ssh: {identity-files: [x]}\n", []string{`Unknown key "identity-files" in ssh. Did you mean "identity_files"?`}},
	{"key of another block", "cluster: a\nnodes:\n - name: a\n   port: 22\n", []string{`f.yaml:4: The key "port" does not stand here. Put it inside ssh`}},
	{"merge key", "cluster: a\n" + nodesOK + "ssh:\n  <<: {user: x}\n", []string{`f.yaml:4: Unknown key "<<" in ssh`}},
	{"key that is a list", "cluster: a\n" + nodesOK + "? [a]\n: b\n", []string{`Unknown key "…"`}},
	{"key twice", "cluster: a\n" + nodesOK + "cluster: b\n", []string{`f.yaml:3: The key "cluster" is already given on line 1`}},
	{"name twice", "cluster: a\nnodes:\n - {name: a, address: x}\n - {name: a, address: y}\n - {name: c}\n", []string{"f.yaml:4: The name a is already taken by the node on line 3"}},
	{"address twice", "cluster: a\nnodes:\n - {name: a, address: x}\n - {name: b, address: X, ssh: {port: 22}}\n - {name: c}\n", []string{"f.yaml:4: The address X with the same port is already on line 3"}},
	{"node without anything", "cluster: a\nnodes:\n - {root: /x}\n", []string{"f.yaml:3: This node has neither a name nor an address"}},
	{"node that is a word", "cluster: a\nnodes: [x]\n", []string{"f.yaml:2: Here an entry of nodes must hold keys"}},
	{"port 0", "cluster: a\n" + nodesOK + "ssh: {port: 0}\n", []string{`f.yaml:3: The value "0" of ssh.port is not a port`}},
	{"port in words", "cluster: a\n" + nodesOK + "ssh: {port: ssh}\n", []string{`is not a port`}},
	{"port too large", "cluster: a\n" + nodesOK + "ssh: {port: 65536}\n", []string{`is not a port`}},
	{"environment", "cluster: a\n" + nodesOK + "environment: prod\n", []string{`f.yaml:3: The value "prod" of environment is not known. Use one of: production, staging, lab`}},
	{"platform", "cluster: a\n" + nodesOK + "platform: kubeadmin\n", []string{`The value "kubeadmin" of platform is not known. Did you mean "kubeadm"?`}},
	{"language", "cluster: a\n" + nodesOK + "language: de\n", []string{`The value "de" of language is not known`}},
	{"sudo", "cluster: a\n" + nodesOK + "ssh: {sudo: always}\n", []string{`The value "always" of ssh.sudo is not known. Use one of: auto, never`}},
	{"name with a space", "cluster: a b\n" + nodesOK, []string{`f.yaml:1: The value "a b" of cluster is no simple name`}},
	{"name with a slash", "cluster: ../x\n" + nodesOK, []string{`is no simple name`}},
	{"name like an option", "cluster: a\nnodes: [{name: -x}]\n", []string{`is no simple name`}},
	{"name with a newline", "cluster: \"a\\nb\"\n" + nodesOK, []string{`f.yaml:1: The value of cluster holds a line break or an invisible character: "a␊b"`}},
	{"address with an escape", "cluster: a\nnodes: [{name: a, address: \"x\\e[2J\"}]\n", []string{`The value of address holds a line break or an invisible character: "x␛[2J"`}},
	{"path that reads backwards", "cluster: a\n" + nodesOK + "etcd: {bin_dir: \"/opt/\\u202Ex\"}\n", []string{`The value of etcd.bin_dir holds a line break or an invisible character`}},
	{"address with a user", "cluster: a\nnodes: [{name: a, address: me@x}]\n", []string{`The address "me@x" holds a user`}},
	{"address with a port", "cluster: a\nnodes: [{name: a, address: \"x:22\"}]\n", []string{`The address "x:22" holds a port`}},
	{"address like an option", "cluster: a\nnodes: [{name: a, address: -oProxyCommand=x}]\n", []string{`is not a host name`}},
	{"user like an option", "cluster: a\n" + nodesOK + "ssh: {user: -l}\n", []string{`"-l" is not a user name`}},
	{"jump", "cluster: a\n" + nodesOK + "ssh: {jump: \"a,-b\"}\n", []string{`"-b" is not a jump host`}},
	{"jump port", "cluster: a\n" + nodesOK + "ssh: {jump: \"a:70000\"}\n", []string{`"a:70000" is not a jump host`}},
	{"relative root", "cluster: a\nnodes: [{name: a, root: lab}]\n", []string{`f.yaml:2: The path "lab" of root must be absolute`}},
	{"root /", "cluster: a\nnodes: [{name: a, root: /}]\n", []string{`The path of root must not be / itself`}},
	{"env file relative", "cluster: a\n" + nodesOK + "etcd: {env_file: etcd.env}\n", []string{`The path "etcd.env" of etcd.env_file must be absolute`}},
	{"bin dir with ..", "cluster: a\n" + nodesOK + "etcd: {bin_dir: /opt/../x}\n", []string{`The path "/opt/../x" of etcd.bin_dir holds ".."`}},
	{"unit", "cluster: a\n" + nodesOK + "etcd: {unit: a/b}\n", []string{`"a/b" is not the name of a systemd unit`}},
	{"snapshots without dir", "cluster: a\n" + nodesOK + "snapshots: [{}]\n", []string{`f.yaml:3: This entry of snapshots has no folder`}},
	{"snapshots not a list", "cluster: a\n" + nodesOK + "snapshots: /tmp\n", []string{`The value of snapshots must be a list`}},
	{"readyz", "cluster: a\n" + nodesOK + "kubernetes: {readyz: 127.0.0.1:6443}\n", []string{`is not a web address`}},
	{"tilde of another", "cluster: a\n" + nodesOK + "ssh: {known_hosts: [~bob/x]}\n", []string{`The path "~bob/x" of ssh.known_hosts cannot be resolved`}},
	{"value that is a list", "cluster: [a]\n" + nodesOK, []string{`f.yaml:1: The value of cluster must be one word or number`}},
	{"several at once, in order", "cluser: a\nnodes:\n - {name: a, ssh: {port: x}}\nenvironment: x\n", []string{"f.yaml:1: Unknown key", "f.yaml:1: The key cluster", "f.yaml:3:", "f.yaml:4:"}},
}

func TestProblemsNameTheLineAndTheRemedy(t *testing.T) {
	for _, c := range problems {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := parse([]byte(c.text), "f.yaml", "/dir", "/dir/f.yaml", "/home/me")
			if err == nil {
				t.Fatal("no error")
			}
			var all Problems
			if !errors.As(err, &all) {
				t.Fatalf("%T is not Problems", err)
			}
			rest := err.Error()
			for _, want := range c.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is missing, or not in order, in:\n%s", want, err)
				}
				rest = after
			}
			for _, p := range all {
				for _, lang := range msg.Languages {
					if s := msg.New(lang).S(p.Message()); strings.Contains(s, "inventory.") || strings.Contains(s, "<no value>") {
						t.Errorf("%s: %s", lang, s)
					}
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"even":      {"cluster: a\nnodes: [{name: a}, {name: b}]\n", "f.yaml:2: There are 2 nodes. An even number"},
		"dir twice": {"cluster: a\n" + nodesOK + "snapshots: [{dir: /tmp}, {dir: /tmp/}]\n", "f.yaml:3: The folder /tmp is listed twice"},
		"no key":    {"cluster: a\n" + nodesOK + "ssh: {identity_files: no-such-key}\n", "f.yaml:3: The key file /dir/no-such-key under"},
	} {
		_, warnings, err := parse([]byte(c.text), "f.yaml", "/dir", "/dir/f.yaml", "/home/me")
		if err != nil || len(warnings) != 1 || !strings.HasPrefix(warnings[0].Error(), c.want) {
			t.Errorf("%s: got %v, %v", name, warnings, err)
		}
	}
}

func TestRussian(t *testing.T) {
	_, warnings, err := parse([]byte("cluster: a\nnodes: [{name: a}, {name: b}]\n"), "f.yaml", "/", "/f.yaml", "")
	if err != nil || len(warnings) != 1 {
		t.Fatal(err, warnings)
	}
	if s := msg.New("ru").S(warnings[0].Message()); !strings.HasPrefix(s, "f.yaml:2: Здесь 2 узла.") {
		t.Error(s)
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "There is no such file",
		dir:                             "not a regular file",
		write(t, dir, "big.yaml", strings.Repeat("#\n", maxFile)): "larger than",
	} {
		_, _, err := Load(path)
		var p Problem
		if !errors.As(err, &p) || !strings.Contains(p.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestFromNodes(t *testing.T) {
	c, err := FromNodes("ops@m1.example.com,m2.example.com:2222, root@10.0.0.3,[::1]:23")
	if err != nil {
		t.Fatal(err)
	}
	want := []remote.Node{
		{Name: "m1.example.com", Address: "m1.example.com", User: "ops", Sudo: "auto"},
		{Name: "m2.example.com", Address: "m2.example.com", User: "ops", Port: 2222, Sudo: "auto"},
		{Name: "10.0.0.3", Address: "10.0.0.3", User: "root", Sudo: "auto"},
		{Name: "node-4", Address: "::1", User: "root", Port: 23, Sudo: "auto"},
	}
	if c.Name != "m1" || !reflect.DeepEqual(c.Nodes, want) || c.Environment != "production" || c.Etcd.Unit != DefaultUnit {
		t.Errorf("got %+v", c)
	}
	if c, err = FromNodes("127.0.0.1:22,127.0.0.1:23"); err != nil || c.Name != "127.0.0.1" || c.Nodes[1].Name != "127.0.0.1-23" {
		t.Errorf("got %+v, %v", c, err)
	}
	for list, want := range map[string]string{
		"":             "empty entry",
		"a,,b":         "empty entry",
		"a,a":          "listed twice",
		"-x":           "not a host name",
		"u@-oProxy=x":  "not a host name",
		"-l@a":         "not a user name",
		"a:0":          "not a port",
		"a b":          "not a host name",
		"a\x1b[2J,b,c": "not a host name",
	} {
		if _, err := FromNodes(list); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: got %v, want %q", list, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	dir, config := t.TempDir(), t.TempDir()
	find := func(cluster string) (string, error) {
		return Find(FindOptions{Cluster: cluster, Dir: dir, ConfigHome: config})
	}
	if _, err := find(""); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "--nodes") {
		t.Errorf("nothing there: %v", err)
	}
	one := write(t, config, "novatui/clusters/one.yaml", "x")
	write(t, config, "novatui/clusters/notes.txt", "x")
	if got, err := find(""); got != one || err != nil {
		t.Errorf("one: %q, %v", got, err)
	}
	two := write(t, config, "novatui/clusters/two.yml", "x")
	_, err := find("")
	var several *FindError
	if !errors.Is(err, ErrSeveral) || !errors.As(err, &several) || !reflect.DeepEqual(several.Files, []string{one, two}) || !strings.Contains(err.Error(), two) {
		t.Errorf("two: %v", err)
	}
	here := write(t, dir, FileName, "x")
	if got, err := find(""); got != here || err != nil {
		t.Errorf("here: %q, %v", got, err)
	}
	if got, err := find("/elsewhere.yaml"); got != "/elsewhere.yaml" || err != nil {
		t.Errorf("named: %q, %v", got, err)
	}
	t.Setenv("XDG_CONFIG_HOME", "relative")
	t.Setenv("HOME", config)
	xdg := write(t, config, ".config/novatui/clusters/home.yaml", "x")
	if got, err := Find(FindOptions{Dir: t.TempDir()}); got != xdg || err != nil {
		t.Errorf("~/.config: %q, %v", got, err)
	}
}

// FuzzParse: whatever the file says, there is no panic, every problem prints,
// and what is accepted is safe.
func FuzzParse(f *testing.F) {
	for _, c := range problems {
		f.Add(c.text)
	}
	f.Add("cluster: a\nnodes: &x [{name: a}, *x]\n")
	f.Add("cluster: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, warnings, err := parse([]byte(text), "f.yaml", "/dir", "/dir/f.yaml", "/home/me")
		for _, w := range warnings {
			if remote.Clean(w.Error()) != w.Error() {
				t.Errorf("unsafe warning %q", w.Error())
			}
		}
		if err != nil {
			if remote.Clean(err.Error()) != err.Error() {
				t.Errorf("unsafe error %q", err)
			}
			return
		}
		checkSafe(t, c)
	})
}

func FuzzFromNodes(f *testing.F) {
	f.Add("user@a,b,c:2222")
	f.Add("[::1]:22,a:22,a:23")
	f.Fuzz(func(t *testing.T, list string) {
		c, err := FromNodes(list)
		if err != nil {
			if remote.Clean(err.Error()) != err.Error() {
				t.Errorf("unsafe error %q", err)
			}
			return
		}
		checkSafe(t, c)
	})
}

func checkSafe(t *testing.T, c Cluster) {
	t.Helper()
	if !simpleWord.MatchString(c.Name) || len(c.Nodes) == 0 {
		t.Errorf("accepted cluster %q with %d nodes", c.Name, len(c.Nodes))
	}
	names := map[string]bool{}
	for _, n := range c.Nodes {
		if names[n.Name] {
			t.Errorf("accepted two nodes %q", n.Name)
		}
		names[n.Name] = true
		for _, s := range append([]string{n.Name, n.Address, n.User, n.Jump, n.Root}, c.SnapshotDirs...) {
			if !printable(s) {
				t.Errorf("accepted %q", s)
			}
		}
		if !simpleWord.MatchString(n.Name) || strings.HasPrefix(n.Address, "-") || n.Port < 0 || n.Port > 65535 || n.Root != "" && (n.Root[0] != '/' || n.Root == "/") {
			t.Errorf("accepted node %+v", n)
		}
	}
	for _, dir := range append([]string{c.Etcd.EnvFile, c.Etcd.BinDir}, c.SnapshotDirs...) {
		if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
			t.Errorf("accepted path %q", dir)
		}
	}
}
