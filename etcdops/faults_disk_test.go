package etcdops

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatui/novatui/remote"
)

// TestFaultDiskFullDuringRestore (26): the node's disk fills up in the middle of
// a restore by the real tool. What came out is never put into place, the old
// data stay as they are, and with room again the same restore ends well.
func TestFaultDiskFullDuringRestore(t *testing.T) {
	const tag = "20261103-140317"
	c := newCluster(t, 1)
	for i := range 20 {
		if out, err := c.ctl("master-1", "put", fmt.Sprintf("/registry/%d", i), "v"); err != nil {
			t.Fatal(out, err)
		}
	}
	h := hosts(t, c.collect())["master-1"]
	snapshot := h.Path("/tmp/good.db")
	save, err := h.SnapshotSave(h.ClientURLs()[0], snapshot)
	c.run("master-1", save, err)
	c.kill("master-1")

	// The tool allocates a segment of the WAL at once, 64 MB.
	small := h.Path("/small")
	mountTmpfs(t, small, "40m")
	h.Facts.Data.Path = filepath.Join(small, "etcd")
	if err := os.MkdirAll(filepath.Join(h.Facts.Data.Path, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.Facts.Data.Path, "member", "old"), "old data")
	before := listing(t, h.Facts.Data.Path)
	restore, err := h.RestoreSnapshot(Restore{
		Snapshot: snapshot, Name: "etcd1", PeerURLs: h.Facts.Env.PeerURLs(),
		InitialCluster: h.Facts.Env.InitialCluster(), Token: "t", Tag: tag,
	})
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.conns["master-1"].Run(t.Context(), restore, remote.Streams{})
	if err != nil || res.Exit == 0 || !strings.Contains(string(res.Stdout)+string(res.Stderr), "no space left") {
		t.Fatalf("status %d, %v: %s%s", res.Exit, err, res.Stdout, res.Stderr)
	}
	place, err := h.PlaceRestored(h.Facts.Data, tag)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.conns["master-1"].Run(t.Context(), place, remote.Streams{}); err != nil || res.Exit != ExitRefused {
		t.Errorf("half a restore can be put in place: status %d, %v", res.Exit, err)
	}
	if got := listing(t, h.Facts.Data.Path); !maps.Equal(got, before) {
		t.Errorf("the old data were touched: %v, were %v", got, before)
	}
	if out, err := exec.Command("mount", "-o", "remount,size=300m", small).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out := c.run("master-1", restore, nil); ScriptResult([]byte(out)) != "restored" {
		t.Errorf("with room again: %s", out)
	}
}

// TestFaultReadOnlyDisk (32): the file system of the data was remounted
// read-only. What would move the data fails with the reason and moves nothing.
func TestFaultReadOnlyDisk(t *testing.T) {
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""}) + "/disk"
		mountTmpfs(t, dir, "8m")
		if err := os.MkdirAll(dir+"/etcd/member", 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/etcd/member/db", "old data")
		if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		before := listing(t, dir)
		_, errOut, status := runScript(shell, "", "move-aside.sh", dir+"/etcd", dir+"/etcd.novatui-t", "0")
		if status == 0 || !strings.Contains(strings.ToLower(errOut), "read-only") || !maps.Equal(listing(t, dir), before) {
			t.Errorf("%v: status %d, %s", shell, status, errOut)
		}
	}
}
