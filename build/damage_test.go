package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDamagedEnvironmentIsMadeAgainBesideWhatServes(t *testing.T) {
	t.Parallel()
	const installs = `demo="$VIRTUAL_ENV/lib/demo"; mkdir -p "$demo"; echo 'a = 1' >"$demo/__init__.py"; echo '#!/bin/sh' >"$VIRTUAL_ENV/bin/demo"; chmod +x "$VIRTUAL_ENV/bin/demo"`
	chmod := func(rel string, mode os.FileMode) func(string) error {
		return func(venv string) error { return os.Chmod(filepath.Join(venv, rel), mode) }
	}
	for name, c := range map[string]struct {
		harm  func(venv string) error
		whole bool // it is used as before
	}{
		"a file is gone":         {harm: func(venv string) error { return os.Remove(filepath.Join(venv, "lib/demo/__init__.py")) }},
		"a folder is gone":       {harm: func(venv string) error { return os.RemoveAll(filepath.Join(venv, "lib/demo")) }},
		"a file is cut off":      {harm: func(venv string) error { return os.Truncate(filepath.Join(venv, "lib/demo/__init__.py"), 1) }},
		"nobody may enter bin":   {harm: chmod("bin", 0)},
		"nobody may read lib":    {harm: chmod("lib", 0o100)},
		"a file deep inside":     {harm: chmod("lib/demo/__init__.py", 0)},
		"a program is none":      {harm: chmod("bin/demo", 0o640)},
		"a link leads elsewhere": {harm: func(venv string) error { return os.Symlink("nowhere", filepath.Join(venv, "lib", "more")) }},
		"bytecode is written": {whole: true, harm: func(venv string) error {
			cache := filepath.Join(venv, "lib", "demo", "__pycache__")
			if err := os.Mkdir(cache, 0o750); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(cache, "x.cpython-311.pyc"), nil, 0o640)
		}},
		"others may read more": {whole: true, harm: chmod("lib/demo/__init__.py", 0o644)},
		"nothing":              {whole: true, harm: func(string) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			p.fakePip(t, installs)
			first := p.made(t)
			must(t, c.harm(first.Venv))
			t.Cleanup(func() {
				for _, rel := range []string{"bin", "lib"} {
					_ = os.Chmod(filepath.Join(first.Venv, rel), 0o700) // for the removal
				}
			})
			var because []string
			r := p.request()
			r.Because = func(what []string) { because = what }
			rel, fresh, err := p.m.Make(t.Context(), r)
			if err != nil || fresh == c.whole {
				t.Fatalf("another release: %v, want %v; error %v", fresh, !c.whole, err)
			}
			if c.whole {
				return
			}
			if rel.VenvID == first.VenvID || !exists(first.Venv) {
				t.Errorf("the environment of what serves was replaced: %s", rel.Venv)
			}
			if why := strings.Join(because, ", "); !strings.Contains(why, first.Venv) {
				t.Errorf("it was made because %q", why)
			}
			if _, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh {
				t.Errorf("once more: another release %v, error %v", fresh, err)
			}
		})
	}
}

// An attempt that fails and is repeated does not install everything once more.
func TestEnvironmentInThePlaceOfADamagedOneIsKept(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "if on('check') and os.path.exists(os.environ['MEDCTRL_DATA'] + '/fail'): open('/nowhere')\n")
	p.fakePip(t, `touch "$VIRTUAL_ENV/lib/demo.py"`)
	first := p.made(t)
	must(t, os.Remove(filepath.Join(first.Venv, "lib", "demo.py")))
	must(t, os.WriteFile(filepath.Join(p.data(), "fail"), nil, 0o644))
	p.failed(t)
	must(t, os.Remove(filepath.Join(p.data(), "fail")))
	installed := len(p.pips(t))
	p.made(t)
	if n := len(p.pips(t)); n != installed {
		t.Errorf("pip ran %d times more", n-installed)
	}
}
