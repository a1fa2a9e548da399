//go:build e2e && linux

package hosts

import (
	"context"
	"os"
	"path/filepath"
	"sync"
)

// Binaries gives the folder that holds etcd, etcdctl and, from 3.5 on, etcdutl
// of a version ("3.6.16", or DebianVersion), from the cache or made now. It
// does not take the machine's place for hosts: it is for tests that run etcd
// themselves. Making one beside another process that makes the same fails.
func Binaries(ctx context.Context, version string) (string, error) {
	k, err := cacheOnly()
	if err != nil {
		return "", err
	}
	layer, err := k.etcd(ctx, version)
	return filepath.Join(layer, "opt/etcd"), err
}

// Root gives the root file system of the nodes, which must not be changed: lay
// an overlay over it. See Binaries.
func Root(ctx context.Context) (string, error) {
	k, err := cacheOnly()
	if err != nil {
		return "", err
	}
	base, err := k.base(ctx)
	return filepath.Join(base, "root"), err
}

// cacheOnly is a Kit that starts no hosts.
func cacheOnly() (*Kit, error) {
	if err := possible(); err != nil {
		return nil, err
	}
	user, err := os.UserCacheDir()
	if err != nil {
		user = "/var/cache" // root without a home
	}
	k := &Kit{cache: filepath.Join(user, "novatui-e2e"), making: map[string]*sync.Mutex{}}
	return k, os.MkdirAll(k.cache, 0o755)
}
