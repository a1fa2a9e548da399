package etcdops

import (
	"slices"
	"strconv"
	"strings"

	"github.com/novatui/novatui/remote"
)

// parseProcesses reads the etcd processes: "process=PID STAT" and one line
// arg=… for each argument, or args=… with all of them.
func parseProcesses(text []byte) []ProcessFacts {
	var all []ProcessFacts
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "process":
			pid, stat, _ := strings.Cut(value, " ")
			n, err := strconv.Atoi(pid)
			if err == nil && len(all) < 100 {
				all = append(all, ProcessFacts{PID: n, StoppedState: strings.HasPrefix(stat, "T") || strings.HasPrefix(stat, "t")})
			}
		case "arg", "args":
			if len(all) == 0 {
				continue
			}
			p := &all[len(all)-1]
			args := []string{value}
			if key == "args" {
				args = strings.Fields(value)
			}
			for _, a := range args {
				if len(p.Argv) < 200 {
					p.Argv = append(p.Argv, clip(remote.Clean(maskArg(a))))
				}
			}
		}
	}
	return slices.DeleteFunc(all, func(p ProcessFacts) bool { return len(p.Argv) == 0 })
}

// ownProcesses leaves out what is not a member of this node: the etcd that the
// probe itself asks for its version meanwhile, and, on a node with a Root, what
// runs for another node of the lab on the same machine (only what names a path
// below the Root belongs to it).
func ownProcesses(all []ProcessFacts, root string) []ProcessFacts {
	return slices.DeleteFunc(all, func(p ProcessFacts) bool {
		if len(p.Argv) == 2 && p.Argv[1] == "--version" {
			return true
		}
		return root != "" && !slices.ContainsFunc(p.Argv, func(a string) bool { return strings.Contains(a, root+"/") })
	})
}

// maskArg hides the value of an option that is a password.
func maskArg(a string) string {
	name, _, ok := strings.Cut(a, "=")
	if ok && strings.HasPrefix(name, "-") && strings.Contains(name, "password") {
		return name + "=" + Masked
	}
	return a
}

// parsePorts finds out which of the wanted ports somebody listens on, in lines
// "ADDRESS:PORT [process]".
func parsePorts(text []byte, wanted []PortFact) []PortFact {
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil // nobody could tell; that is not the same as "closed"
	}
	for line := range strings.Lines(string(text)) {
		addr, process, _ := strings.Cut(strings.TrimSpace(line), " ")
		port, err := strconv.Atoi(addr[strings.LastIndex(addr, ":")+1:])
		if err != nil {
			continue
		}
		for i := range wanted {
			if w := &wanted[i]; w.Port == port {
				w.Listening = true
				w.Process, w.PID = parseListener(process)
			}
		}
	}
	return wanted
}

// parseListener reads users:(("etcd",pid=42,fd=3)) of ss, or etcd,pid=42, of
// our own.
func parseListener(s string) (name string, pid int) {
	if _, rest, ok := strings.Cut(s, "pid="); ok {
		digits := rest[:strings.IndexFunc(rest+",", func(r rune) bool { return r < '0' || r > '9' })]
		pid, _ = strconv.Atoi(digits)
	}
	s = strings.TrimPrefix(s, `users:((`)
	name, _, _ = strings.Cut(strings.TrimPrefix(s, `"`), ",")
	return remote.Clean(strings.TrimSuffix(name, `"`)), pid
}
