package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPackageCannotSayThatItsEnvironmentIsComplete(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	// Whatever earlier versions, or this one, may have written there, and then a failure.
	p.fakePip(t, `echo gunicorn >"$VIRTUAL_ENV/.medctrl-complete"; echo '{"complete": true, "gunicorn": true}' >"$VIRTUAL_ENV/record.json"; exit 7`)
	p.failed(t)
	p.clean(t)
	// Nor where the attempt is killed before it can clean up.
	j, err := p.m.prepare(t.Context(), p.request())
	must(t, err)
	must(t, j.folders())
	must(t, writeEnvironmentRecord(j.venv, environmentRecord{}))
	must(t, os.MkdirAll(filepath.Join(j.venv, "bin"), 0o750))
	for name, text := range map[string]string{oldMark: oldMarkGunicorn, "bin/python": "", "record.json": `{"complete": true}`} {
		must(t, os.WriteFile(filepath.Join(j.venv, name), []byte(text), 0o640))
	}
	if complete(j.venv) || usable(j.venv) || hasGunicorn(j.venv) {
		t.Error("an environment is complete because something in it says so")
	}
	p.Env["ON_PIP"] = ""
	if p.made(t); len(p.pips(t)) != 2 {
		t.Errorf("pip ran %q", p.pips(t))
	}
}

func TestEnvironmentOfAnEarlierVersionIsUsed(t *testing.T) {
	t.Parallel()
	all := t.TempDir()
	venv := filepath.Join(all, venvA)
	must(t, os.Mkdir(venv, 0o750))
	if complete(venv) {
		t.Error("an environment without a mark is complete")
	}
	mark := filepath.Join(venv, oldMark)
	must(t, os.WriteFile(mark, []byte(oldMarkGunicorn), 0o640))
	if !complete(venv) || !hasGunicorn(venv) {
		t.Error("an environment that an earlier version marked is made again")
	}
	must(t, os.Link(mark, filepath.Join(all, "other")))
	if complete(venv) {
		t.Error("a second name of another file counts as a mark")
	}
	must(t, os.Remove(filepath.Join(all, "other")))
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to the build's user")
	}
	for _, path := range []string{mark, venv} {
		must(t, os.Chown(path, 65001, 65001))
		if complete(venv) {
			t.Errorf("the mark counts although %s is the build user's", path)
		}
		must(t, os.Chown(path, 0, 0))
	}
}
