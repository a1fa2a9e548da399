//go:build e2e && linux

package samples

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of some MB on a member's data directory.
func (m *member) smallDisk(megabytes int) {
	must(m.t, syscall.Mount("tmpfs", m.dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", megabytes)))
	m.t.Cleanup(func() { m.kill(); _ = syscall.Unmount(m.dir, syscall.MNT_DETACH) })
}

// fill takes what is left of a member's file system.
func (m *member) fill() {
	f, err := os.Create(m.path("core.4711"))
	must(m.t, err)
	b := make([]byte, 1<<16)
	for {
		if _, err := f.Write(b); err != nil {
			if len(b) == 1 {
				break
			}
			b = b[:len(b)/2]
		}
	}
	must(m.t, f.Close())
}

// df is what the operator sees of it.
func (m *member) df() string {
	out, _ := exec.Command("df", "-h", m.dir).CombinedOutput()
	return "$ df -h /var/lib/etcd\n" + strings.TrimSpace(string(out))
}

// nobody makes etcd run as a user without rights.
func (m *member) nobody() {
	m.cred = &syscall.Credential{Uid: 65534, Gid: 65534}
	must(m.t, os.Chmod(filepath.Dir(m.dir), 0o755))
	// The cache of binaries belongs to root.
	bin, err := os.MkdirTemp("", "nvs-bin-")
	must(m.t, err)
	m.t.Cleanup(func() { _ = os.RemoveAll(bin) })
	must(m.t, os.Chmod(bin, 0o755))
	tool(m.t, "cp", filepath.Join(m.bin, "etcd"), filepath.Join(m.bin, "etcdctl"), bin)
	m.bin = bin
}

func (m *member) own(id int, but string) {
	must(m.t, filepath.Walk(m.dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil || but != "" && strings.HasSuffix(p, but) {
			return err
		}
		return os.Lchown(p, id, id)
	}))
}

// throttled puts a member's data on a small disk of its own that does few
// writes in a second once slow is called.
func (m *member) throttled() (slow func(perSecond int)) {
	image := filepath.Join("/dev/shm", filepath.Base(m.lab.dir)+".img")
	must(m.t, os.WriteFile(image, nil, 0o600))
	must(m.t, os.Truncate(image, 400<<20))
	tool(m.t, "mkfs.ext4", "-q", "-O", "^has_journal", image)
	device := strings.TrimSpace(tool(m.t, "losetup", "--find", "--show", image))
	tool(m.t, "mount", device, m.dir)
	m.t.Cleanup(func() {
		m.kill()
		tool(m.t, "umount", m.dir)
		tool(m.t, "losetup", "--detach", device)
		_ = os.Remove(image)
	})
	m.group = "/sys/fs/cgroup/blkio/nvs-slow"
	must(m.t, os.MkdirAll(m.group, 0o755))
	m.t.Cleanup(func() { m.kill(); _ = os.Remove(m.group) })
	info, err := os.Stat(device)
	must(m.t, err)
	number := info.Sys().(*syscall.Stat_t).Rdev
	return func(n int) {
		must(m.t, os.WriteFile(filepath.Join(m.group, "blkio.throttle.write_iops_device"),
			[]byte(fmt.Sprintf("%d:%d %d", unix.Major(number), unix.Minor(number), n)), 0))
	}
}

// kernel are the kernel's lines about processes that it killed for memory.
func kernel(l *lab, host string, since time.Time) []line {
	out := tool(l.t, "dmesg", "--time-format", "iso")
	var lines []line
	s := bufio.NewScanner(strings.NewReader(out))
	for s.Scan() {
		if !strings.Contains(s.Text(), "oom") && !strings.Contains(s.Text(), "Memory cgroup") {
			continue
		}
		stamp, rest, _ := strings.Cut(s.Text(), " ")
		at, err := time.Parse("2006-01-02T15:04:05,999999-07:00", stamp)
		if err != nil || at.Before(since) || strings.Contains(rest, "nvs-") || strings.Contains(rest, "+0x") {
			continue
		}
		lines = append(lines, line{at: at, text: at.Format("Jan 02 15:04:05 ") + host + " kernel: " + rest})
	}
	return lines[max(0, len(lines)-6):]
}

// sinceBoot are the lines of the newest boot and some before it.
func sinceBoot(lines []line) []line {
	for i := len(lines) - 1; i > 0; i-- {
		if strings.HasPrefix(lines[i].text, "-- Boot ") {
			return lines[max(0, i-6):]
		}
	}
	return lines
}

func lastOf(lines []line, n int) []line { return lines[max(0, len(lines)-n):] }

// putFor writes for a while, whether it is answered or not.
func putFor(m *member, d time.Duration) {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		_ = m.ctl("--command-timeout=2s", "put", "k", strings.Repeat("v", 500))
	}
}

// walEnd is where the last record of the WAL ends, in its newest file.
func (m *member) walEnd() (path string, end int) {
	files := m.wal()
	path = files[len(files)-1]
	b, err := os.ReadFile(path)
	must(m.t, err)
	return path, len(bytes.TrimRight(b, "\x00"))
}

// tear zeroes the last sectors of the WAL, and with them the last write: what
// follows it are some bytes of raft's state.
func (m *member) tear() {
	path, end := m.walEnd()
	cut := (end - 700) / 512 * 512
	m.overwrite(path, int64(cut), make([]byte, end-cut))
}

// halfWritten leaves the first sector of a record of 1200 bytes at the end of
// the WAL, as a power cut does to one that was being written.
func (m *member) halfWritten() {
	path, end := m.walEnd()
	end = (end + 7) / 8 * 8 // records begin at multiples of 8
	head := binary.LittleEndian.AppendUint64(nil, 1200)
	m.overwrite(path, int64(end), append(head, rubbish(512-(end+8)%512)...))
}
