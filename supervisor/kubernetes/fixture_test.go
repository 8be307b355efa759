package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// site is a folder with everything that a valid builds.toml names.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) site {
	t.Helper()
	dir, err := os.MkdirTemp("", "k") // a short path: that of a socket begins with it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	s := site{t, dir}
	for _, src := range []string{"src", "other"} {
		s.write(src+"/API/manage.py", "")
		s.write(src+"/requirements.txt", "gunicorn\n")
		s.write(src+"/reqs/all.txt", "gunicorn\n")
		for _, name := range []string{"one", "two", "development", "testing", "a_b", "a", "1st_"} {
			s.write(src+"/API/api_settings/settings/deploy_"+name+".py", "")
			s.write(src+"/API/other/deploy_"+name+".py", "")
			s.write(src+"/Other/api_settings/settings/deploy_"+name+".py", "")
		}
		s.write(src+"/Other/manage.py", "")
	}
	return s
}

func (s site) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s site) load(text string) *config.Config {
	s.t.Helper()
	c, err := config.Load(s.write("builds.toml", text))
	if err != nil {
		s.t.Fatalf("%s\nis refused:\n%v", text, err)
	}
	return c
}

// options are those that the command has by default.
func options() Options {
	return Options{
		Image: "registry.example/medctrl:r1", Namespace: "medctrl", Replicas: 2, Gateway: "gateway/web", Data: "1Gi", StepsIn: StepsInJob,
		Program: "ghcr.io/medctrl/medctrl-supervisor:v1.0.0",
	}
}

func (s site) export(text string, change ...func(*Options)) *Export {
	s.t.Helper()
	o := options()
	for _, f := range change {
		f(&o)
	}
	e, err := New(s.load(text), nil, o)
	if err != nil {
		s.t.Fatalf("%s\nis not exported: %v", text, err)
	}
	return e
}

// whole is all that an export has, with the site's folder called /host.
func (s site) whole(e *Export) string {
	s.t.Helper()
	var t strings.Builder
	for _, said := range e.Said {
		t.WriteString("said: " + said + "\n")
	}
	for _, f := range e.Files {
		t.WriteString("-- " + f.Name + " --\n" + f.Text)
	}
	return strings.ReplaceAll(t.String(), s.dir, "/host")
}

const head = "root = \"run\"\n[defaults]\nsource = \"src\"\n"

// small are two builds that say nothing but what they must.
const small = head + `
[[build]]
name = "development"
location = "/api"
env_file = "development.env"
health.expect = "200-399"
limits.memory = "1G"

[[build]]
name = "testing"
location = "/testapi"
`

// large is a build that says much.
const large = `
root = "run"
[supervisor]
metrics = "127.0.0.1:9105"
log_format = "json"
dashboard = "127.0.0.1:8081"
control_group = "root"
max_parallel_builds = 2

[defaults]
source = "src"
user = "root"

[[build]]
name = "a_b"
source = "other"
location = "/a.b/c"
strip_prefix = false
migrate = ["default", "reports_2"]
collectstatic = true
working_dir = "{data}"
env = { BANNER = "it's \"here\": {x}", API_TOKEN = "hunter2hunter2", DB_PASSWORD = "x" }
env_file = "other/a.env"
pass_env = ["SENTRY_DSN", "BANNER"]
pip_args = ["--index-url", "https://joe:hunter2hunter2@pypi.example/simple"]
replicas = 2
watch_source = true
graceful_timeout = "90s"
stable_after = "500ms"
health.path = "/health?full=1"
health.host = "a.example"
health.interval = "500ms"
limits.memory = "300M"
limits.cpu = 0.5
limits.nofile = 4096
limits.tasks = 100
sandbox.enabled = true
hooks.on_failure = ["/usr/local/bin/mail", "{release}"]
steps.before_migrate = [["{python}", "check.py"]]
steps.after_migrate = [["manage.py", "warm"], ["{app}/x", "-a", "b c"]]

[[build.process]]
name = "worker"
command = ["celery", "-A", "api_settings", "worker", "-n", "w{index}@%h"]
count = 2
stop_signal = "QUIT"
graceful_timeout = "10m"
env = { QUEUE = "fast", N = "1" }
overlap = true
ready = "notify"
required = true
restart = "on-failure"

[[build.process]]
name = "mail_"
command = ["manage.py", "mail"]
env = { A = "b" }

[[build.schedule]]
name = "nightly"
command = ["manage.py", "clearsessions"]
cron = "30 2 * * 5-7"
timezone = "Europe/Amsterdam"
catch_up = true
overlap = true
spread = "5m"

[[build.schedule]]
name = "often"
command = ["python", "-m", "x"]
every = "15m"
timeout = "10m"

[[build.schedule]]
name = "odd"
command = ["python", "-m", "x"]
every = "7m"

[[build.schedule]]
name = "a-name-of-thirty-two-characters-"
command = ["python", "-m", "x"]
cron = "@daily"

[[build]]
name = "a"
autostart = false
migrate = false
check = false

[[build.process]]
name = "b"
command = ["manage.py", "b"]

[[build]]
name = "1st_"
location = "/"
command = ["{python}", "-m", "uvicorn", "--fd", "3", "x:app"]
`

func (s site) files() {
	s.t.Helper()
	s.write("development.env", "# a comment\nexport DJANGO_DB_PASSWORD='hunter2hunter2'\nDEBUG=\"no\"\n")
	s.write("other/a.env", "DB_PASSWORD=hunter2hunter2\nDB_NAME=hunter2hunter2\nDB_PASSWORD_2=\"hunter2 \\\"hunter2\\\"\"\n")
}
