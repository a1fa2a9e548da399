package etcdops

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// eachDecoder runs a test of unpack.sh with Python's zlib, where this machine
// has Python, and with tar's own gzip.
func eachDecoder(t *testing.T, test func(t *testing.T)) {
	t.Run("zlib", test)
	t.Run("gzip", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/python3", []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		test(t)
	})
}

// TestUnpackShapes: whoever decompresses, the same archives are taken.
func TestUnpackShapes(t *testing.T) {
	eachDecoder(t, func(t *testing.T) {
		dir := tree(t, map[string]string{"x": ""})
		file := dir + "/a.db.tar.gz"
		big := strings.Repeat("0123456789abcdef", 40000)
		archive(t, file, entry{"a.db", tar.TypeReg, big})
		packed := read(t, file)
		plain, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		var whole bytes.Buffer
		if _, err := whole.ReadFrom(plain); err != nil {
			t.Fatal(err)
		}
		members := zipped(t, whole.Bytes()[:1000]) + zipped(t, whole.Bytes()[1000:])
		sparse, long := dir+"/sparse.tar.gz", strings.Repeat("etcd/", 40)+"a.db"
		holes := big + strings.Repeat("\x00", 1<<20) + big
		write(t, dir+"/holes.db", holes)
		if out, err := exec.Command("tar", "-C", dir, "-Sczf", sparse, "holes.db").CombinedOutput(); err != nil { //nolint:gosec // the test's own
			t.Fatalf("%v: %s", err, out)
		}
		archive(t, file, entry{long, tar.TypeReg, big})
		flipped := []byte(packed)
		flipped[len(flipped)-6] ^= 1 // in the checksum
		for what, c := range map[string]struct {
			text, want string
		}{
			"one member":      {packed, big},
			"two members":     {members, big},
			"padded":          {packed + strings.Repeat("\x00", 70000), big},
			"a long name":     {read(t, file), big},
			"sparse":          {read(t, sparse), holes},
			"checksum":        {string(flipped), ""},
			"cut by one":      {packed[:len(packed)-1], ""},
			"cut in members":  {members[:len(members)-100], ""},
			"cut before gzip": {zipped(t, whole.Bytes()[:300000]), ""},
			"behind it":       {packed + "garbage", ""},
		} {
			status := 0
			if c.want == "" {
				status = ExitRefused
			}
			for _, from := range []string{file, "-"} {
				write(t, file, c.text)
				dest := fmt.Sprintf("%s/%s%d.db", dir, strings.ReplaceAll(what, " ", "-"), len(from))
				stdin := ""
				if from == "-" {
					stdin = c.text
				}
				_, errOut, ended := runScript([]string{"sh"}, stdin, "unpack.sh", from, dest, "3000000")
				if ended != status {
					t.Errorf("%s from %s: status %d instead of %d, %s", what, from, ended, status, errOut)
				}
				if got, err := os.ReadFile(dest); (err == nil) != (status == 0) || string(got) != c.want {
					t.Errorf("%s from %s: %d bytes, %v", what, from, len(got), err)
				}
			}
		}
	})
}

// TestUnpackLargeHeader: what an archive says about a file is read into memory,
// and is bounded.
func TestUnpackLargeHeader(t *testing.T) {
	if err := exec.Command("python3", "-c", "import tarfile, zlib").Run(); err != nil {
		t.Skip("no Python here: tar reads the headers")
	}
	dir := tree(t, map[string]string{"x": ""})
	file, dest := dir+"/a.db.tar.gz", dir+"/out.db"
	record := "2097152 comment="
	archive(t, file, entry{"pax", tar.TypeReg, record + strings.Repeat("x", 2097152-len(record)-1) + "\n"}, entry{"a.db", tar.TypeReg, "x"})
	z, err := gzip.NewReader(strings.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := whole.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	header := whole.Bytes()[:512]
	header[156] = tar.TypeXHeader
	sum := 0
	for i, c := range header {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	write(t, file, zipped(t, whole.Bytes()))
	if _, errOut, status := runScript([]string{"sh"}, "", "unpack.sh", file, dest, "10000000"); status != ExitRefused {
		t.Errorf("status %d, %s", status, errOut)
	}
}

func zipped(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

type entry struct {
	name string
	kind byte
	text string
}

func archive(t testing.TB, file string, entries ...entry) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.text))}
		if e.kind == tar.TypeSymlink || e.kind == tar.TypeLink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, file, b.String())
}

func TestUnpack(t *testing.T) { eachDecoder(t, testUnpack) }

func testUnpack(t *testing.T) {
	big := strings.Repeat("0123456789", 5000)
	vendor := "opt/backup/etcd_snapshot_nova-v5.1.1_k8s-v1.27.11_2024-06-14_081538.db"
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""})
		file, dest := dir+"/a.db.tar.gz", dir+"/out.db"
		archive(t, file, entry{"opt/", tar.TypeDir, ""}, entry{"opt/backup/", tar.TypeDir, ""}, entry{vendor, tar.TypeReg, big})
		for _, want := range []string{"unpacked", "already"} {
			out, errOut, status := runScript(shell, "", "unpack.sh", file, dest, "1000000")
			if status != 0 || ScriptResult([]byte(out)) != want || read(t, dest) != big {
				t.Fatalf("%v: status %d, %s%s", shell, status, out, errOut)
			}
		}
		for what, entries := range map[string][]entry{
			"two files": {{"a.db", tar.TypeReg, "x"}, {"b.db", tar.TypeReg, "x"}},
			"symlink":   {{"a.db", tar.TypeSymlink, ""}},
			"hard link": {{"a.db", tar.TypeReg, "x"}, {"b.db", tar.TypeLink, ""}},
			"device":    {{"a.db", tar.TypeReg, "x"}, {"null", tar.TypeChar, ""}},
			"absolute":  {{"/tmp/a.db", tar.TypeReg, "x"}},
			"dot dot":   {{"../a.db", tar.TypeReg, "x"}},
			"inside":    {{"x/../../a.db", tar.TypeReg, "x"}},
			"not a db":  {{"a.sh", tar.TypeReg, "x"}},
			"newline":   {{"a\nb.db", tar.TypeReg, "x"}},
			"nothing":   {},
			"too large": {{"a.db", tar.TypeReg, big}},
		} {
			archive(t, file, entries...)
			_, errOut, status := runScript(shell, "", "unpack.sh", file, dir+"/evil.db", "40000")
			if _, err := os.Stat(dir + "/evil.db"); status != ExitRefused || !os.IsNotExist(err) {
				t.Errorf("%v: %s: status %d, %s", shell, what, status, errOut)
			}
		}
		write(t, file, "no archive")
		if _, _, status := runScript(shell, "", "unpack.sh", file, dir+"/evil.db", "40000"); status != ExitRefused {
			t.Errorf("%v: no archive: status %d", shell, status)
		}
		archive(t, file, entry{"a.db", tar.TypeReg, big})
		text := read(t, file)
		write(t, file, text[:len(text)/2])
		_, errOut, status := runScript(shell, "", "unpack.sh", file, dir+"/evil.db", "1000000")
		if _, err := os.Stat(dir + "/evil.db"); status == 0 || !os.IsNotExist(err) {
			t.Errorf("%v: torn archive: status %d, %s", shell, status, errOut)
		}
	}
}

// TestUnpackAgain: an archive may come on standard input; whole, or nothing gets
// the name. What has the name already is used when it has the sha256, and keeps
// its content under another name when it has not.
func TestUnpackAgain(t *testing.T) { eachDecoder(t, testUnpackAgain) }

func testUnpackAgain(t *testing.T) {
	big := strings.Repeat("0123456789", 50000)
	raw := sha256.Sum256([]byte(big))
	sum := hex.EncodeToString(raw[:])
	for _, shell := range shells(t) {
		dir := tree(t, map[string]string{"x": ""})
		file, dest := dir+"/a.db.tar.gz", dir+"/out.db"
		archive(t, file, entry{"a.db", tar.TypeReg, big})
		packed := read(t, file)
		for i, step := range []struct {
			archive, stdin, sum string
			status              int
			result              string
		}{
			{"-", packed[:len(packed)/2], sum, ExitRefused, ""},
			{"-", "no archive", sum, ExitRefused, ""},
			{"-", "", sum, ExitRefused, ""},
			{"-", packed, sum, 0, "unpacked"},
			{"-", packed, sum, 0, "already"},
			{file, "", sum, 0, "already"},
		} {
			out, errOut, status := runScript(shell, step.stdin, "unpack.sh", step.archive, dest, "1000000", step.sum)
			if status != step.status || ScriptResult([]byte(out)) != step.result {
				t.Errorf("%v: %d: status %d, %s%s", shell, i, status, out, errOut)
			}
			if _, err := os.Stat(dest); (err == nil) != (step.status == 0) {
				t.Errorf("%v: %d: %v", shell, i, err)
			}
		}
		for i, torn := range []string{big[:1000], ""} {
			write(t, dest, torn)
			out, errOut, status := runScript(shell, "", "unpack.sh", file, dest, "1000000", sum)
			if status != 0 || ScriptResult([]byte(out)) != "unpacked" || read(t, dest) != big ||
				read(t, fmt.Sprintf("%s.failed-%d", dest, i+1)) != torn {
				t.Errorf("%v: torn: status %d, %s%s", shell, status, out, errOut)
			}
		}
		if _, errOut, status := runScript(shell, packed, "unpack.sh", "-", dir+"/more.db", "40000", sum); status != ExitRefused || !strings.Contains(errOut, "larger") {
			t.Errorf("%v: too large: status %d, %s", shell, status, errOut)
		}
		if info, err := os.Stat(dir + "/more.db.part"); err != nil || info.Size() > 50000 {
			t.Errorf("%v: too large, and not bounded: %v, %v", shell, info, err)
		}
	}
}
