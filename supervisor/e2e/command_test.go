package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestGunicornArgsWinOverWhatTheSupervisorSets(t *testing.T) {
	t.Parallel()
	w := NewWorld(t)
	w.SetBuilds(One(`gunicorn_args = ["--log-level", "debug", "--worker-tmp-dir=` + w.Dir + `"]`))
	w.Serve("one")
	log := w.BuildLog("one") // at level debug gunicorn prints its settings
	for _, setting := range []string{"loglevel: debug", "worker_tmp_dir: " + w.Dir, "workers: 2"} {
		if !strings.Contains(log, setting) {
			t.Errorf("gunicorn is running without %q", setting)
		}
	}
}

// Any server that takes LISTEN_FDS can replace gunicorn.
func TestAnyServerThatTakesTheSocketIsServedAsWell(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon, `command = ["{python}", "plain_server.py", "{venv}", "{release}", "{app}", "{data}"]`))
	b := w.Serve("one")
	p, _ := readProcess("/proc/" + strconv.Itoa(b.Pid))
	release := filepath.Join(w.Root, "one", "releases", b.Release)
	args := strings.Fields(p.Command)
	if !strings.HasPrefix(args[0], filepath.Join(w.Root, "one", "venvs")) || !slices.Contains(args, release) ||
		!slices.Contains(args, filepath.Join(release, "API")) || !slices.Contains(args, w.Data("one", "")) {
		t.Errorf("it is running as %q: the braces are not filled in", p.Command)
	}
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	held := Begin(t, "unix", w.Socket("one"), "/stream")
	w.MustCLI("restart", "one", "--no-wait")
	w.WaitPid("one", b.Pid)
	w.Touch("one", "go")
	if line := held.Line(); line != "second\n" {
		t.Errorf("the server that was exchanged ended its answer with %q", line)
	}
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)

	tr = w.Load("one", 100)
	tr.GoOn(t, calm)
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	tr.GoOn(t, calm)
	// It has a thread for each request: at 100 requests a second and some milliseconds each it
	// holds about one.
	tr.Stop().NoneLostBut(t, 10)
	if got := index(t, MustAsk(t, "unix", w.Socket("one"), "/")); got.Environ["LISTEN_FDS"] != "1" || got.Environ["MEDCTRL_BUILD"] != "one" {
		t.Errorf("its environment is %v", got.Environ)
	}
}

// It gets SIGTERM only once it holds none.
func TestServerThatDropsItsRequestsAtTermLosesNone(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`command = ["{python}", "plain_server.py", "--drops"]`))
	b := w.Serve("one")
	tr := StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=200", Rate: 50})
	tr.GoOn(t, calm)
	held := Begin(t, "unix", w.Socket("one"), "/stream")
	w.MustCLI("restart", "one", "--no-wait")
	w.WaitPid("one", b.Pid)
	tr.GoOn(t, calm)
	w.Touch("one", "go")
	if line := held.Line(); line != "second\n" {
		t.Errorf("the server that was exchanged ended its answer with %q", line)
	}
	Eventually(t, patience, "the end of the server that was exchanged", func() (bool, string) {
		_, live := readProcess("/proc/" + strconv.Itoa(b.Pid))
		return !live, ""
	})
	tr.Stop().NoneLost(t)
}

// What a server gets of our environment, and what a neighbour may read of it in /proc.
func TestEnvironmentIsTheEntrysAndNoSecretIsOnACommandLine(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-of-the-entry"
	w := NewWorld(t, One("workers = 1", `env = { API_KEY = "`+secret+`" }`, `env_file = "one.env"`))
	w.Env = []string{"STRANGER=not handed down", "PYTHONPATH=/nowhere", "LC_TIME=C", "TZ=UTC"}
	if err := os.WriteFile(filepath.Join(w.Dir, "one.env"), []byte("# a comment\nFROM_FILE=\"quoted value\"\nAPI_KEY=lost to env\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := w.Serve("one")
	environ := index(t, MustAsk(t, "unix", w.Socket("one"), "/")).Environ
	for key, want := range map[string]string{
		"API_KEY": secret, "FROM_FILE": "quoted value", "LC_TIME": "C", "TZ": "UTC", "HOME": os.Getenv("HOME"),
		"DJANGO_SETTINGS_MODULE": "api_settings.settings.deploy_one",
		"MEDCTRL_BUILD":          "one", "MEDCTRL_RELEASE": b.Release, "MEDCTRL_DATA": filepath.Join(w.Root, "one", "data"),
	} {
		if environ[key] != want {
			t.Errorf("%s=%q, want %q", key, environ[key], want)
		}
	}
	known := []string{"PATH", "LANG", "TZ", "HOME", "API_KEY", "FROM_FILE", "DJANGO_SETTINGS_MODULE", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		"SERVER_SOFTWARE", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "TMPDIR", "SPT_NOENV"}
	for key := range environ {
		if !slices.Contains(known, key) && !strings.HasPrefix(key, "LC_") && !strings.HasPrefix(key, "MEDCTRL_") {
			t.Errorf("%s=%q was handed down", key, environ[key])
		}
	}
	w.MustCLI("restart", "one")
	supervisor, _ := readProcess("/proc/" + strconv.Itoa(w.Pid()))
	for _, p := range append(w.Processes(), supervisor) {
		if strings.Contains(p.Command, secret) || strings.Contains(p.Command, "quoted value") {
			t.Errorf("a secret is on the command line of %v", p)
		}
	}
	if strings.Contains(w.Log(), secret) {
		t.Error("a secret is in the supervisor's log")
	}
}
