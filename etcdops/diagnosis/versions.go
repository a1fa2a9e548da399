package diagnosis

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// release is a version of etcd: major, minor, patch.
type release [3]int

func (r release) known() bool { return r[0] > 0 }

func (r release) compare(o release) int {
	for i := range r {
		if r[i] != o[i] {
			return r[i] - o[i]
		}
	}
	return 0
}

// parseRelease reads 3.5.1, v3.5.1, 3.5.1-0, 3.5.
func parseRelease(s string) (release, error) {
	var r release
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	if cut := strings.IndexAny(s, "-+ "); cut >= 0 {
		s = s[:cut]
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return release{}, fmt.Errorf("version %q", s)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return release{}, fmt.Errorf("version %q: %w", s, err)
		}
		if n < 0 || n > 1_000_000 {
			return release{}, fmt.Errorf("version %q", s)
		}
		r[i] = n
	}
	return r, nil
}

// span is a range of releases, both ends in it.
type span struct{ from, to release }

func (s span) has(r release) bool { return r.compare(s.from) >= 0 && r.compare(s.to) <= 0 }

// parseRange reads "3.5.0-3.5.2" or one version.
func parseRange(s string) (span, error) {
	from, to, two := strings.Cut(s, "-")
	if !two {
		to = from
	}
	a, err := parseRelease(from)
	if err != nil {
		return span{}, err
	}
	b, err := parseRelease(to)
	return span{a, b}, err
}

// saidVersion finds the version with which an etcd introduces itself.
var saidVersion = regexp.MustCompile(`(?i)(?:etcd version: |"etcd-version":"|starting server\.\.\. \[version: |"local-server-version":"|server-version: )v?([0-9]+\.[0-9]+\.[0-9]+)`)

// IsVersion reports whether a text names a release, such as 3.5.9 or v3.6.
func IsVersion(s string) bool {
	_, err := parseRelease(s)
	return err == nil
}
