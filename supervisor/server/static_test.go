package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestServerIsToldWhereItsStaticFilesAre(t *testing.T) {
	p := place()
	told := func(l *Launch) []string {
		return slices.DeleteFunc(slices.Clone(l.Env), func(e string) bool { return !strings.HasPrefix(e, "MEDCTRL_STATIC=") })
	}
	if got := told(prepared(entry(), nil, p, config.Identity{})); len(got) > 0 {
		t.Errorf("a release without any: %q", got)
	}
	p.Release.StaticRoot = "/var/www/static"
	want := []string{"MEDCTRL_STATIC=" + p.Release.Dir + "/static-collected"}
	if got := told(prepared(entry(), nil, p, config.Identity{})); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// fakeDjango is as much of Django as settings need.
const fakeDjango = `class Settings:
    def __init__(self, module):
        self.STATIC_ROOT = "/var/www/static"
        self.STORAGES = {"staticfiles": {"OPTIONS": {"location": "/var/www/static"}}}
`

func TestApplicationReadsTheStaticFilesOfItsRelease(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	dir := t.TempDir()
	for path, text := range map[string]string{"django/__init__.py": "", "django/conf.py": fakeDjango, "gunicorn.conf.py": confConstant} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const after = `import sys
%s
exec(compile(open("gunicorn.conf.py").read(), "conf", "exec"))
from django.conf import Settings
s = Settings("module")
print(s.STATIC_ROOT, s.STORAGES["staticfiles"]["OPTIONS"]["location"], [f for f in sys.meta_path if "Finder" in type(f).__name__ and type(f).__module__ == "__main__"])`
	for name, c := range map[string]struct{ before, static, want string }{
		"loaded later":     {"", "/own", "/own /own []"},
		"loaded already":   {"import django.conf", "/own", "/own /own []"},
		"nothing gathered": {"", "", "/var/www/static /var/www/static []"},
	} {
		cmd := exec.Command(python, "-c", fmt.Sprintf(after, c.before))
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "MEDCTRL_STATIC="+c.static, "PYTHONPATH="+dir)
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	cmd := exec.Command(python, "-c", `exec(compile(open("gunicorn.conf.py").read(), "conf", "exec"))
import json, email
try: import django.conf
except ImportError: print("none")`)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "MEDCTRL_STATIC=/own")
	if err := os.RemoveAll(filepath.Join(dir, "django")); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "none" {
		t.Errorf("without Django: %q, %v", out, err)
	}
}
