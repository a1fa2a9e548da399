package etcdops

import (
	"errors"
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Deadlines of the file scripts. Copying and hashing are bounded by the speed
// of a slow disk with the 8 GiB that etcd allows a database at most.
const (
	fileTimeout = 30 * time.Second
	bulkTimeout = 30 * time.Minute
)

// AsidePath is where MoveAside puts a directory: beside it, or inside it when
// it is a mount point, which cannot be renamed.
func AsidePath(d DirFacts, tag string) string {
	if d.MountPoint {
		return path.Join(d.Actual(), asideInfix+tag)
	}
	return d.Actual() + "." + asideInfix + tag
}

// asideInfix starts the names of everything that is set aside.
const asideInfix = "novatui-"

// MoveAside renames a data or WAL directory to AsidePath. Of a mount point the
// contents are moved into a folder inside it. Refused (ExitRefused) while any
// process holds a file in it, when the target exists already beside a
// directory that is still there, and for a path that is not sane. When it was
// moved before, or there is nothing to move, it says so and changes nothing.
func (h Host) MoveAside(d DirFacts, tag string) (remote.Command, error) {
	c := h.script("move-aside.sh", remote.Change, fileTimeout,
		msg.M("command.move-aside", "path", d.Path, "aside", path.Base(AsidePath(d, tag))),
		d.Actual(), AsidePath(d, tag), flag(d.MountPoint))
	return detached(c), firstErr(h.ValidateDataDir(d.Path), h.ValidateDataDir(d.Actual()), validateTag(tag))
}

// MoveBack undoes MoveAside. Refused when something that is not empty is in
// the old place, and while any process holds a file in either.
func (h Host) MoveBack(d DirFacts, tag string) (remote.Command, error) {
	c := h.script("move-back.sh", remote.Change, fileTimeout,
		msg.M("command.move-back", "path", d.Path, "aside", path.Base(AsidePath(d, tag))),
		d.Actual(), AsidePath(d, tag), flag(d.MountPoint))
	return detached(c), firstErr(h.ValidateDataDir(d.Path), h.ValidateDataDir(d.Actual()), validateTag(tag))
}

// MakeDir makes a directory with owner, group, mode and SELinux label, or
// gives them to one that is there already and empty. Refused for one that is
// not empty.
func (h Host) MakeDir(dir string, o Owner) (remote.Command, error) {
	c := h.script("make-dir.sh", remote.Change, fileTimeout, msg.M("command.make-dir", "path", dir),
		dir, o.User, o.Group, o.Mode, o.SELinux)
	return c, firstErr(h.ValidateDataDir(dir), validateOwner(o))
}

// MakeRunDir makes the run folder, readable by its owner alone.
func (h Host) MakeRunDir(tag string) (remote.Command, error) {
	dir := h.RunDir(tag)
	c := h.script("make-run-dir.sh", remote.Change, fileTimeout, msg.M("command.make-run-dir", "path", dir), dir)
	return c, firstErr(validateTag(tag), validatePath(dir))
}

// SetEnv sets variables in the env file and keeps everything else in it:
// comments, order, other variables, owner, mode, label. The file as it was is
// kept as FILE.novatui-TAG (once: a second SetEnv of the same tag does not
// overwrite it). The new file replaces the old one in one step. Nothing is
// written when the file says all of it already. Values may hold slots.
func (h Host) SetEnv(values map[string]string, tag string) (remote.Command, error) {
	args, err := envArgs(values)
	c := h.script("set-env.sh", remote.Change, fileTimeout,
		msg.M("command.set-env", "path", h.EnvFile(), "values", strings.Join(args, " ")),
		append([]string{"set", h.EnvFile(), tag}, args...)...)
	return c, firstErr(err, validateTag(tag), validatePath(h.EnvFile()))
}

// CheckEnv asks whether the env file says all of this already: exit status 0,
// or ExitDiffers. It prints no value.
func (h Host) CheckEnv(values map[string]string) (remote.Command, error) {
	args, err := envArgs(values)
	c := h.script("set-env.sh", remote.Read, fileTimeout,
		msg.M("command.check-env", "path", h.EnvFile(), "values", strings.Join(args, " ")),
		append([]string{"check", h.EnvFile(), "-"}, args...)...)
	return c, firstErr(err, validatePath(h.EnvFile()))
}

func envArgs(values map[string]string) ([]string, error) {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	args := make([]string, 0, len(names))
	for _, name := range names {
		if !validEnvName(name) {
			return nil, fmt.Errorf("%q is not a variable's name", name)
		}
		if strings.ContainsFunc(values[name], unicode.IsControl) {
			return nil, fmt.Errorf("the value of %s holds control characters", name)
		}
		args = append(args, name+"="+values[name])
	}
	if len(args) == 0 {
		return nil, errors.New("no variable to set")
	}
	return args, nil
}

// PutFile stores standard input (Streams.Stdin) as a new file, readable by its
// owner alone: first as PATH.part, synced, then size and sha256 are compared,
// then it is renamed. Refused when PATH exists with other content; with the
// same content nothing is changed. size (bytes, decimal) and sum may be slots.
func (h Host) PutFile(file, size, sum string) (remote.Command, error) {
	c := h.script("put-file.sh", remote.Change, bulkTimeout, msg.M("command.put-file", "path", file), file, size, sum)
	err := firstErr(validatePath(file), validateSHA256(sum))
	if n, parseErr := strconv.ParseInt(size, 10, 64); err == nil && !isSlot(size) && (parseErr != nil || n < 0) {
		err = fmt.Errorf("%q is not a size in bytes", size)
	}
	return c, err
}

// CatFile writes a file to standard output; give Streams.Stdout for anything
// large.
func (h Host) CatFile(file string) (remote.Command, error) {
	return remote.Command{
		Argv: []string{"cat", "--", file}, Effect: remote.Read, Timeout: bulkTimeout, Quiet: true,
	}, validatePath(file)
}

// FileSHA256 tells size and sha256 of files; ParseSums reads the answer. A
// file that is not there is absent from it.
func (h Host) FileSHA256(files ...string) (remote.Command, error) {
	c := h.script("sums.sh", remote.Read, bulkTimeout, msg.M("command.sums", "path", strings.Join(files, " ")), files...)
	return c, validatePaths(files)
}

// Unpack extracts the one *.db file of a .tar.gz into dest. Refused: an
// archive with a second file, a link, a device, an absolute name or a name
// with "..", and content beyond maxBytes. Nothing in the archive chooses where
// it is written. With sum, the sha256 that the content should have, a dest that
// has other content is renamed to ….failed-N first: nothing is forced onto the
// disk, and the power may have failed. With sum empty a dest that is there is
// left alone and compared by size only. What was unpacked is not compared: give
// Restore.Sum.
func (h Host) Unpack(archive, dest string, maxBytes int64, sum string) (remote.Command, error) {
	c, err := h.unpack(archive, dest, maxBytes, sum, msg.M("command.unpack", "path", archive))
	return detached(c), firstErr(validatePath(archive), err)
}

// UnpackReceived is Unpack of an archive that arrives on standard input
// (Streams.Stdin). sum is a must here.
func (h Host) UnpackReceived(dest string, maxBytes int64, sum string) (remote.Command, error) {
	c, err := h.unpack("-", dest, maxBytes, sum, msg.M("command.unpack-received", "path", dest))
	return c, firstErr(err, validateSHA256(sum))
}

func (h Host) unpack(archive, dest string, maxBytes int64, sum string, brief msg.Msg) (remote.Command, error) {
	c := h.script("unpack.sh", remote.Change, bulkTimeout, brief, archive, dest, strconv.FormatInt(maxBytes, 10), sum)
	err := validatePath(dest)
	if err == nil && sum != "" {
		err = validateSHA256(sum)
	}
	if err == nil && maxBytes <= 0 {
		err = errors.New("no size limit for unpacking")
	}
	return c, err
}

// CheckSnapshot computes what etcdutl snapshot status does not: whether the
// hash at the end of the file is there (size % 512 == 32) and right. With it
// come size and sha256 of the file. ParseCheckSnapshot reads the answer.
func (h Host) CheckSnapshot(file string) (remote.Command, error) {
	c := h.script("check-snapshot.sh", remote.Read, bulkTimeout, msg.M("command.check-snapshot", "path", file), file)
	return c, validatePath(file)
}

// Stat describes paths without changing anything: what Probe and Verify of a
// step look at. ParseStat reads the answer. What does not exist is described
// by the file system that it would be made in.
func (h Host) Stat(paths ...string) (remote.Command, error) {
	c := h.script("stat.sh", remote.Read, fileTimeout, msg.M("command.stat", "path", strings.Join(paths, " ")), paths...)
	return c, validatePaths(paths)
}

// ProveStopped proves that etcd is down on the node: the unit inactive or
// failed, nothing listening on the ports of its env file, and no process with
// a file open below its data or WAL directory. Exit status 0, or ExitDiffers
// with the reasons on stdout; any other status means "could not be proved".
func (h Host) ProveStopped() (remote.Command, error) {
	args := []string{h.Unit()}
	var err error
	for _, p := range h.Facts.Env.listenPorts() {
		args = append(args, "port:"+strconv.Itoa(p.Port))
	}
	for _, d := range h.StateDirs() {
		if d.Path == "" {
			continue
		}
		args = append(args, "dir:"+d.Actual())
		err = firstErr(err, validatePath(d.Actual()))
	}
	c := h.script("prove-stopped.sh", remote.Read, fileTimeout, msg.M("command.prove-stopped"), args...)
	return c, err
}

// ValidateDataDir is the package's ValidateDataDir for a path of this node,
// applied below its Root as well.
func (h Host) ValidateDataDir(p string) error {
	if err := ValidateDataDir(p); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(p, h.Facts.Root+"/"); ok && h.Facts.Root != "" {
		return ValidateDataDir("/" + rest)
	}
	return nil
}

func validatePaths(paths []string) error {
	if len(paths) == 0 {
		return errors.New("no path")
	}
	for _, p := range paths {
		if err := validatePath(p); err != nil {
			return err
		}
	}
	return nil
}

func validateOwner(o Owner) error {
	for _, name := range []string{o.User, o.Group} {
		if name == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, ": /\n") {
			return fmt.Errorf("%q cannot be an owner or group", name)
		}
	}
	if n, err := strconv.ParseUint(o.Mode, 8, 32); err != nil || n > 0o7777 {
		return fmt.Errorf("%q is not an octal mode", o.Mode)
	}
	if strings.ContainsAny(o.SELinux, " \n") {
		return fmt.Errorf("%q is not an SELinux label", o.SELinux)
	}
	return nil
}

func validEnvName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
