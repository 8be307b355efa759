package world

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// hooked is this machine's trees with a build that has hooks.
func hooked(t *testing.T) (trees, *config.Build) {
	t.Helper()
	table, err := process.NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	root := layout.Root(t.TempDir())
	if err := os.Mkdir(root.Build("one").Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	boxes := newBoxes()
	t.Cleanup(boxes.close)
	return trees{table: table, boxes: boxes, root: root, log: hclog.NewNullLogger()}, &config.Build{Name: "one", NoNewPrivs: true, Umask: 0o027}
}

func hookOf(t *testing.T, entry *config.Build, script string) actor.Hook {
	return actor.Hook{Argv: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: t.TempDir(), Entry: entry}
}

// What is set in one place holds for steps and hooks alike, as it does for servers.
func TestStepsAndHooksRunWithoutPrivileges(t *testing.T) {
	t.Parallel()
	const script = `
		grep -E "NoNewPrivs|CapEff|CapAmb" /proc/self/status
		grep core /proc/self/limits
		echo "nousersite=$PYTHONNOUSERSITE"
		[ "$(cat /proc/$$/oom_score_adj)" -gt "$OURS" ] && echo oom`
	tt, entry := hooked(t)
	ours, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	env := "OURS=" + strings.TrimSpace(string(ours))
	hook := hookOf(t, entry, script)
	hook.Env = append(hook.Env, env)
	byHook, err := tt.Run(t.Context(), hook)
	if err != nil {
		t.Fatal(err)
	}
	step := build.Command{Argv: hook.Argv, Env: hook.Env, Dir: hook.Dir}
	byStep, err := newRunner(tt.table).Run(t.Context(), step)
	if err != nil {
		t.Fatal(err)
	}
	for what, said := range map[string]string{"hook": byHook, "step": byStep} {
		said = strings.Join(strings.Fields(said), " ")
		const want = "CapEff: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1 Max core file size 0 0 bytes nousersite=1 oom"
		if said != want {
			t.Errorf("%s: %q, want %q", what, said, want)
		}
	}
	entry.NoNewPrivs = false
	hook.Argv[2], hook.Env = "grep NoNewPrivs /proc/self/status; echo $PYTHONNOUSERSITE", append(hook.Env, "PYTHONNOUSERSITE=no")
	if said, err := tt.Run(t.Context(), hook); err != nil || said != "NoNewPrivs:\t0\nno" {
		t.Errorf("without no_new_privs: %q, error %v", said, err)
	}
}

func TestHookHasAFolderForTemporaryFilesWhichIsRemovedThroughNoLink(t *testing.T) {
	t.Parallel()
	tt, entry := hooked(t)
	outside := t.TempDir()
	kept := filepath.Join(outside, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	said, err := tt.Run(t.Context(), hookOf(t, entry, fmt.Sprintf(`stat -c "%%a %%u" "$TMPDIR"; ln -s %s "$TMPDIR/link"; touch "$TMPDIR/file"; echo "$TMPDIR"`, outside)))
	if err != nil {
		t.Fatal(err)
	}
	mode, path, _ := strings.Cut(said, "\n")
	if want := fmt.Sprintf("700 %d", os.Geteuid()); mode != want || filepath.Dir(path) != tt.root.Build("one").Run() {
		t.Errorf("%s has mode and owner %s, want %s", path, mode, want)
	}
	if left, err := os.ReadDir(tt.root.Build("one").Run()); err != nil || len(left) != 0 {
		t.Errorf("left are %v, error %v", left, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error("a link led out of it:", err)
	}
	hook := hookOf(t, entry, `echo "$TMPDIR"`)
	hook.Env = append(hook.Env, "TMPDIR=/elsewhere")
	if said, err := tt.Run(t.Context(), hook); err != nil || said != "/elsewhere" {
		t.Errorf("where the entry names another it is %q, error %v", said, err)
	}
}

func TestHookOfADeadSupervisorIsEnded(t *testing.T) {
	t.Parallel()
	tt, entry := hooked(t)
	hook := hookOf(t, entry, `echo $$ > pid.new; mv pid.new pid; exec sleep 1000`)
	ended := make(chan error, 1)
	go func() {
		_, err := tt.Run(t.Context(), hook)
		ended <- err
	}()
	limit := time.After(30 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if _, err := os.Stat(filepath.Join(hook.Dir, "pid")); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the hook does not run")
		}
	}
	maker := build.New(build.Options{Runner: newRunner(tt.table), Log: hclog.NewNullLogger()})
	if err := maker.Tidy(string(tt.root), "one"); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err == nil || err.Error() != "killed by SIGKILL" {
			t.Errorf("it ended: %v", err)
		}
	case <-limit:
		t.Error("it is left")
	}
	if left, err := os.ReadDir(tt.root.Build("one").Run()); err != nil || len(left) != 0 {
		t.Errorf("left are %v, error %v", left, err)
	}
}

func TestOnlyTemporaryFilesOfGenerationsThatAreGoneAreDropped(t *testing.T) {
	t.Parallel()
	b := layout.Root(t.TempDir()).Build("one")
	keep := []string{b.Conf("a"), b.Temp(2), b.TempOf("id"), filepath.Join(b.Run(), "tmp-x"), filepath.Join(b.Run(), "other")}
	for _, path := range append([]string{b.Conf("b"), b.Temp(1)}, keep...) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if _, conf := layout.ConfKey(path); conf {
			err = os.WriteFile(path, nil, 0o644)
		} else {
			err = os.Mkdir(path, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := (host{}).DropFiles(b, keep[:2]...); err != nil {
			t.Error(err)
		}
	}
	for _, path := range keep {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(b.Run()); err != nil || len(left) != len(keep) {
		t.Errorf("left are %v, error %v", left, err)
	}
	if err := (host{}).DropFiles(layout.Root(t.TempDir()).Build("none")); err != nil {
		t.Error(err)
	}
	for mark, want := range map[string]string{
		"id/one/12": "/r/one/run/tmp-12", "id/../12": "", "id/one/0": "", "id/one": "", "": "", "id/one/x": "",
	} {
		if got := tempOf("/r", mark); got != want {
			t.Errorf("folder of %s is %q, want %q", mark, got, want)
		}
	}
}
