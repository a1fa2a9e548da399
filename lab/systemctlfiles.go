package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// files is mask, unmask, enable and disable: links in the unit folders, then
// daemon-reload, then what --now asks for. The errors of the four are the ends
// of systemctl's sentences.
func (s *systemctl) files(ctx context.Context, verb string, units []string) int {
	change := map[string]func(string) error{
		"mask": s.mask, "unmask": s.unmask, "enable": s.enable, "disable": s.disable,
	}[verb]
	code := s.each(units, func(name string) int {
		if err := change(name); err != nil {
			fmt.Fprintf(s.err, "Failed to %s unit%s\n", verb, err)
			return exitFailure
		}
		return 0
	})
	s.daemonReload()
	if code != 0 || !s.now {
		return code
	}
	then := map[string]string{"mask": "stop", "disable": "stop", "enable": "start"}[verb]
	if then == "" {
		return 0
	}
	return s.each(units, func(name string) int { return s.job(ctx, then, name) })
}

// linkFolder is where persistent or runtime links go.
func (s *systemctl) linkFolder() string {
	if s.runtime {
		return filepath.Join(s.node.Root, "run/systemd/system")
	}
	return filepath.Join(s.node.Root, "etc/systemd/system")
}

// mask links the unit to /dev/null. As in systemd 252 it fails where a unit
// file already lies in that folder; with --runtime the link is made and has no
// effect while /etc has the unit file.
func (s *systemctl) mask(name string) error {
	path := filepath.Join(s.linkFolder(), name)
	if isMask(path) {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf(", file %q already exists.", path)
	}
	return s.link("/dev/null", path)
}

func (s *systemctl) link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf(": %s", reason(err))
	}
	err := os.Symlink(target, path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf(": %s", reason(err))
	}
	if !s.quiet {
		fmt.Fprintf(s.err, "Created symlink %s → %s.\n", path, target)
	}
	return nil
}

func (s *systemctl) unlink(path string) error {
	if err := os.Remove(path); err != nil {
		return fmt.Errorf(": %s", reason(err))
	}
	if !s.quiet {
		fmt.Fprintf(s.err, "Removed %q.\n", path)
	}
	return nil
}

// unmask takes a link to /dev/null away, and nothing else.
func (s *systemctl) unmask(name string) error {
	path := filepath.Join(s.linkFolder(), name)
	if !isMask(path) {
		return nil
	}
	return s.unlink(path)
}

func (s *systemctl) enable(name string) error {
	c, err := loadUnit(s.node.Root, name)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	switch c.Load {
	case "masked":
		return fmt.Errorf(": Unit file %s is masked.", c.Fragment)
	case "not-found":
		return fmt.Errorf(": Unit file %s does not exist.", name)
	}
	for _, target := range c.WantedBy {
		path := filepath.Join(s.linkFolder(), target+".wants", name)
		if err := s.link(c.Fragment, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *systemctl) disable(name string) error {
	if c, _ := loadUnit(s.node.Root, name); c.Load == "not-found" {
		return fmt.Errorf(" file %s does not exist.", name)
	}
	links, err := filepath.Glob(filepath.Join(s.linkFolder(), "*.wants", name))
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	for _, path := range links {
		if err := s.unlink(path); err != nil {
			return err
		}
	}
	return nil
}
