package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRealExampleIsBuiltOffline(t *testing.T) {
	t.Parallel()
	needReal(t)
	needDjango(t)
	b := example(t)
	b.CollectStatic, b.PipArgs = true, []string{"--no-index"}
	p := &project{Build: b, root: filepath.Join(t.TempDir(), "root"), m: New(Options{Runner: newRunner(t), Environ: os.Environ()})}
	rel := p.made(t)
	if !exists(filepath.Join(p.data(), "db.sqlite3")) || !exists(filepath.Join(rel.Static(), "admin/css/base.css")) {
		t.Error("no database, or no static files")
	}
	// check --deploy has findings of an example without TLS, and they fail nothing.
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "Applying medicines.0001_initial... OK", "security.W")
	common := filepath.Join(b.AppPath(), "api_settings/settings/common.py")
	broken := strings.Replace(read(t, common), `"django.contrib.sessions.middleware.SessionMiddleware",`, "", 1)
	must(t, os.WriteFile(common, []byte(broken), 0o644))
	step := p.failed(t)
	contains(t, step.Error(), "check", "SessionMiddleware")
	p.clean(t)
}
