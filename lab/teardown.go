package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// takeDown ends every process and takes the lab's files away. It works on a lab
// that is half built, too.
func (s *supervisor) takeDown() {
	s.down()
	if s.control != nil {
		_ = s.control.listener.Close()
		if s.control.cancel != nil {
			s.control.cancel()
		}
	}
	var closing sync.WaitGroup
	for _, n := range s.nodes {
		closing.Add(1)
		go func() {
			defer closing.Done()
			defer s.recovered("taking down")
			n.etcd().close()
		}()
	}
	for _, server := range s.servers {
		closing.Add(1)
		go func() {
			defer closing.Done()
			defer s.recovered("taking down")
			server.close()
		}()
	}
	closing.Wait()
	s.wg.Wait()
	if s.lifeline != nil {
		_ = s.lifeline.Close()
	}
	except := []int{os.Getpid()}
	if s.guard != nil {
		except = append(except, s.guard.cmd.Process.Pid)
	}
	killLab(s.Dir, except...)
	if err := removeLab(s.Dir, s.Created); err != nil {
		s.logf("%v", err)
	}
	if s.guard != nil {
		s.guard.dismiss()
	}
}

// removeLab takes a lab's files away: the whole folder when Up had made it,
// otherwise only what Up put there.
func removeLab(dir string, created bool) error {
	var errs []error
	if created {
		errs = append(errs, os.RemoveAll(dir))
	} else {
		names := []string{fileCluster, fileKnownHosts, fileKey, fileKey + ".pub"}
		nodes, err := filepath.Glob(filepath.Join(dir, "master-*"))
		errs = append(errs, err)
		for _, n := range nodes {
			names = append(names, filepath.Base(n))
		}
		for _, name := range append(names, dirState) { // last: it says whose the rest is
			errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the lab's files: %w", err)
	}
	return nil
}
