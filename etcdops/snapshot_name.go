package etcdops

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// SnapshotName is what the vendor's name of a snapshot says.
type SnapshotName struct {
	NovaVersion       string // "5.1.1"
	KubernetesVersion string // "1.27.11"
	// TakenAt is without a zone in the name; it is read as UTC.
	TakenAt time.Time
	Archive bool
}

// vendorName is the form that the vendor documents show (000 §4, 001 §2), as
// in etcd_snapshot_nova-v5.1.1_k8s-v1.27.11_2024-06-14_081538.db.tar.gz.
var vendorName = regexp.MustCompile(
	`^etcd_snapshot_nova-v?([0-9][0-9A-Za-z.+-]*)_k8s-v?([0-9][0-9A-Za-z.+-]*)_` +
		`([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{6})\.db(\.tar\.gz)?$`)

const vendorTime = "2006-01-02 150405"

// ParseSnapshotName reads a file's name (without folders); ok is false when it
// is not of the vendor's form.
func ParseSnapshotName(name string) (s SnapshotName, ok bool) {
	m := vendorName.FindStringSubmatch(name)
	if m == nil {
		return SnapshotName{}, false
	}
	t, err := time.Parse(vendorTime, m[3]+" "+m[4])
	if err != nil {
		return SnapshotName{}, false
	}
	return SnapshotName{NovaVersion: m[1], KubernetesVersion: m[2], TakenAt: t, Archive: m[5] != ""}, true
}

// String writes the name in the vendor's form. A version that is not known is
// written as 0.0.0, which no release has.
func (s SnapshotName) String() string {
	version := func(v string) string { return "v" + firstOf(strings.TrimPrefix(v, "v"), "0.0.0") }
	name := fmt.Sprintf("etcd_snapshot_nova-%s_k8s-%s_%s.db", version(s.NovaVersion),
		version(s.KubernetesVersion), s.TakenAt.Format("2006-01-02_150405"))
	if s.Archive {
		name += ".tar.gz"
	}
	return name
}
