package world

import (
	"fmt"
	"os"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// box makes the box of a command or server; nil for nil. log is a file on a disk that takes its
// output, or nil. done is called once it was started. Where there can be no box, what asks for one is
// not started without.
func box(b *build.Box, log *os.File) (_ *process.Box, done func(), err error) {
	if b == nil {
		return nil, func() {}, nil
	}
	policy := sandbox.Policy{
		Read: b.Read, Write: b.Write, Private: b.Private, Connect: b.Connect, Bind: b.Bind,
		Readable: func(path string) bool { return config.Denied(path, b.As, config.Read) == "" },
		AsRoot:   b.As.UID == 0 || b.As.UID < 0 && os.Geteuid() == 0,
	}
	if log != nil {
		policy.Log = fmt.Sprintf("/proc/self/fd/%d", log.Fd())
	}
	ruleset, err := policy.Ruleset()
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox.enabled = true: %w", err)
	}
	return &process.Box{
		Ruleset: ruleset, Filter: sandbox.Filter(b.Connect != nil || b.Bind != nil), Reopen: log != nil,
	}, func() { ruleset.Close() }, nil // nothing was written
}
