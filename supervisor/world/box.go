package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// confine puts a command into a box; nil is none. done is called once it was started. Where there can
// be no box, what asks for one is not started without.
func confine(spec *process.Spec, b *build.Box) (done func(), err error) {
	if b == nil {
		return func() {}, nil
	}
	policy, err := policyOf(spec, b, nil)
	if err != nil {
		return nil, err
	}
	ruleset, err := policy.Ruleset()
	if err != nil {
		return nil, boxError(err)
	}
	enclose(spec, policy, ruleset)
	return func() { ruleset.Close() }, nil // nothing was written
}

// policyOf is what may be reached by what runs in a box. log is a file on a disk that takes its
// output, or nil.
func policyOf(spec *process.Spec, b *build.Box, log *os.File) (sandbox.Policy, error) {
	policy := sandbox.Policy{
		Read: b.Read, Write: b.Write, Private: b.Private, Connect: b.Connect, Bind: b.Bind,
		Readable: func(path string) bool { return config.Denied(path, b.As, config.Read) == "" },
		AsRoot:   b.As.UID == 0 || b.As.UID < 0 && os.Geteuid() == 0,
	}
	var err error
	if policy.Temp, err = temporary(spec, b); err != nil {
		return policy, err
	}
	if log != nil {
		policy.Log = fmt.Sprintf("/proc/self/fd/%d", log.Fd())
	}
	return policy, nil
}

func enclose(spec *process.Spec, p sandbox.Policy, ruleset *os.File) {
	spec.Box = &process.Box{Ruleset: ruleset, Filter: sandbox.Filter(p.Connect != nil || p.Bind != nil), Reopen: p.Log != ""}
}

func boxError(err error) error { return fmt.Errorf("sandbox.enabled = true: %w", err) }

// temporary returns the folder of temporary files that is the build's own, and makes one where its
// environment names none: /tmp is out of reach.
func temporary(spec *process.Spec, b *build.Box) (string, error) {
	if b.Run == "" {
		return "", nil
	}
	for _, entry := range spec.Env {
		if path, ok := strings.CutPrefix(entry, "TMPDIR="); ok {
			if rel, err := filepath.Rel(b.Run, path); err != nil || !filepath.IsLocal(rel) || rel == "." {
				path = "" // it is for `write` to open
			}
			return path, nil
		}
	}
	path := filepath.Join(b.Run, "tmp")
	err := build.MakeRun(b.Run, b.As.GID)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // nothing was built yet: it is a probe of doctor, which makes nothing
	}
	if err != nil {
		return "", err
	}
	if err := build.MakeFolder(path, 0o700, b.As.UID, b.As.GID); err != nil {
		return "", err
	}
	spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], "TMPDIR="+path)
	return path, nil
}
