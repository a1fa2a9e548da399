package etcdops

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ErrInsanePath: a path that no command of ours may be pointed at (guard
// data-dir-sane).
var ErrInsanePath = errors.New("not a sane data directory")

// systemDirs are folders that are never a data directory. What lies directly
// in / is refused by depth.
var systemDirs = []string{
	"/var/lib", "/var/log", "/var/run", "/var/tmp", "/var/cache", "/var/spool", "/var/opt", "/var/mail",
	"/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local", "/usr/sbin", "/usr/share", "/usr/src",
	"/etc/kubernetes", "/etc/systemd", "/etc/ssl", "/etc/pki", "/etc/etcd",
	"/run/systemd", "/dev/shm", "/lib/modules", "/opt/etcd", "/boot/efi",
	"/var/lib/novatui", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/var/lib/systemd",
	"/private/var", "/private/tmp", "/private/etc", "/Users/Shared", "/System/Volumes",
}

// systemTrees are trees in which no data directory ever lies.
var systemTrees = []string{
	"/proc", "/sys", "/dev", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc", "/run", "/System",
}

// ValidateDataDir reports why a path cannot be a data or WAL directory that
// novatui would move aside: not absolute, not clean, control characters, a
// folder of the system, fewer than two levels deep. Errors wrap
// ErrInsanePath.
func ValidateDataDir(p string) error {
	if err := validatePath(p); err != nil {
		return fmt.Errorf("%w: %w", ErrInsanePath, err)
	}
	if strings.Count(p, "/") < 2 {
		return fmt.Errorf("%w: %q is too close to the root of the file system", ErrInsanePath, p)
	}
	// /home/USER is somebody's home, /home/USER/etcd is not.
	parent := path.Dir(p)
	if parent == "/home" || parent == "/Users" {
		return fmt.Errorf("%w: %q is a home directory", ErrInsanePath, p)
	}
	if slices.Contains(systemDirs, p) || slices.ContainsFunc(systemTrees, func(t string) bool {
		return strings.HasPrefix(p, t+"/")
	}) {
		return fmt.Errorf("%w: %q belongs to the system", ErrInsanePath, p)
	}
	return nil
}

// validatePath checks what every path on an argument list must be: absolute,
// clean, without control characters, shorter than PATH_MAX, and not a slot's
// work (slots never stand in paths).
func validatePath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case !path.IsAbs(p):
		return fmt.Errorf("%q is not absolute", p)
	case path.Clean(p) != p:
		return fmt.Errorf("%q is not in its simplest form (%q)", p, path.Clean(p))
	case strings.ContainsFunc(p, unicode.IsControl):
		return fmt.Errorf("%q holds control characters", p)
	case len(p) > 4000:
		return errors.New("the path is longer than 4000 bytes")
	case isSlot(p):
		return fmt.Errorf("%q holds a slot", p)
	}
	return nil
}

// validateTag checks a plan's tag, which becomes part of file names.
func validateTag(tag string) error {
	ok := tag != "" && len(tag) <= 64 && strings.IndexFunc(tag, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	}) < 0
	if !ok {
		return fmt.Errorf("%q cannot be a tag: letters, digits, - and _ only", tag)
	}
	return nil
}

// validateMemberID checks a member's id: hexadecimal, or a slot.
func validateMemberID(id string) error {
	if isSlot(id) {
		return nil
	}
	if n, err := strconv.ParseUint(id, 16, 64); err != nil || n == 0 {
		return fmt.Errorf("%q is not a member id", id)
	}
	return nil
}

// validateMemberName checks a member's name as it may stand in an initial
// cluster: no comma, no equals sign, no control character.
func validateMemberName(name string) error {
	if name == "" || strings.ContainsAny(name, ",=") || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%q cannot be a member's name", name)
	}
	return nil
}

// validateURLs checks client or peer URLs: http or https with a host and a
// port and nothing else, as etcd demands (client/pkg/types.NewURLs).
func validateURLs(urls []string) error {
	if len(urls) == 0 {
		return errors.New("no URL")
	}
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil {
			return fmt.Errorf("URL %q: %w", s, err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" ||
			strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || strings.Contains(s, ",") {
			return fmt.Errorf("URL %q is not scheme://host:port", s)
		}
	}
	return nil
}

// validateSHA256 checks a sha256 sum in hexadecimal, or a slot.
func validateSHA256(sum string) error {
	if isSlot(sum) {
		return nil
	}
	if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is not a sha256 sum in lower-case hexadecimal", sum)
	}
	return nil
}
