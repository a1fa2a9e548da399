// Command novatui is the wizard that repairs a broken etcd under Kubernetes,
// with a headless command for everything that the wizard does. This package
// only wires the others together: it reads flags and files, opens a session,
// prints, and turns errors into exit statuses.
package main

import (
	"os"

	"github.com/novatui/novatui/lab"
)

func main() {
	// The lab's etcd, etcdctl, systemctl, … are this program under other names.
	if code, played := lab.Dispatch(os.Args); played {
		os.Exit(code)
	}
	os.Exit(mainStatus())
}

// mainStatus is main without the exit, so that tests can run the very same
// program under another name.
func mainStatus() int {
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		env: os.Environ(),
	}
	return p.run(os.Args[1:])
}
