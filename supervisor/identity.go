package supervisor

import (
	"os"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// credential is what a child needs to run as id; nil where that is ourselves.
func credential(id config.Identity) *process.Credential {
	if id.Own() {
		return nil
	}
	c := &process.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: id.Groups}
	if id.UID >= 0 {
		c.UID = uint32(id.UID)
	}
	if id.GID >= 0 {
		c.GID = uint32(id.GID)
	}
	return c
}
