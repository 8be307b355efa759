package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prefixedWorld is a world of an application as docs/migration.md is for: it logs to relative names, has a
// command that runs after migrate, and its URLs begin with a BASE_URL. Build "one" runs as an unprivileged user where
// that is possible; its settings are the template.
func prefixedWorld(t *testing.T) *World {
	t.Helper()
	as := ""
	if os.Getuid() == 0 {
		as = "user = \"nobody\"\ngroup = \"daemon\"\n"
	}
	w := NewWorld(t, One(`strip_prefix = false`, `working_dir = "{data}"`, `collectstatic = true`, `health = { path = "/one/" }`, as, `[build.steps]`,
		`after_migrate = [["{python}", "{app}/manage.py", "load_roles"]]`))
	w.Defaults = nil // check and migrate are part of the way
	if err := os.RemoveAll(w.Source); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(w.Source, os.DirFS("testdata/prefixed")); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile(filepath.Join(w.Source, "deploy_template.py"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.Settings("one"), template, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.WriteConfig()
	return w
}

// fillIn puts the real values into the template, with a database and a folder of static files that the build's user
// may write to.
func (w *World) fillIn() (database, static string) {
	w.t.Helper()
	database, static = filepath.Join(w.Dir, "db", "one.sqlite3"), filepath.Join(w.Dir, "www", "static")
	for _, dir := range []string{filepath.Dir(database), static} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	for old, value := range map[string]string{
		"random secret key": "of a test, no secret at all", "baseurl/": "one/", "STATIC_FOLDER": static, "DATABASE_NAME": database,
		"DATABASE_USER": "", "DATABASE_PASSWORD": "", "DATABASE_HOST": "", "DATABASE_PORT": "",
	} {
		w.Replace(w.Settings("one"), old, value, Overwrite)
	}
	return database, static
}

// own gives files to the build's user.
func (w *World) own(paths ...string) {
	w.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	who, err := user.Lookup("nobody")
	if err != nil {
		w.t.Skip(err)
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range paths {
		if err := os.Chown(path, uid, -1); err != nil {
			w.t.Fatal(err)
		}
	}
}

// oldRecipe serves the application as a script and a unit did: in a copy of its own below root, by a gunicorn that
// binds the socket itself. It returns the socket and ends gunicorn's main process when it is told.
func (w *World) oldRecipe(root string) (socket string, end func(syscall.Signal)) {
	w.t.Helper()
	dir := filepath.Join(root, "one")
	app := filepath.Join(dir, "API")
	if err := os.CopyFS(app, os.DirFS(filepath.Join(w.Source, "API"))); err != nil {
		w.t.Fatal(err)
	}
	environ := append(os.Environ(), "DJANGO_SETTINGS_MODULE=api_settings.settings.deploy_one", "PYTHONDONTWRITEBYTECODE=1")
	for _, command := range []string{"migrate", "load_roles"} {
		manage := exec.Command(python, "manage.py", command)
		manage.Dir, manage.Env = app, environ
		if out, err := manage.CombinedOutput(); err != nil {
			w.t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	socket = filepath.Join(dir, "gunicorn.sock")
	server := exec.Command(python, "-m", "gunicorn", "--workers", "2", "--bind", "unix:"+socket, "api_settings.wsgi:application")
	server.Dir, server.Env = app, environ
	server.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := StartBound(server); err != nil {
		w.t.Fatal(err)
	}
	ended := false
	end = func(sig syscall.Signal) {
		if ended {
			return
		}
		ended = true
		all := Tree(server.Process.Pid)
		if err := server.Process.Signal(sig); err != nil {
			w.t.Errorf("end the old gunicorn: %v", err)
		}
		if err := server.Wait(); err != nil && sig == syscall.SIGTERM {
			w.t.Errorf("the old gunicorn ended with %v", err)
		}
		Eventually(w.t, patience, "the end of the old workers", func() (bool, string) {
			for _, p := range all {
				if now, live := readProcess(fmt.Sprintf("/proc/%d", p.Pid)); live && now.Start == p.Start {
					return false, fmt.Sprint(p)
				}
			}
			return true, ""
		})
	}
	w.t.Cleanup(func() { end(syscall.SIGTERM) })
	Eventually(w.t, 30*time.Second, "the old gunicorn", func() (bool, string) {
		got, err := Ask("unix", socket, "/one/")
		return err == nil && got.Status == 200, fmt.Sprint(got.Status, err)
	})
	return socket, end
}

// The way of docs/migration.md, step by step.
func TestApplicationOfTheOldRecipeMovesWithoutALostRequest(t *testing.T) {
	t.Parallel()
	w := prefixedWorld(t)
	stdout, stderr, code := w.CLI("check")
	for _, left := range []string{"random secret key", "baseurl/", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_HOST", "DATABASE_PORT"} {
		if code != 1 || !strings.Contains(stdout+stderr, `"`+left+`" is still there`) {
			t.Errorf("check of the template as it is: exit %d, nothing of %s in\n%s%s", code, left, stdout, stderr)
		}
	}
	database, static := w.fillIn()
	w.own(filepath.Dir(static), static)
	w.MustCLI("check")
	socket, endOld := w.oldRecipe(filepath.Join(w.Dir, "old"))
	w.own(filepath.Dir(database), database, filepath.Dir(static), static)
	files := "location /static/ {\n\troot " + filepath.Dir(static) + ";\n}\n"
	nginx := StartNginx(t, "location /one {\n\tinclude proxy_params;\n\tproxy_pass http://unix:"+socket+";\n}\n"+files)
	tr := nginx.Load(t, "/one/", 50)
	tr.GoOn(t, calm)

	first := w.Serve("one")
	tr.GoOn(t, calm)
	nginx.Reload(t, w.MustCLI("nginx")+files)
	Eventually(t, patience, "an answer of the new release", func() (bool, string) {
		got := MustAsk(t, "unix", nginx.Addr, "/one/")
		return got.Header.Get("X-Release") == first.Release, fmt.Sprint(got)
	})
	nginx.waitReloaded(t)
	tr.GoOn(t, calm)
	endOld(syscall.SIGTERM)
	tr.GoOn(t, calm)
	w.Replace(w.Settings("one"), "no secret at all", "still none", RenameOver)
	w.WaitRelease("one", first.Release)
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)

	for via, addr := range map[string][2]string{"front": {"tcp", w.Front}, "nginx": {"unix", nginx.Addr}} {
		for _, path := range []string{"/one/", "/one/roles/"} {
			want := fmt.Sprintf(`{"path": %q, "roles": ["editor", "reader"]}`, path)
			if got := MustAsk(t, addr[0], addr[1], path); got.Status != 200 || got.Body != want {
				t.Errorf("%s: GET %s returns %d %s, want %s", via, path, got.Status, got.Body, want)
			}
		}
		if got := MustAsk(t, addr[0], addr[1], "/one"); got.Status != 301 || !strings.HasSuffix(got.Header.Get("Location"), "/one/") {
			t.Errorf("%s: GET /one returns %d to %q, want to /one/", via, got.Status, got.Header.Get("Location"))
		}
		if got := MustAsk(t, addr[0], addr[1], "/onex"); got.Status != 404 {
			t.Errorf("%s: GET /onex returns %d", via, got.Status)
		}
	}
	if got := MustAsk(t, "unix", nginx.Addr, "/static/roles/page.css"); got.Status != 200 || !strings.Contains(got.Body, "margin") {
		t.Errorf("the static file is returned as %d %q", got.Status, got.Body)
	}
	w.logsAreInData()
}

// With the old root the sockets' paths are the same, and Nginx stays as it is.
func TestOldGunicornKeepsItsPathUntilTheFirstReleaseServes(t *testing.T) {
	t.Parallel()
	w := prefixedWorld(t)
	database, static := w.fillIn()
	socket, endOld := w.oldRecipe(w.Root)
	w.own(filepath.Dir(database), database, filepath.Dir(static), static)
	if socket != w.Socket("one") {
		t.Fatalf("the old socket is %s, the new one %s", socket, w.Socket("one"))
	}
	tr := StartLoad(t, Load{Network: "unix", Addr: socket, Path: "/one/", Rate: 50})
	tr.GoOn(t, calm)
	first := w.Serve("one")
	tr.GoOn(t, calm)
	endOld(syscall.SIGKILL) // it cannot remove the path, and its workers finish what they hold
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	if served := r.releases(); len(served) != 2 || served[0] != "" || served[1] != first.Release {
		t.Errorf("served by %q, want the old gunicorn and then %s", served, first.Release)
	}
	if _, err := os.Stat(filepath.Join(w.Root, "one", "API", "manage.py")); err != nil {
		t.Errorf("the old copy was not left alone: %v", err)
	}
}

// logsAreInData fails where what the application logs to relative names is elsewhere than in its data folder.
func (w *World) logsAreInData() {
	w.t.Helper()
	want, err := os.Stat(w.Data("one", ""))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"debug.log", "warning.log"} {
		info, err := os.Stat(w.Data("one", name))
		if err != nil {
			w.t.Error(err)
		} else if got := info.Sys().(*syscall.Stat_t).Uid; got != want.Sys().(*syscall.Stat_t).Uid {
			w.t.Errorf("%s belongs to user %d", name, got)
		}
	}
	for _, pattern := range []string{filepath.Join(w.Source, "API", "*.log"), filepath.Join(w.Root, "one", "releases", "*", "API", "*.log")} {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			w.t.Errorf("the application logs next to its code: %v, %v", found, err)
		}
	}
	if log := readAll(w.Data("one", "debug.log")); !strings.Contains(log, "role editor") {
		w.t.Errorf("the step's log is not in data/debug.log:\n%s", lastLines(log, 20))
	}
}
