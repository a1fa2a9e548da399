//go:build e2e && linux

package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// DebianVersion is how Options names the etcd that Debian ships.
const DebianVersion = "3.4"

// release is the Debian of the hosts. Its etcd is the last 3.4 of any Debian.
const release = "bookworm"

// rootPackages are in the root file system besides the smallest Debian.
const rootPackages = "systemd,systemd-sysv,dbus,openssh-server,iproute2,procps,tar,gzip,sudo,ca-certificates"

// furnish turns a bare Debian into the nodes' root file system: no identity
// shared by all nodes, a journal that survives a reboot, and Debian's etcd and
// libfaketime unpacked beside it (not installed).
const furnish = `set -eu
root=$1 debs=$2 layer=$3
mkdir -p "$root/var/log/journal" "$debs" "$layer/opt/etcd"
chroot "$root" sh -c 'apt-get update -q && cd /var/tmp && apt-get download -q etcd-server etcd-client libfaketime'
for deb in "$root"/var/tmp/*.deb; do dpkg -x "$deb" "$debs"; rm "$deb"; done
cp "$debs/usr/bin/etcd" "$debs/usr/bin/etcdctl" "$layer/opt/etcd/"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id
rm -f "$root"/etc/resolv.conf
: > "$root/etc/machine-id"
rm -f "$root"/etc/systemd/system/timers.target.wants/*
`

// buildEtcd builds the three programs of one etcd version in a module of its
// own: "go install …@version" refuses etcd's replace directives.
const buildEtcd = `set -eu
version=$1 out=$2/opt/etcd
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
go mod init novatui.invalid/etcd
go get -tool "go.etcd.io/etcd/server/v3@v$version" "go.etcd.io/etcd/etcdctl/v3@v$version" "go.etcd.io/etcd/etcdutl/v3@v$version"
go build -trimpath -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3
go build -trimpath -ldflags '-s -w' -o "$out/etcdctl" go.etcd.io/etcd/etcdctl/v3
go build -trimpath -ldflags '-s -w' -o "$out/etcdutl" go.etcd.io/etcd/etcdutl/v3
`

// base gives the folder with the nodes' root file system (root), the unpacked
// packages (debian) and the layer of Debian's own etcd (etcd).
func (k *Kit) base(ctx context.Context) (string, error) {
	recipe := release + rootPackages + furnish
	return k.cached(ctx, "debian-"+release, recipe, func(ctx context.Context, dir string) error {
		root := filepath.Join(dir, "root")
		err := run(ctx, "debootstrap", "--variant=minbase", "--include="+rootPackages, release, root)
		if err != nil {
			return err
		}
		return run(ctx, "sh", "-c", furnish, "furnish", root, filepath.Join(dir, "debian"), filepath.Join(dir, "etcd"))
	})
}

// etcd gives the layer (a folder to lay over the root file system) whose
// /opt/etcd holds etcd, etcdctl and, from 3.5 on, etcdutl of a version,
// "3.6.16"; DebianVersion is Debian's.
func (k *Kit) etcd(ctx context.Context, version string) (string, error) {
	if version == DebianVersion {
		base, err := k.base(ctx)
		return filepath.Join(base, "etcd"), err
	}
	return k.cached(ctx, "etcd-"+version, buildEtcd+version+runtime.Version()+runtime.GOARCH, func(ctx context.Context, dir string) error {
		return run(ctx, "sh", "-c", buildEtcd, "build", version, dir)
	})
}

// cached gives the folder of a thing, made from its recipe when it is not
// there. It is made in a folder of another name and renamed when it is whole,
// so that what an interrupted run leaves is never used.
func (k *Kit) cached(ctx context.Context, name, recipe string, make func(context.Context, string) error) (string, error) {
	sum := sha256.Sum256([]byte(recipe))
	dir := filepath.Join(k.cache, name+"-"+hex.EncodeToString(sum[:6]))
	lock := k.one(dir)
	lock.Lock()
	defer lock.Unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	old, err := filepath.Glob(filepath.Join(k.cache, ".making-"+name+"-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := discard(o); err != nil {
			return "", err
		}
	}
	half, err := os.MkdirTemp(k.cache, ".making-"+name+"-")
	if err != nil {
		return "", err
	}
	if err = os.Chmod(half, 0o755); err == nil {
		err = make(ctx, half)
	}
	if err == nil {
		err = os.Rename(half, dir)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("making %s: %w", name, err), discard(half))
	}
	return dir, nil
}

// discard removes a folder of ours in which a chroot may have left mounts.
func discard(dir string) error {
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// unmountBelow unmounts everything at and below a folder, the last first.
func unmountBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	var errs []error
	for i := len(lines) - 1; i >= 0; i-- {
		f := strings.Fields(lines[i])
		if len(f) < 5 || f[4] != dir && !strings.HasPrefix(f[4], dir+"/") {
			continue
		}
		if exec.Command("umount", f[4]).Run() != nil {
			errs = append(errs, quiet(exec.Command("umount", "--lazy", f[4])))
		}
	}
	return errors.Join(errs...)
}
