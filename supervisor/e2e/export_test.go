package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a pod of `export kubernetes` does, without a cluster: its file, a release made by that, which
// nobody can write to, what its Secret has in the environment, and commands in the release beside it.
func TestTheFilesOfAnExportServeAsAPodDoes(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1", `env = { COLOUR = "blue", API_TOKEN = "from env" }`, `env_file = "one.env"`, `working_dir = "{data}"`))
	if err := os.WriteFile(filepath.Join(w.Dir, "one.env"), []byte("export DB_PASSWORD='it is \"secret\"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := w.MustCLI("export", "env", "one")
	if secret != "API_TOKEN=from env\nDB_PASSWORD=it is \"secret\"\n" {
		t.Fatalf("the Secret has %q", secret)
	}
	base := filepath.Join(w.Dir, "k8s")
	if out, errOut, code := w.CLI("export", "kubernetes", "--image", "registry.example/one:r1", "--out", base); code != 0 || strings.Count(out, "\n") != 5 || !strings.Contains(errOut, "one: system_site_packages: ") {
		t.Fatalf("exit %d, %q %q", code, out, errOut)
	}
	// A root and a port of this test's own.
	text := strings.NewReplacer(`"/run/medctrl/builds"`, `"`+w.Root+`"`, "0.0.0.0:8000", w.Front).Replace(readAll(filepath.Join(base, "one.toml")))
	w.File, w.Prepared = filepath.Join(w.Dir, "pod.toml"), false
	if err := os.WriteFile(w.File, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}

	// The Containerfile's part.
	pre, data := filepath.Join(w.Dir, "image"), filepath.Join(w.Dir, "data")
	for _, dir := range []string{filepath.Join(pre, "one"), data} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(data, filepath.Join(pre, "one", "data")); err != nil {
		t.Fatal(err)
	}
	release := filepath.Base(strings.TrimSpace(w.MustCLI("build", "one", "--root", pre)))
	readOnly := []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`, pre}
	if exec.Command(readOnly[0], append(readOnly[1:], "true")...).Run() != nil {
		t.Log("no read-only mount here: it is served where it could be written to")
		readOnly = []string{"env"}
	}

	// The pod's.
	w.Wrap, w.StartArgs = readOnly, []string{"--prebuilt", pre, "--print-logs"}
	w.Env = strings.Split(strings.TrimSpace(secret), "\n")
	w.Start()
	if is := w.WaitState("one", "running"); is.Release != release {
		t.Errorf("release %s serves, want %s", is.Release, release)
	}
	answer, err := Ask("tcp", w.Front, "/")
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Environ map[string]string }
	if err := json.Unmarshal([]byte(answer.Body), &page); err != nil {
		t.Fatalf("%v: %s", err, answer.Body)
	}
	for name, want := range map[string]string{"DB_PASSWORD": `it is "secret"`, "API_TOKEN": "from env", "COLOUR": "blue", "MEDCTRL_DATA": filepath.Join(w.Root, "one", "data")} {
		if page.Environ[name] != want {
			t.Errorf("%s is %q, want %q", name, page.Environ[name], want)
		}
	}
	if to, err := filepath.EvalSymlinks(page.Environ["MEDCTRL_DATA"]); err != nil || to != data {
		t.Errorf("data is %s, %v, want %s", to, err, data)
	}
	if out, errOut, code := w.CLI("status", "--serving", "one"); code != 0 || out+errOut != "" {
		t.Errorf("a probe: exit %d, %q %q", code, out, errOut)
	}
	if log := w.Log(); strings.Contains(log, "secret") || strings.Contains(log, "[WARN]") || strings.Contains(log, "[ERROR]") {
		t.Errorf("the supervisor says:\n%s", log)
	}

	// That of a Job, a process and a schedule.
	inRelease := func(want string, code int, argv ...string) {
		t.Helper()
		cmd := exec.Command(readOnly[0], append(readOnly[1:], append([]string{Binary(t), "-c", w.File, "run", "--prebuilt", pre}, argv...)...)...)
		cmd.Env = append(os.Environ(), w.Env...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || strings.TrimSpace(string(out)) != want {
			t.Errorf("%v: exit %d, %q, want %d, %q", argv, got, out, code, want)
		}
	}
	inRelease(`it is "secret" one api_settings.settings.deploy_one `+release+" "+filepath.Join(data), 0, "one", "python", "-c",
		"import os; print(*map(os.environ.get, ['DB_PASSWORD', 'MEDCTRL_BUILD', 'DJANGO_SETTINGS_MODULE', 'MEDCTRL_RELEASE']), os.getcwd())")
	inRelease("b 0027", 3, "one", "env", "A=b", "sh", "-c", "echo $A $(umask); exit 3", "{app}")
	inRelease("told to end", 7, "--stop-signal", "QUIT", "one", "sh", "-c", `trap "echo told to end; exit 7" QUIT; kill -TERM $PPID; while :; do sleep 0.05; done`)
	inRelease("", 128+9, "--stop-signal", "TERM", "one", "sh", "-c", "kill -9 $$")

	// What its server prints is in the log of the pod, from the first line to the last.
	w.WaitLog("Starting gunicorn")
	w.Stop()
	if log := w.Log(); !strings.Contains(log, "Shutting down: Master") || strings.Count(log, "Starting gunicorn") != 1 {
		t.Errorf("the log of the pod has no last words, or first ones twice:\n%s", log)
	}
}

// A value comes with a start of the supervisor. Another one is another environment, also for a server
// that had outlived the supervisor before.
func TestAnotherPassedValueIsAnotherEnvironment(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, tiny(`pass_env = ["DB_PASSWORD", "GONE"]`))
	w.Env = []string{"DB_PASSWORD=first-secret"}
	w.Start()
	before := w.WaitState("one", "running").Pid
	again := func(value string) {
		t.Helper()
		w.Signal(syscall.SIGKILL)
		w.WaitEnd(10 * time.Second)
		w.Env = []string{"DB_PASSWORD=" + value}
		w.Start()
	}
	again("first-secret")
	if now := w.WaitState("one", "running").Pid; now != before {
		t.Errorf("with the same value another server serves: %d, was %d", now, before)
	}
	again("second-secret")
	now := w.WaitPid("one", before).Pid
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", now))
	if err != nil || !strings.Contains(string(environ), "\x00DB_PASSWORD=second-secret\x00") {
		t.Errorf("the server has %q, %v", environ, err)
	}
	if log := w.Log(); strings.Contains(log, "-secret") || strings.Count(log, "variables of pass_env are not in the supervisor's environment: build=one names=GONE") != 3 {
		t.Errorf("the supervisor says:\n%s", log)
	}
}
