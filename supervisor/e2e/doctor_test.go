package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// finding is an element of what `doctor --json` prints.
type finding struct{ Level, Build, Check, Message, Fix string }

// doctor runs the command, and returns its findings and its exit code.
func (w *World) doctor(args ...string) ([]finding, int) {
	w.t.Helper()
	out, errOut, code := w.CLI(append([]string{"doctor", "--json"}, args...)...)
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		w.t.Fatalf("doctor: exit %d, %v, %q %q", code, err, out, errOut)
	}
	return all, code
}

// needFinding expects a finding of a check with these words.
func needFinding(t *testing.T, all []finding, level, check string, words ...string) {
	t.Helper()
	for _, f := range all {
		found := f.Level == level && f.Check == check
		for _, word := range words {
			found = found && strings.Contains(f.Message+" "+f.Fix, word)
		}
		if found {
			return
		}
	}
	t.Errorf("no finding %s %s %q in %+v", level, check, words, all)
}

// refusing is a database backend whose server refuses the login.
const refusing = `from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError
class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, params):
        raise OperationalError("(1045, \"Access denied for user 'one' (using password: tellNobody99)\")")
`

// TestDoctorFindsBeforehandWhatWouldFail has root look at a build of another user: with its supervisor
// running, and then with all that makes an attempt or its serving fail.
func TestDoctorFindsBeforehandWhatWouldFail(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts processes as another user")
	}
	w := NewWorld(t)
	files := map[string]string{
		"API/refusing/__init__.py": "", "API/refusing/base.py": refusing,
		"API/api_settings/settings/deploy_one.py": "from api_settings.settings.common import *  # noqa: F401,F403\nimport os\nBANNER = 'one'\n" +
			"print('settings may print')\nDATABASES['default']['ENGINE'] = os.environ.get('ENGINE', 'django.db.backends.sqlite3')\nSTATIC_ROOT = os.environ.get('STATIC', '/dev/shm/never')\n",
	}
	for name, text := range files {
		path := filepath.Join(w.Source, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.SetBuilds(One(`user = "nobody"`))
	all, code := w.doctor()
	needFinding(t, all, "fail", "folders", w.Root, "may not enter "+w.Dir)
	if out, _, checked := w.CLI("check"); code != 1 || checked != 1 || !strings.Contains(out, "may not enter "+w.Dir) {
		t.Errorf("doctor: exit %d; check: exit %d, %q", code, checked, out)
	}
	if err := os.Chmod(w.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	all, _ = w.doctor()
	needFinding(t, all, "ok", "interpreter", python)
	needFinding(t, all, "ok", "port", w.Front, "free")
	needFinding(t, all, "warn", "database", "not tried yet")
	served := w.Serve("one")
	all, code = w.doctor("one")
	needFinding(t, all, "ok", "port", w.Front, "the supervisor serves there")
	needFinding(t, all, "ok", "gunicorn")
	needFinding(t, all, "ok", "database", "default (sqlite3) can be used")
	needFinding(t, all, "ok", "disk")
	if code != 0 {
		t.Errorf("exit %d, %+v", code, all)
	}
	if now := w.WaitState("one", "running"); now.Pid != served.Pid || now.Restarts != 0 {
		t.Errorf("the build noticed: %+v, before %+v", now, served)
	}
	w.Stop()

	ln, err := net.Listen("tcp", w.Front)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	static := filepath.Join(w.Dir, "static")
	if err := os.Mkdir(static, 0o755); err != nil {
		t.Fatal(err)
	}
	env := `env = { ENGINE = "refusing", STATIC = "` + static + `", DB_PASSWORD = "tellNobody99" }`
	w.SetBuilds(One(`user = "nobody"`, `collectstatic = true`, env))
	all, code = w.doctor()
	needFinding(t, all, "fail", "port", w.Front, "another program")
	needFinding(t, all, "fail", "database", "default cannot be used", "Access denied for user 'one'", "deploy_one.py")
	needFinding(t, all, "fail", "static", "may not write to STATIC_ROOT, "+static)
	for _, f := range all {
		if strings.Contains(f.Message, "tellNobody99") {
			t.Errorf("a finding has the password: %+v", f)
		}
	}
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	if out, errOut, code := w.CLI("check"); code != 0 || !strings.Contains(errOut, "warning: "+w.File+":") || !strings.Contains(errOut, "another program listens there") {
		t.Errorf("check: exit %d, %q %q", code, out, errOut)
	}

	locked := filepath.Join(w.Dir, "python")
	if err := os.WriteFile(locked, []byte("#!/bin/sh\nexec "+python+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.SetBuilds(One(`user = "nobody"`, `python = "`+locked+`"`))
	all, code = w.doctor()
	needFinding(t, all, "fail", "interpreter", "may not execute "+locked)
	if out, _, checked := w.CLI("check"); code != 1 || checked != 1 || !strings.Contains(out, "may not execute "+locked) {
		t.Errorf("doctor: exit %d; check: exit %d, %q", code, checked, out)
	}
}
