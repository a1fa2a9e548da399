package etcdops

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// member is what a data directory holds.
var member = map[string]string{
	"etcd/member/snap/db": "db", "etcd/member/wal/0.wal": "wal", "etcd/.hidden": "h", "etcd/with space": "s",
}

func TestMoveAsideAndBack(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, member)
		data, aside := dir+"/etcd", dir+"/etcd.novatui-tag"
		before := listing(t, data)

		// Held by a process: nothing moves.
		holder, err := os.Open(data + "/member/snap/db")
		if err != nil {
			t.Fatal(err)
		}
		_, errOut, status := runScript(shell, "", "move-aside.sh", data, aside, "0")
		if status != ExitRefused || !strings.Contains(errOut, fmt.Sprint(os.Getpid())) || !maps.Equal(listing(t, data), before) {
			t.Errorf("%v: held: status %d, %s", shell, status, errOut)
		}
		_ = holder.Close()

		for _, want := range []string{"moved", "already"} {
			out, errOut, status := runScript(shell, "", "move-aside.sh", data, aside, "0")
			if status != 0 || ScriptResult([]byte(out)) != want {
				t.Errorf("%v: status %d, %s %s, want %s", shell, status, out, errOut, want)
			}
			if got := listing(t, aside); !maps.Equal(got, before) {
				t.Errorf("%v: set aside %v, want %v", shell, got, before)
			}
		}
		// Something is there again, and the place aside is taken.
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, _, status := runScript(shell, "", "move-aside.sh", data, aside, "0"); status != ExitRefused {
			t.Errorf("%v: status %d although the target exists", shell, status)
		}
		write(t, data+"/new", "x")
		if _, _, status := runScript(shell, "", "move-back.sh", data, aside, "0"); status != ExitRefused {
			t.Errorf("%v: moved back over data: status %d", shell, status)
		}
		if err := os.Remove(data + "/new"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"moved", "already"} {
			out, errOut, status := runScript(shell, "", "move-back.sh", data, aside, "0")
			if status != 0 || ScriptResult([]byte(out)) != want || !maps.Equal(listing(t, data), before) {
				t.Errorf("%v: back: status %d, %s%s", shell, status, out, errOut)
			}
		}
		out, _, status := runScript(shell, "", "move-aside.sh", dir+"/none", dir+"/none.novatui-tag", "0")
		if status != 0 || ScriptResult([]byte(out)) != "nothing" {
			t.Errorf("%v: nothing to move: status %d, %s", shell, status, out)
		}
	}
}

func TestMoveAsideOfAMountPoint(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""})
		data := dir + "/mnt"
		mountTmpfs(t, data, "8m")
		for name, text := range member {
			p := data + strings.TrimPrefix(name, "etcd")
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, p, text)
		}
		if err := os.Mkdir(data+"/lost+found", 0o700); err != nil {
			t.Fatal(err)
		}
		if _, _, status := runScript(shell, "", "move-aside.sh", data, data+".novatui-tag", "0"); status != ExitRefused {
			t.Errorf("%v: a mount point was to be renamed: status %d", shell, status)
		}
		aside := data + "/novatui-tag"
		// A power cut in the middle left a part behind.
		if err := os.Mkdir(aside+".part", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(data+"/with space", aside+".part/with space"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"moved", "already"} {
			out, errOut, status := runScript(shell, "", "move-aside.sh", data, aside, "1")
			if status != 0 || ScriptResult([]byte(out)) != want {
				t.Fatalf("%v: status %d, %s%s, want %s", shell, status, out, errOut, want)
			}
		}
		got := listing(t, data)
		if got["novatui-tag/member/snap/db"] != "db" || got["novatui-tag/.hidden"] != "h" ||
			got["novatui-tag/with space"] != "s" || got["member/"] != "" || len(got) != 10 {
			t.Errorf("%v: after the move %v", shell, got)
		}
		// A restored directory goes in beside it.
		if err := os.MkdirAll(aside+".new/member", 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, aside+".new/member/db", "new")
		if _, _, status := runScript(shell, "", "place.sh", aside+".new", data, "1"); status != ExitRefused {
			t.Errorf("%v: an incomplete restore was put in place: status %d", shell, status)
		}
		write(t, aside+".new.ok", "")
		for _, want := range []string{"placed", "already"} {
			out, errOut, status := runScript(shell, "", "place.sh", aside+".new", data, "1")
			if status != 0 || ScriptResult([]byte(out)) != want || read(t, data+"/member/db") != "new" {
				t.Fatalf("%v: place: status %d, %s%s, want %s", shell, status, out, errOut, want)
			}
		}
		// The way back is refused while the new data is there.
		if _, _, status := runScript(shell, "", "move-back.sh", data, aside, "1"); status != ExitRefused {
			t.Errorf("%v: moved back over new data: status %d", shell, status)
		}
	}
}

// mountTmpfs mounts a small file system; without the right to, the test is
// left out.
func mountTmpfs(t testing.TB, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no right to mount: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
}

func TestPlaceNeverClaimsOldData(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, member)
		if _, _, status := runScript(shell, "", "place.sh", dir+"/etcd.novatui-t.new", dir+"/etcd", "0"); status != ExitRefused {
			t.Errorf("%v: old data was taken for restored data: status %d", shell, status)
		}
	}
}

func TestScriptsRefuseInsanePaths(t *testing.T) {
	for _, p := range []string{"/", "/var", "/var/lib", "relative/path", "/etc/x", "/var/lib/../etc", "/tmp//x/y", "/usr/lib/x", ""} {
		if _, _, status := runScript(shells(t)[0], "", "move-aside.sh", p, p+".novatui-t", "0"); status != ExitRefused {
			t.Errorf("%q: status %d", p, status)
		}
		if ValidateDataDir(p) == nil {
			t.Errorf("ValidateDataDir takes %q", p)
		}
	}
	for _, p := range []string{"/home/user", "/var/lib/etcd/", "/var/lib/etcd\nx", "/var/lib/novatui", "/x", "/var/lib/kubelet"} {
		if ValidateDataDir(p) == nil {
			t.Errorf("ValidateDataDir takes %q", p)
		}
	}
	for _, p := range []string{"/var/lib/etcd", "/data/etcd", "/home/user/etcd", "/var/lib/etcd with space/data"} {
		if err := ValidateDataDir(p); err != nil {
			t.Error(err)
		}
	}
	h := Host{Facts: NodeFacts{Root: "/tmp/lab/n1"}}
	if h.ValidateDataDir("/tmp/lab/n1/var/lib") == nil || h.ValidateDataDir("/tmp/lab/n1/var/lib/etcd") != nil {
		t.Error("below a Root the rules must be the same")
	}
}

func TestMakeDir(t *testing.T) {
	me, group := whoami(t)
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""})
		for range 2 {
			out, errOut, status := runScript(shell, "", "make-dir.sh", dir+"/a/etcd", me, group, "0700", "")
			info, err := os.Stat(dir + "/a/etcd")
			if status != 0 || err != nil || info.Mode().Perm() != 0o700 {
				t.Fatalf("%v: status %d, %s%s, %v", shell, status, out, errOut, info)
			}
		}
		write(t, dir+"/a/etcd/f", "")
		if _, _, status := runScript(shell, "", "make-dir.sh", dir+"/a/etcd", me, group, "0700", ""); status != ExitRefused {
			t.Errorf("%v: status %d for a folder that is not empty", shell, status)
		}
	}
}

func whoami(t testing.TB) (name, group string) {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return u.Username, g.Name
}

func TestPutFile(t *testing.T) {
	content := make([]byte, 300_000)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	raw := sha256.Sum256(content)
	sum, size := hex.EncodeToString(raw[:]), fmt.Sprint(len(content))
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""})
		file := dir + "/snap 'x'.db"
		// Torn, then damaged: nothing appears under the final name.
		for what, stdin := range map[string]string{
			"torn": string(content[:100_000]), "damaged": "X" + string(content[1:]), "too much": string(content) + "X",
		} {
			_, errOut, status := runScript(shell, stdin, "put-file.sh", file, size, sum)
			if _, err := os.Stat(file); status != 1 || !os.IsNotExist(err) {
				t.Errorf("%v: %s: status %d, %s, %v", shell, what, status, errOut, err)
			}
		}
		for _, want := range []string{"stored", "already"} {
			out, errOut, status := runScript(shell, string(content), "put-file.sh", file, size, sum)
			info, err := os.Stat(file)
			if status != 0 || ScriptResult([]byte(out)) != want || err != nil || read(t, file) != string(content) ||
				info.Mode().Perm() != 0o600 {
				t.Fatalf("%v: status %d, %s%s, %v", shell, status, out, errOut, info)
			}
		}
		out, _, _ := runScript(shell, "", "sums.sh", file, dir+"/none")
		sums, err := ParseSums([]byte(out))
		if err != nil || len(sums) != 1 || sums[file].SHA256 != sum || sums[file].SizeBytes != int64(len(content)) {
			t.Errorf("%v: sums %v, %v", shell, sums, err)
		}
		write(t, dir+"/other", "other")
		if _, _, status := runScript(shell, string(content), "put-file.sh", dir+"/other", size, sum); status != ExitRefused ||
			read(t, dir+"/other") != "other" {
			t.Errorf("%v: status %d over another file", shell, status)
		}
	}
}

func TestPutFileOnAFullDisk(t *testing.T) {
	dir := tree(t, map[string]string{"x": ""}) + "/small"
	mountTmpfs(t, dir, "64k")
	content := strings.Repeat("x", 200_000)
	raw := sha256.Sum256([]byte(content))
	sum := hex.EncodeToString(raw[:])
	for _, shell := range shells(t) {
		_, errOut, status := runScript(shell, content, "put-file.sh", dir+"/f.db", fmt.Sprint(len(content)), sum)
		if status != ExitRefused || !strings.Contains(errOut, "no room") {
			t.Errorf("%v: status %d, %s", shell, status, errOut)
		}
		// The size was told wrong, so that it is noticed while writing only.
		_, errOut, status = runScript(shell, content, "put-file.sh", dir+"/f.db", "1000", sum)
		if _, err := os.Stat(dir + "/f.db"); status != 1 || !os.IsNotExist(err) {
			t.Errorf("%v: status %d, %s", shell, status, errOut)
		}
	}
}

func TestCheckSnapshot(t *testing.T) {
	members := `{"id":1,"peerURLs":["https://10.0.0.1:2380","https://etcd1:2380"],"name":"a"}` + "\x00\n\x00" + `"peerURLs":[broken]"peerURLs":["\x1b[31m"]`
	content := strings.Repeat("0123456789abcdef", 32*40)
	content = members + content[len(members):]
	raw := sha256.Sum256([]byte(content))
	sound := content + string(raw[:])
	for _, shell := range shells(t) {
		for want, text := range map[SnapshotHash]string{
			HashOK: sound, HashBad: "X" + sound[1:], HashMissing: content,
		} {
			file := tree(t, map[string]string{"s.db": text}) + "/s.db"
			out, errOut, status := runScript(shell, "", "check-snapshot.sh", file)
			c, err := ParseCheckSnapshot([]byte(out))
			if peers := []string{"https://10.0.0.1:2380", "https://etcd1:2380"}; !slices.Equal(c.PeerURLs, peers) {
				t.Errorf("%v: %s: peers %q", shell, want, c.PeerURLs)
			}
			all := sha256.Sum256([]byte(text))
			if status != 0 || err != nil || c.Hash != want || (c.EtcdSum == hex.EncodeToString(raw[:])) != (want == HashOK) || c.SizeBytes != int64(len(text)) || c.SHA256 != hex.EncodeToString(all[:]) {
				t.Errorf("%v: %s: status %d, %+v, %v %s", shell, want, status, c, err, errOut)
			}
		}
	}
}

func TestStat(t *testing.T) {
	me, group := whoami(t)
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"d/member/f": "12345"})
		if err := os.Symlink("nowhere", dir+"/l"); err != nil {
			t.Fatal(err)
		}
		out, errOut, status := runScript(shell, "", "stat.sh", dir+"/d", dir+"/d/member/f", dir+"/none/at/all", dir+"/l")
		s, err := ParseStat([]byte(out))
		if status != 0 || err != nil || len(s) != 4 {
			t.Fatalf("%v: status %d, %v %s", shell, status, err, errOut)
		}
		d, f, none := s[dir+"/d"], s[dir+"/d/member/f"], s[dir+"/none/at/all"]
		if d.Kind != "dir" || !d.HasMember || d.Empty || d.Owner != me || d.Group != group || d.Mode != "0700" ||
			d.FreeBytes == 0 || d.TotalBytes == 0 || d.Mount || d.Device == "" {
			t.Errorf("%v: dir %+v", shell, d)
		}
		if f.Kind != "file" || f.SizeBytes != 5 || f.Inode == "" || f.Modified.IsZero() {
			t.Errorf("%v: file %+v", shell, f)
		}
		if none.Exists() || none.FreeBytes == 0 || none.Device != d.Device || s[dir+"/l"].Kind != "link" {
			t.Errorf("%v: absent %+v, link %+v", shell, none, s[dir+"/l"])
		}
	}
}
