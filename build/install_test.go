package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeUV puts a program uv on the build's PATH that writes its arguments to $PIPS.uv and does what
// is said.
func (p *project) fakeUV(t *testing.T, does string) {
	t.Helper()
	bin := filepath.Join(filepath.Dir(p.root), "bin")
	must(t, os.MkdirAll(bin, 0o755))
	must(t, writeWhole(filepath.Join(bin, "uv"), "#!/bin/sh\necho \"$@\" >>\"$PIPS.uv\"\n"+does+"\n", 0o755))
	p.Env["PATH"] = bin + ":" + os.Getenv("PATH")
	p.Env["HOME"] = t.TempDir() // without settings for pip
}

func TestUVInstallsWherePipWouldDoTheSame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		does   string
		change func(*project)
		uv     bool
		pip    int
	}{
		"it can":                  {"exit 0", func(*project) {}, true, 0},
		"it fails, pip tries":     {"exit 4", func(*project) {}, true, 1},
		"arguments for pip":       {"exit 0", func(p *project) { p.PipArgs = []string{"--no-index"} }, false, 1},
		"settings in environment": {"exit 0", func(p *project) { p.Env["PIP_INDEX_URL"] = "https://one/" }, false, 1},
		"settings in a file": {"exit 0", func(p *project) {
			must(t, os.MkdirAll(filepath.Join(p.Env["HOME"], ".pip"), 0o755))
			must(t, os.WriteFile(filepath.Join(p.Env["HOME"], ".pip/pip.conf"), nil, 0o600))
		}, false, 1},
		"settings for everybody": {"exit 0", func(p *project) { must(t, os.WriteFile(p.m.pipConf[0], nil, 0o600)) }, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.fakePip(t, "")
			p.fakeUV(t, c.does)
			p.m.pipConf = []string{filepath.Join(filepath.Dir(p.root), "pip.conf")} // this machine's may be there
			p.write(t, "requirements.txt", "# "+name+"\n")
			c.change(p)
			p.made(t)
			if got := read(t, p.Env["PIPS"]+".uv"); (got != "") != c.uv {
				t.Errorf("uv was called: %q", got)
			}
			calls := 0
			for line := range strings.Lines(read(t, p.Env["PIPS"])) {
				calls += strings.Count(line, " install ")
			}
			if calls != c.pip {
				t.Errorf("pip was called %d times, want %d", calls, c.pip)
			}
		})
	}
}
