package etcdops

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrPlatform: a way of running etcd that novatui does not know, or not yet.
var ErrPlatform = errors.New("platform not supported yet")

// Layout is how etcd is run on the nodes of a platform. Each platform that is
// supported is one entry of layouts.
type Layout struct {
	// Name is the platform of the cluster file.
	Name string
	// Title is for people.
	Title string
	// Supported says that the probe and the command builders know it.
	Supported bool
}

// layouts are all platforms of the cluster file. kubeadm (static pods,
// vendor document 003) and OpenShift (004) stop etcd by moving a manifest and
// reach its tools inside of containers; they need a probe and builders of
// their own.
var layouts = []Layout{
	{Name: "systemd", Title: "etcd as a systemd service", Supported: true},
	{Name: "kubeadm", Title: "etcd as a static pod (kubeadm)"},
	{Name: "openshift", Title: "etcd on OpenShift"},
}

// LayoutFor gives the layout of a platform; auto and empty mean systemd, the
// only one supported. Errors wrap ErrPlatform.
func LayoutFor(platform string) (Layout, error) {
	if platform == "" || platform == "auto" {
		platform = layouts[0].Name
	}
	i := slices.IndexFunc(layouts, func(l Layout) bool { return l.Name == platform })
	if i < 0 {
		var names []string
		for _, l := range layouts {
			names = append(names, l.Name)
		}
		return Layout{}, fmt.Errorf("platform %q is none of %s: %w", platform, strings.Join(names, ", "), ErrPlatform)
	}
	if !layouts[i].Supported {
		return Layout{}, fmt.Errorf("%s (%s): %w", layouts[i].Title, platform, ErrPlatform)
	}
	return layouts[i], nil
}
