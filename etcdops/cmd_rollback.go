package etcdops

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// EnvBack puts the env file back as SetEnv kept it under a tag (in
// FILE.novatui-TAG, which stays); the file that it replaces stays as
// FILE.novatui-KEEP. Nothing to put back is no error, so whether the file is as
// it was must be proved by its sum.
func (h Host) EnvBack(tag, keep string) (remote.Command, error) {
	c := h.script("env-back.sh", remote.Change, fileTimeout,
		msg.M("command.restore-env", "path", h.EnvFile()), h.EnvFile(), tag, keep)
	return c, firstErr(validateTag(tag), validateTag(keep), validatePath(h.EnvFile()))
}
