package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFileWithOnlyWhatIsRequiredGetsTheDefaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.good("root = \"run\"\n[[build]]\nname = \"one\"\nsource = \"src\"\npython = \"bin/python3\"\n")
	if want := (Supervisor{LogLevel: "info", LogFormat: "text", LogDir: s.path("run/.supervisor/logs"), MaxParallelBuilds: 1}); c.Supervisor != want {
		t.Errorf("[supervisor] is %+v, want %+v", c.Supervisor, want)
	}
	if c.Path != s.path("builds.toml") || c.Root != s.path("run") || len(c.Sum) != 64 {
		t.Errorf("path %s, root %s, sum %s", c.Path, c.Root, c.Sum)
	}
	want := Build{
		Name: "one", Source: s.path("src"), AppDir: "API", Requirements: "requirements.txt",
		SettingsDir: "api_settings/settings", WSGI: "api_settings.wsgi:application", Python: s.path("bin/python3"),
		StripPrefix: true, WorkingDir: "{app}", Migrate: true, Check: true, Workers: 2, Threads: 1, WorkerClass: "sync", Timeout: 30 * time.Second,
		GracefulTimeout: 30 * time.Second, Umask: 0o027, NoNewPrivs: true, SocketMode: 0o660, Autostart: true, Restart: RestartAlways,
		RestartDelayMax: 30 * time.Second, StableAfter: 10 * time.Second, KeepReleases: 3, Replicas: 1, StepTimeout: 15 * time.Minute,
		Health: Health{
			Path: "/", Host: "localhost", Expect: Expect{100, 499}, Interval: 5 * time.Second, Timeout: 2 * time.Second,
			StartTimeout: time.Minute, Failures: 3,
		},
	}
	b, ok := c.Build("one")
	if !ok || !reflect.DeepEqual(b, want) {
		t.Errorf("the build is\n%+v, want\n%+v", b, want)
	}
	for what, got := range map[string][2]string{
		"settings file":   {b.SettingsFile(), s.path("src/API/api_settings/settings/deploy_one.py")},
		"settings module": {b.SettingsModule(), "api_settings.settings.deploy_one"},
		"requirements":    {b.RequirementsFile(), s.path("src/requirements.txt")},
		"socket":          {c.Socket("one"), s.path("run/one/gunicorn.sock")},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, want %s", what, got[0], got[1])
		}
	}
	if _, ok := c.Build("two"); ok {
		t.Error("there is a build two")
	}
}

func TestEveryKeyOfABuildIsTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("other/app/manage.py", "")
	s.write("other/app/conf/deploy_one.py", "")
	s.write("other/req.txt", "")
	s.write("env", "A=file\n")
	if err := os.Chmod(s.write("token", "0123456789abcdef\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	text := `
root = "run"
[supervisor]
log_level = "debug"
log_format = "json"
log_dir = "logs"
max_parallel_builds = 3
front = "[::1]:8080"
metrics = "127.0.0.1:9105"
dashboard = "127.0.0.1:8081"
dashboard_read = "token"
dashboard_write = "token"
control_group = "root"
[[build]]
name = "one"
source = "other"
app_dir = "app"
requirements = "req.txt"
settings_dir = "conf"
wsgi = "conf.wsgi"
location = "/one"
strip_prefix = false
python = "bin/python3"
system_site_packages = true
pip_args = ["--no-index"]
migrate = false
once_on = "web-1"
collectstatic = true
check = false
workers = 64
threads = 4
worker_class = "uvicorn.workers.UvicornWorker"
timeout = "1m30s"
graceful_timeout = "5s"
command = ["{python}", "x={venv}{release}", "{app}", "{data}", "{}", "{0}", "{\"a\":1}"]
gunicorn_args = ["--max-requests", "1000", "--log-level=debug", "-R", "--preload"]
env = { A = "env", "B" = "" }
env_file = "env"
pass_env = ["DB_PASSWORD"]
user = "root"
group = "root"
umask = "0077"
no_new_privs = false
socket_group = "root"
socket_mode = "600"
autostart = false
restart = "on-failure"
restart_delay_max = "1h"
stable_after = "1ms"
watch_source = true
keep_releases = 1
replicas = 3
step_timeout = "24h"
working_dir = "{data}/work"
[build.steps]
before_migrate = [["{python}", "-c", "pass"]]
after_migrate = [["a"], ["{app}/b", "{data}"]]
[build.health]
path = "/health?full=1"
expect = "200-399"
interval = "10ms"
timeout = "1s"
failures = 1
start_timeout = "5m"
host = "example.org:8000"
[build.limits]
memory = "1.5G"
cpu = 1.5
tasks = 100
nofile = 4096
core = "unlimited"
`
	c := s.good(text)
	want := Build{
		Name: "one", Source: s.path("other"), AppDir: "app", Requirements: "req.txt", SettingsDir: "conf", WSGI: "conf.wsgi",
		Location: "/one", Python: s.path("bin/python3"), SystemSitePackages: true, PipArgs: []string{"--no-index"},
		WorkingDir: "{data}/work", Steps: Steps{
			BeforeMigrate: [][]string{{"{python}", "-c", "pass"}}, AfterMigrate: [][]string{{"a"}, {"{app}/b", "{data}"}},
		},
		OnceOn: "web-1", CollectStatic: true, Workers: 64, Threads: 4, WorkerClass: "uvicorn.workers.UvicornWorker",
		Timeout: 90 * time.Second, GracefulTimeout: 5 * time.Second,
		Command:      []string{"{python}", "x={venv}{release}", "{app}", "{data}", "{}", "{0}", `{"a":1}`},
		GunicornArgs: []string{"--max-requests", "1000", "--log-level=debug", "-R", "--preload"},
		Env:          map[string]string{"A": "env", "B": ""}, EnvFile: s.path("env"), PassEnv: []string{"DB_PASSWORD"}, User: "root", Group: "root",
		Umask: 0o077, SocketGroup: "root", SocketMode: 0o600, Restart: RestartOnFailure, RestartDelayMax: time.Hour, StableAfter: time.Millisecond,
		WatchSource: true, KeepReleases: 1, Replicas: 3, StepTimeout: 24 * time.Hour,
		Health: Health{
			Path: "/health?full=1", Host: "example.org:8000", Expect: Expect{200, 399}, Interval: 10 * time.Millisecond,
			Timeout: time.Second, StartTimeout: 5 * time.Minute, Failures: 1,
		},
		Limits: Limits{Memory: 1536 << 20, CPU: 1.5, Tasks: 100, Nofile: 4096, Core: NoLimit},
	}
	if !reflect.DeepEqual(c.Builds[0], want) {
		t.Errorf("the build is\n%+v, want\n%+v", c.Builds[0], want)
	}
	if want := (Supervisor{
		LogLevel: "debug", LogFormat: "json", LogDir: s.path("logs"), MaxParallelBuilds: 3, Front: "[::1]:8080",
		Dashboard: "127.0.0.1:8081", DashboardRead: s.path("token"), DashboardWrite: s.path("token"), ControlGroup: "root",
		Metrics: "127.0.0.1:9105",
	}); c.Supervisor != want {
		t.Errorf("[supervisor] is %+v, want %+v", c.Supervisor, want)
	}
	base := defaultBuild()
	for _, k := range slices.Concat(keys, healthKeys, stepKeys, limitKeys) { // so that no key is forgotten above
		if reflect.DeepEqual(k.field(&base), k.field(&c.Builds[0])) {
			t.Errorf("key %s has its default", k.name)
		}
	}
}

func TestDefaultsAreForAllBuildsAndTheirOwnValueWins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.good(head + `workers = 5
pip_args = ["-q"]
command = ["{python}"]
env = { A = "1" }
health.path = "/up"
health.failures = 7
[[build]]
name = "one"
[[build]]
name = "two"
workers = 6
pip_args = []
command = []
env = { B = "2" }
[build.health]
path = "/two"
`)
	one, two := c.Builds[0], c.Builds[1]
	if one.Workers != 5 || one.Health.Path != "/up" || one.Env["A"] != "1" || len(one.Command) != 1 || one.PipArgs[0] != "-q" {
		t.Errorf("one does not have the defaults: %+v", one)
	}
	if two.Workers != 6 || two.Health.Path != "/two" || two.Health.Failures != 7 || len(two.Env) != 1 || two.Env["B"] != "2" ||
		two.Command != nil || two.PipArgs != nil {
		t.Errorf("two does not have its own values: %+v", two)
	}
}

func TestBuildsMayBeWrittenAsOneList(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.good("build = [{ name = 'one', health = { path = '/x' } }, { name = 'two' }]\n" + head)
	if len(c.Builds) != 2 || c.Builds[0].Health.Path != "/x" || c.Builds[1].Name != "two" {
		t.Errorf("builds are %+v", c.Builds)
	}
	s.bad("build = [{ name = 'one' }, »3, { name = 'two', »worker = 4 }]\n"+head, "want tables", "")
}

func TestFileWithoutBuildsIsGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, text := range []string{"root = \"run\"\n", "root = \"run\"\nbuild = []\n", head} {
		if c := s.good(text); len(c.Builds) != 0 {
			t.Errorf("builds are %+v", c.Builds)
		}
	}
}

func TestEncodingsOfEditorsAreRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.good("\ufeff" + one)
	s.good(strings.ReplaceAll(one, "\n", "\r\n"))
	s.good(strings.TrimSuffix(one, "\n"))
	s.bad("\ufeff"+"»rot = 1\nroot = \"run\"", "did you mean \"root\"?")
	s.bad(strings.ReplaceAll(one+"  workers = »0\n", "\n", "\r\n"), "from 1 to 64")
}

func TestFormsOfValuesThatAreGood(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, line := range []string{
		`app_dir = "./API"`, `location = "/"`, `location = "/a/b-c_d.e~f"`, `location = ""`, `wsgi = "a.b:make()"`, `wsgi = "wsgi"`,
		`health.expect = " < 500 "`, `health.expect = "200 - 399"`, `health.expect = "404"`, `umask = "27"`, `socket_mode = "0600"`,
		`sandbox.enabled = false`, `sandbox.read = ["src"]`, `sandbox.write = ["{data}/x", "/srv"]`, `sandbox.connect = []`, `limits = {}`, `worker_class = "egg:x#y"`, `gunicorn_args = []`, `python = "` + s.path("bin/python3") + `"`,
		`env = { PATH = "` + s.path("bin") + `" }` + "\npython = \"python3\"",
		`"env".'DJANGO_DEBUG' = "x"`,
	} {
		s.good(one + line + "\n")
	}
}

func TestExpectIsARangeOfStatuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for text, want := range map[string]Expect{"<500": {100, 499}, "<101": {100, 100}, "200": {200, 200}, "200-399": {200, 399}, "599-599": {599, 599}} {
		if got := s.good(one + "health.expect = \"" + text + "\"\n").Builds[0].Health.Expect; got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

func TestFileOfManyBuildsLoads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var text strings.Builder
	text.WriteString(head)
	for i := range 1000 {
		s.write(fmt.Sprintf("src/API/api_settings/settings/deploy_b%d.py", i), "")
		fmt.Fprintf(&text, "[[build]]\nname = \"b%d\"\nlocation = \"/b%d\"\n", i, i)
	}
	if n := len(s.good(text.String()).Builds); n != 1000 {
		t.Errorf("%d builds", n)
	}
}

func TestRelativePathsBeginAtTheFile(t *testing.T) {
	s := newSite(t)
	s.write("builds.toml", one)
	t.Chdir(s.path("src"))
	c, err := Load("../builds.toml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Path != s.path("builds.toml") || c.Root != s.path("run") || c.Builds[0].Source != s.path("src") || c.Builds[0].Python != s.path("bin/python3") {
		t.Errorf("paths are %s %s %s %s", c.Path, c.Root, c.Builds[0].Source, c.Builds[0].Python)
	}
	s.write("builds.toml", "x = 1")
	if _, err := Load("../builds.toml"); err == nil || !strings.HasPrefix(err.Error(), "../builds.toml:1:1: ") {
		t.Errorf("errors name %v", err)
	}
}

func TestRootOfAFileHoweverBad(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, text := range []string{
		"root = \"run\"\n", "\ufeffroot = 'run'\nx = 1", "x = [\n  root = \"run\" # here\n", "root = \"r\\u0075n\"", "[[build]\nroot='run'",
		"root = \"run\"\nx = \"\xff\"", "root = \"run\"\nx = \x00", "root = \"run\"\nx = " + strings.Repeat("[", 150_000), "root = \"run/.\"\r\nroot = \"other\"\r\n",
	} {
		if root, err := RootOf(s.write("builds.toml", text)); err != nil || root != s.path("run") {
			t.Errorf("%.40q: root is %s, %v", text, root, err)
		}
	}
	for _, text := range []string{"", "root = 3", "root = \"\"", "# root = \"run\"", "xroot = 'run'"} {
		_, err := RootOf(s.write("builds.toml", text))
		var errs Errors
		if !errors.As(err, &errs) || errs[0].Line != 1 {
			t.Errorf("%q: returns %v", text, err)
		}
	}
	if root, err := RootOf(filepath.Join(s.dir, "none")); err == nil {
		t.Errorf("root of a missing file is %s", root)
	}
}

// A text that was applied named what was there. Most of it may be missing for a while; what is wrong
// in the text itself stays wrong.
func TestTextThatWasAppliedMayNameWhatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "builds.toml")
	const text = `root = "run"
[supervisor]
log_dir = "builds.toml"
front = "127.0.0.1:8080"
dashboard = "127.0.0.1:8081"
dashboard_write = "token"
[[build]]
name = "a"
source = "gone"
python = "gone/python3"
env_file = "gone.env"
user = "nobody-of-this-machine"
group = "nobody-of-this-machine"
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); strings.Count(fmt.Sprint(err), "\n")+1 != 7 {
		t.Errorf("as a new text: %v", err)
	}
	c, err := LoadText(path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := c.Build("a")
	if b.Source != filepath.Join(dir, "gone") || b.User != "nobody-of-this-machine" || b.Group != b.User || b.Python != filepath.Join(dir, "gone/python3") {
		t.Errorf("build %+v", b)
	}
	// What an earlier version of this program applied keeps its builds.
	before := strings.Replace(text, `"127.0.0.1:8081"`, `"/-/"`, 1)
	if c, err := LoadText(path, []byte(before)); err != nil || c.Supervisor.Dashboard != "" || len(c.Builds) != 1 {
		t.Errorf("with the dashboard on a path of the front: %v", err)
	}
	if _, err := LoadText(path, []byte(text+"worker = 1\n")); err == nil || !strings.Contains(err.Error(), ":14:1: unknown key worker") {
		t.Errorf("with a mistake of its own: %v", err)
	}
}
