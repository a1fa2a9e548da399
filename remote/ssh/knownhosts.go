package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// maxKnownHosts bounds one known_hosts file, in bytes.
const maxKnownHosts = 32 << 20

// hostKeyDB is a set of known_hosts files. Lines that OpenSSH skips (broken
// ones, key types it does not know) are skipped here too, where the library
// would refuse the whole file.
type hostKeyDB struct {
	db *knownhosts.HostKeyDB
	// names maps a cleaned copy back to the file it was made of.
	names map[string]string
	// broken are the lines that were skipped, as file:line.
	broken []string
}

// openHostKeys reads those of the files that exist.
func openHostKeys(files []string) (*hostKeyDB, error) {
	d := &hostKeyDB{names: map[string]string{}}
	var present []string
	for _, file := range files {
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			// /dev/null is how people say "none"; a FIFO would block.
		case info.Size() > maxKnownHosts:
			return nil, fmt.Errorf("%s is larger than %d bytes", file, maxKnownHosts)
		default:
			present = append(present, file)
		}
	}
	var err error
	if d.db, err = knownhosts.NewDB(present...); err == nil {
		return d, nil
	}
	return d, d.openCleaned(present)
}

// openCleaned reads copies in which broken lines are empty, so that the line
// numbers stay.
func (d *hostKeyDB) openCleaned(files []string) error {
	dir, err := os.MkdirTemp("", "novatui-known-hosts-")
	if err != nil {
		return fmt.Errorf("cleaning known_hosts: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a folder of ours for temporary files
	var copies []string
	for i, file := range files {
		b, err := os.ReadFile(file) //nolint:gosec // the user's own file
		if err != nil {
			return fmt.Errorf("reading known_hosts: %w", err)
		}
		lines := bytes.Split(b, []byte("\n"))
		for n, line := range lines {
			if !d.readable(dir, line) {
				lines[n] = nil
				d.broken = append(d.broken, fmt.Sprintf("%s:%d", file, n+1))
			}
		}
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, bytes.Join(lines, []byte("\n")), 0o600); err != nil {
			return fmt.Errorf("cleaning known_hosts: %w", err)
		}
		d.names[name] = file
		copies = append(copies, name)
	}
	if d.db, err = knownhosts.NewDB(copies...); err != nil {
		return fmt.Errorf("reading known_hosts: %w", err)
	}
	return nil
}

// readable asks the library about one line, because only it knows what it takes.
func (d *hostKeyDB) readable(dir string, line []byte) bool {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return true
	}
	if len(line) > 60<<10 {
		return false
	}
	name := filepath.Join(dir, "line")
	if err := os.WriteFile(name, append(slices.Clone(line), '\n'), 0o600); err != nil {
		return false
	}
	_, err := xknownhosts.New(name)
	return err == nil
}

func (d *hostKeyDB) name(file string) string {
	if original, ok := d.names[file]; ok {
		return original
	}
	return file
}

func (d *hostKeyDB) check(name string, addr net.Addr, key xssh.PublicKey) error {
	return d.db.HostKeyCallback()(name, addr, key)
}

// algorithms are those of the host's known keys, in the order of the files.
func (d *hostKeyDB) algorithms(name string) []string { return d.db.HostKeyAlgorithms(name) }

// plain leaves out certificate authorities: that "@cert-authority *" is known
// says nothing about a host that shows a plain key (skeema/knownhosts#17).
func (d *hostKeyDB) plain(name string, want []xknownhosts.KnownKey) []xknownhosts.KnownKey {
	keys := d.db.HostKeys(name)
	return slices.DeleteFunc(slices.Clone(want), func(w xknownhosts.KnownKey) bool {
		return slices.ContainsFunc(keys, func(k knownhosts.PublicKey) bool {
			return k.Cert && bytes.Equal(k.Marshal(), w.Key.Marshal())
		})
	})
}

// remember appends a host key to the first known_hosts file, which is made with
// its folder when it does not exist. One line is one write, under a lock within
// the process and one on the file, so that several nodes accepted at once, also
// by several processes, leave whole lines.
func (t *Transport) remember(ctx context.Context, h host, key xssh.PublicKey) error {
	if h.writeHosts == "" {
		return errors.New("no known_hosts file is configured")
	}
	t.mu.Lock()
	local, ok := t.hostFiles[h.writeHosts]
	if !ok {
		local = new(sync.Mutex)
		t.hostFiles[h.writeHosts] = local
	}
	t.mu.Unlock()
	local.Lock()
	defer local.Unlock()
	if err := os.MkdirAll(filepath.Dir(h.writeHosts), 0o700); err != nil {
		return err
	}
	lock := flock.New(h.writeHosts, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	defer lock.Unlock() //nolint:errcheck // closing releases it in any case
	return appendLine(h, key)
}

func appendLine(h host, key xssh.PublicKey) (err error) {
	f, err := os.OpenFile(h.writeHosts, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	name := knownhosts.Normalize(h.hostKeyName())
	if strings.ContainsAny(name, " \t\n,*?!|") {
		return fmt.Errorf("%q cannot stand in known_hosts", name)
	}
	if h.hashHosts {
		name = xknownhosts.HashHostname(name)
	}
	line := name + " " + strings.TrimSpace(string(xssh.MarshalAuthorizedKey(key))) + "\n"
	last := make([]byte, 1)
	if end, err := f.Seek(0, io.SeekEnd); err == nil && end > 0 {
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	return err
}
