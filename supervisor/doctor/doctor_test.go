package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// script is what a probe says instead of being run: to stdout, and how it ends.
type script struct {
	out, errOut string
	err         error
	hangs       func() // is called when it does; nil: it does not
}

// scripted is a Runner whose result depends on the probe.
type scripted map[string]script

// names of probes, by what their code has.
func (r scripted) of(argv []string) script {
	code := strings.Join(argv, " ")
	for name, marker := range map[string]string{"question": "getsitepackages", "venv": "import venv", "index": "urllib.request", "application": "django.conf"} {
		if strings.Contains(code, marker) {
			return r[name]
		}
	}
	return script{err: errors.New("no such probe: " + code)}
}

func (r scripted) Start(c build.Command) (build.Process, error) {
	s := r.of(c.Argv)
	if _, err := c.Stdout.WriteString(s.out); err != nil {
		return nil, err
	}
	if _, err := c.Stderr.WriteString(s.errOut); err != nil {
		return nil, err
	}
	return s, nil
}
func (scripted) Running(string, int) ([]string, error)  { return nil, nil }
func (scripted) Alive(string) bool                      { return false }
func (script) Identity() (string, error)                { return "", nil }
func (scripted) End(context.Context, string, int) error { return nil }
func (s script) Done() <-chan struct{}                  { return nil }
func (s script) Wait(ctx context.Context, _ time.Duration) error {
	if s.hangs != nil {
		s.hangs()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.err
}

// well is a Runner for a build with which all is well.
func well() scripted {
	return scripted{
		"question": {out: `{"path": "/usr/bin/python3", "version": "3.11.2 (main)", "pip": "own"}`},
		"venv":     {}, "index": {out: `{"n": 0, "status": 200, "error": ""}` + "\n"},
		"application": {out: `{"static": "/srv/static", "writable": true, "at": "/srv"}` + "\n" + `{"database": "default"}` + "\n" +
			`{"database": "default", "engine": "mysql", "error": ""}` + "\n"},
	}
}

// clinic is a configuration with one build.
type clinic struct {
	t *testing.T
	Options
}

func newClinic(t *testing.T, r scripted) *clinic {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "src/requirements.txt"), "gunicorn\n", 0o644)
	write(t, filepath.Join(dir, "bin/python3"), "", 0o755)
	cfg := &config.Config{Root: filepath.Join(dir, "root"), Builds: []config.Build{{
		Name: "one", Source: filepath.Join(dir, "src"), AppDir: "API", Requirements: "requirements.txt", SettingsDir: "settings",
		Python: filepath.Join(dir, "bin/python3"), CollectStatic: true, SocketMode: 0o660,
	}}}
	return &clinic{t, Options{Config: cfg, Runner: r, Environ: []string{"PATH=/usr/bin:/bin", "PIP_CONFIG_FILE=/dev/null"}}}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (c *clinic) build() *config.Build { return &c.Config.Builds[0] }

// release makes a release of a build, with an environment that has no gunicorn.
func (c *clinic) release(name string) {
	c.t.Helper()
	const id, venv = "20260101T000000-aaaaaa", "0123456789abcdef"
	dir := filepath.Join(c.Config.Root, name)
	write(c.t, filepath.Join(dir, "releases", id, "release.json"), `{"id": "`+id+`", "venv": "`+venv+`"}`, 0o640)
	write(c.t, filepath.Join(dir, "venvs", venv, ".medctrl-complete"), "", 0o640)
}

// finds expects a finding of a check, with these words in its message and what to do.
func (c *clinic) finds(level Level, check string, words ...string) {
	c.t.Helper()
	all, err := Run(c.t.Context(), c.Options)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range all {
		said := f.Message + " " + f.Fix
		if f.Check == check && f.Level == level && !strings.ContainsAny(said, "\n\x1b") {
			missing := false
			for _, word := range words {
				missing = missing || !strings.Contains(said, word)
			}
			if !missing {
				return
			}
		}
	}
	c.t.Errorf("no finding %s %s %q in %+v", level, check, words, all)
}

func TestABuildWithWhichAllIsWellIsSaidToBe(t *testing.T) {
	t.Parallel()
	c := newClinic(t, well())
	c.release("one")
	found, err := Run(t.Context(), c.Options)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range found {
		seen[f.Check] = true
		if f.Level != OK || f.Fix != "" || f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, check := range []string{"interpreter", "gunicorn", "index", "database", "static", "disk"} {
		if !seen[check] {
			t.Errorf("nothing is said of %s: %+v", check, found)
		}
	}
}

func TestWhatAnAttemptWouldFailByIsFound(t *testing.T) {
	t.Parallel()
	with := func(name string, s script) *clinic {
		r := well()
		r[name] = s
		return newClinic(t, r)
	}
	application := func(out string) *clinic {
		c := with("application", script{out: out})
		c.release("one")
		return c
	}
	denied := errors.New("exit code 1")
	c := with("question", script{err: denied, errOut: "Traceback\nImportError: no site\n"})
	c.finds(Fail, "interpreter", "no site")
	c = newClinic(t, well())
	c.build().Python = "/no/such/python"
	c.finds(Fail, "interpreter", "/no/such/python", "set python")
	with("venv", script{err: denied, errOut: "ModuleNotFoundError: No module named 'venv'"}).finds(Fail, "interpreter", "No module named 'venv'", "apt install python3-venv")
	with("question", script{out: `{"path": "/usr/bin/python3", "version": "3", "pip": ""}`}).finds(Fail, "interpreter", "no pip", "python3-pip")

	c = newClinic(t, well())
	write(t, filepath.Join(c.build().Source, "requirements.txt"), "Django\n", 0o644)
	c.finds(Fail, "gunicorn", "gunicorn is not in requirements.txt", "add a line")
	c.build().Command = []string{"uvicorn"}
	if all, _ := Run(t.Context(), c.Options); strings.Contains(strings.Join(checks(all), " "), "gunicorn") {
		t.Errorf("who needs no gunicorn is told of it: %+v", all)
	}

	c = with("index", script{out: `{"n": 0, "status": 0, "error": "[Errno -2] Name or service not known"}` + "\n" + `{"n": 1, "status": 401, "error": ""}` + "\n" + `{"n": 2, "status": 502}`})
	c.build().PipArgs = []string{"--extra-index-url", "https://me:se%63retword@private/simple?token=x", "--extra-index-url=https://broken/simple"}
	c.finds(Fail, "index", "https://pypi.org/simple", "Name or service not known")
	c.finds(Fail, "index", "https://private/simple refuses the login (HTTP 401)", ".netrc")
	c.finds(Fail, "index", "https://broken/simple", "502")
	c.build().SystemSitePackages = true
	c.finds(Warn, "index", "https://pypi.org/simple", "the interpreter's own packages")
	c.build().SystemSitePackages = false
	c.release("one")
	c.finds(Warn, "index", "https://pypi.org/simple", "the environment that is there serves")
	c.build().PipArgs = []string{"--no-index", "--find-links", "/no/such/wheels"}
	c.finds(OK, "index", "no index is asked")
	c.finds(Warn, "index", "/no/such/wheels")

	newClinic(t, well()).finds(Warn, "database", "not tried yet")
	c = application(`{"database": "default"}` + "\n" + `{"database": "other"}` + "\n" + `{"database": "default", "engine": "mysql", "error": "(1045, \"Access denied\")"}` + "\n")
	c.finds(Fail, "database", "default cannot be used", "Access denied", "deploy_one.py")
	c.finds(Fail, "database", "other cannot be used")
	application(`{"settings": "KeyError: 'MEDCTRL_DB_PASSWORD'"}`).finds(Fail, "settings", "MEDCTRL_DB_PASSWORD")
	application("").finds(Warn, "database", "not tried")
	application(`{"static": "/srv/static", "writable": false, "at": "/srv"}`).finds(Fail, "static", "may not write to STATIC_ROOT, /srv/static", "/srv")
	application(`{"static": "", "writable": false}`).finds(Fail, "static", "no STATIC_ROOT")

	c = newClinic(t, well())
	c.release("one")
	write(t, filepath.Join(c.Config.Root, "one/releases/20260101T000000-aaaaaa/API/settings/deploy_one.py"), "A = 1\n", 0o640)
	write(t, filepath.Join(c.build().Source, "API/settings/deploy_one.py"), "A = 2\n", 0o640)
	c.finds(Warn, "settings", "deploy_one.py has changed since release 20260101T000000-aaaaaa")

	c = newClinic(t, well())
	c.release("one")
	two := *c.build()
	two.Name = "two"
	c.release("two")
	c.Config.Builds = append(c.Config.Builds, two)
	c.finds(Fail, "static", "is that of build two too")

	c = newClinic(t, well()) // before there is a release to ask
	c.Config.Builds[0].CollectStatic = true
	file := filepath.Join(c.Config.Root, "file")
	write(t, file, "", 0o644)
	write(t, filepath.Join(c.build().Source, "API/settings/deploy_one.py"), "STATIC_ROOT = '"+file+"/static'\n", 0o640)
	c.finds(Fail, "static", "may not write to STATIC_ROOT, "+file+"/static", "see the rights of "+file)

	c = newClinic(t, well())
	two = *c.build()
	two.Name = "two"
	c.Config.Builds[0].CollectStatic, two.CollectStatic = true, true
	c.Config.Builds = append(c.Config.Builds, two)
	write(t, filepath.Join(two.Source, "API/settings/deploy_one.py"), "STATIC_ROOT = '/srv/static'\n", 0o640)
	write(t, filepath.Join(two.Source, "API/settings/deploy_two.py"), "STATIC_ROOT = '/srv/static/two'\n", 0o640)
	c.finds(Fail, "static", "STATIC_ROOT, /srv/static, overlaps with that of build two, /srv/static/two")
}

func checks(all []Finding) []string {
	var names []string
	for _, f := range all {
		names = append(names, f.Check)
	}
	return names
}

// What builds are told of passwords never appears.
func TestFindingsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	r := well()
	r["index"] = script{out: `{"n": 0, "status": 0, "error": "cannot open https://me:openSesame99@private/simple"}`}
	r["application"] = script{out: `{"database": "default", "engine": "pg", "error": "login \"tellNobody99\" refused"}`}
	c := newClinic(t, r)
	c.release("one")
	c.build().PipArgs = []string{"-i", "https://me:openSesame99@private/simple"}
	c.build().Env = map[string]string{"DB_PASSWORD": "tellNobody99"}
	all, err := Run(t.Context(), c.Options)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if said := f.Message + f.Fix; strings.Contains(said, "openSesame99") || strings.Contains(said, "tellNobody99") {
			t.Errorf("%+v", f)
		}
	}
}

func TestAnInterruptedDoctorEndsWhatItStarted(t *testing.T) {
	t.Parallel()
	r := well()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r["index"] = script{hangs: cancel}
	c := newClinic(t, r)
	if _, err := Run(ctx, c.Options); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestPortsThatAreTakenAreFound(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	c := newClinic(t, well())
	c.Config.Supervisor.Front = addr
	c.finds(Fail, "port", addr, "another program listens there", "ss -ltnp")
	c.Running = Running{Status: &control.Status{Front: control.Part{Address: addr}}}
	c.finds(OK, "port", addr, "the supervisor serves there")
	c.Running.Status.Front.Trouble = "cannot serve: address already in use"
	c.finds(Fail, "port", "address already in use")
	c.Running = Running{Unknown: true}
	c.finds(Warn, "port", "not tried", "sudo")
	c.Running = Running{}
	c.Config.Supervisor.Front = "192.0.2.1:80"
	c.finds(Fail, "port", "does not have that address")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Config.Supervisor.Front = free.Addr().String()
	free.Close()
	c.finds(OK, "port", "is free")
}

func TestRoomIsComparedWithWhatAReleaseTakes(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, c := range []struct {
		room, needs build.Size
		level       Level
	}{
		{build.Size{Bytes: 1000 * mb, Inodes: 100_000}, build.Size{Bytes: 200 * mb, Inodes: 10_000}, OK},
		{build.Size{Bytes: 500 * mb, Inodes: 100_000}, build.Size{Bytes: 200 * mb, Inodes: 10_000}, Warn},
		{build.Size{Bytes: 1000 * mb, Inodes: 20_000}, build.Size{Bytes: 200 * mb, Inodes: 10_000}, Warn},
		{build.Size{Bytes: 100 * mb, Inodes: 100_000}, build.Size{Bytes: 200 * mb, Inodes: 10_000}, Fail},
		{build.Size{Bytes: 1000 * mb, Inodes: 5_000}, build.Size{Bytes: 200 * mb, Inodes: 10_000}, Fail},
		{build.Size{Bytes: 10 * mb, Inodes: 100_000}, build.Size{Bytes: 1 * mb, Inodes: 10}, Fail},
	} {
		if f := roomFinding("/r", c.room, c.needs); f.Level != c.level || (f.Level == OK) != (f.Fix == "") {
			t.Errorf("%+v of %+v: %+v", c.needs, c.room, f)
		}
	}
}

func TestNginxNeedsTheRightToTheSocketAndItsFolders(t *testing.T) {
	t.Parallel()
	uid, gid := os.Geteuid(), os.Getegid()
	stranger := config.Identity{UID: uid + 4711, GID: gid + 4711}
	member := config.Identity{UID: uid + 4711, GID: gid + 4711, Groups: []uint32{uint32(gid)}}
	own := config.Identity{UID: -1, GID: -1}
	dir, err := os.MkdirTemp("", "n") // the folders above it let everybody in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "root/one/gunicorn.sock")
	for _, c := range []struct {
		folder, mode os.FileMode
		id           config.Identity
		made         bool
		level        Level
		words        string
	}{
		{0o755, 0o660, member, false, OK, "will be allowed"},
		{0o755, 0o660, stranger, false, Fail, "set socket_group"},
		{0o700, 0o660, member, false, Fail, "chmod o+x " + dir},
		{0o755, 0o600, member, false, Fail, "set socket_mode = \"0660\""},
		{0o755, 0o660, member, true, OK, "may connect"},
		{0o755, 0o660, stranger, true, Fail, "may not connect"},
	} {
		if err := os.Chmod(dir, c.folder); err != nil {
			t.Fatal(err)
		}
		if c.made {
			write(t, socket, "", 0o600)
			if err := os.Chmod(socket, c.mode); err != nil {
				t.Fatal(err)
			}
		}
		f := socketFinding(socket, config.Build{Name: "one", SocketMode: c.mode}, own, c.id, "web")
		if f.Level != c.level || !strings.Contains(f.Message+" "+f.Fix, c.words) {
			t.Errorf("folder %o, socket %o, made %v: %+v", c.folder, c.mode, c.made, f)
		}
	}
	conf := filepath.Join(t.TempDir(), "nginx.conf")
	write(t, conf, "# user nobody;\nworker_processes 1;\nuser  root root ;\n", 0o644)
	id, name, err := nginxIdentity([]string{"/no/such", conf})
	if err != nil || name != "root" || id.UID != 0 {
		t.Errorf("%+v %s %v", id, name, err)
	}
	if _, name, err := nginxIdentity([]string{"/no/such"}); name != "" || err != nil {
		t.Errorf("Nginx that is not there runs as %q, %v", name, err)
	}
	// Who has a front does without.
	c := newClinic(t, well())
	c.build().Location, c.Nginx = "/one", []string{conf}
	write(t, conf, "user nobody;\n", 0o644)
	if err := os.Chmod(filepath.Dir(c.Config.Root), 0o700); err != nil {
		t.Fatal(err)
	}
	c.finds(Fail, "nginx", "chmod o+x")
	c.Config.Supervisor.Front = "127.0.0.1:0"
	c.finds(Warn, "nginx", "the front does")
}

func TestWhatTheKernelLacksIsSaidWithWhatItCosts(t *testing.T) {
	t.Parallel()
	refuse := func() error { return os.NewSyscallError("x", unix.EPERM) }
	all := Kernel{Pidfd: refuse, Getfd: refuse, Cgroups: refuse, Inotify: refuse}.findings()
	if len(all) != 4 || all[0].Level != Fail {
		t.Fatalf("%+v", all)
	}
	for _, f := range all[1:] {
		if f.Level != Warn || f.Fix == "" || !strings.Contains(f.Message, "operation not permitted; ") {
			t.Errorf("%+v", f)
		}
	}
	for _, f := range Here(func() error { return nil }).findings() {
		if f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
}
