package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestActionsShowTheirProgressAndResult(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{act: func(_ context.Context, name string, args map[string]string, progress func(string)) error {
		progress(name + ": step 1 of 8: settings")
		return nil
	}}
	d.serve(f)
	for _, c := range []struct{ args, out, asked string }{
		{"start development", "development: step 1 of 8: settings\ndevelopment: start done\n", "start development map[]"},
		{"stop 'dev*'", "development: step 1 of 8: settings\ndevelopment: stop done\n", "stop development map[]"},
		{"rebuild testing --no-wait --fresh", "testing: step 1 of 8: settings\ntesting: rebuild requested\n", "rebuild testing map[fresh:yes wait:no]"},
		{"rebuild testing --no-wait", "testing: step 1 of 8: settings\ntesting: rebuild requested\n", "rebuild testing map[wait:no]"},
		{"rollback testing --to 2026", "testing: step 1 of 8: settings\ntesting: rollback done\n", "rollback testing map[to:2026]"},
	} {
		out, errOut, code := d.run(shellWords(c.args)...)
		if asked := f.took(); code != 0 || out != c.out || errOut != "" || !slices.Equal(asked, []string{c.asked}) {
			t.Errorf("%s: exit %d, %q %q, asked for %q", c.args, code, out, errOut, asked)
		}
	}
	if _, _, code := d.run("rollback", "--all"); code != 0 {
		t.Errorf("rollback of all: exit %d", code)
	} else if asked := f.took(); len(asked) != 2 || !slices.Contains(asked, "rollback development map[]") {
		t.Errorf("rollback of all asked for %q", asked)
	}
	out, _, code := d.run("stop") // nobody to ask whether that is meant
	if asked := f.took(); code != 0 || len(asked) != 2 || !strings.Contains(out, "testing: stop done\n") {
		t.Errorf("stop of all: exit %d, %q, asked for %q", code, out, asked)
	}
}

func TestAnActionThatFailsForOneBuildIsCarriedOutOnTheOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{act: func(_ context.Context, name string, _ map[string]string, _ func(string)) error {
		if name == "development" {
			return errors.New("build step check: exit code 1")
		}
		return nil
	}})
	out, errOut, code := d.run("rebuild")
	if code != exitFailed || out != "testing: rebuild done\n" ||
		errOut != "development: rebuild failed: build step check: exit code 1\nmedctrl-supervisor: rebuild failed for 1 of 2 builds: development\n" {
		t.Errorf("of all: exit %d, %q %q", code, out, errOut)
	}
	out, errOut, code = d.run("rebuild", "development")
	if code != exitFailed || out != "" || errOut != "development: rebuild failed: build step check: exit code 1\n" {
		t.Errorf("of one: exit %d, %q %q", code, out, errOut)
	}
}

// hold is an action that goes on until its client is gone.
func hold(ctx context.Context, name string, _ map[string]string, progress func(string)) error {
	progress(name + ": draining")
	<-ctx.Done()
	return ctx.Err()
}

func TestAnInterruptedCommandSaysThatTheActionGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{act: hold})
	out, end := d.start("restart", "development")
	out.awaitText("draining")
	if code := end(); code != exitFailed || !strings.Contains(out.since(0), "interrupted: the restart of development continues: see `medctrl-supervisor -c "+d.file+" status`") {
		t.Errorf("exit %d, %q", code, out.since(0))
	}
}

// The program itself, with the signal that a terminal sends.
func TestCtrlCSaysWhatContinuesAndHowToLook(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			continue // by nohup, or a shell that runs the tests in the background
		}
		for _, args := range [][]string{{"start"}, {"stop"}, {"restart"}, {"rebuild"}, {"rollback"}, {"deploy"}, {"upgrade"}} {
			d := newDesk(t)
			waiting := make(chan struct{})
			begun := sync.OnceFunc(func() { close(waiting) })
			d.serve(&fake{
				act: func(ctx context.Context, name string, args map[string]string, progress func(string)) error {
					begun()
					return hold(ctx, name, args, progress)
				},
				deploy: func(ctx context.Context, name string, progress func(string)) (control.Deployed, error) {
					begun()
					return control.Deployed{}, hold(ctx, name, nil, progress)
				},
				upgrade: func(progress func(string)) error {
					progress("waiting: one is migrating")
					begun()
					<-t.Context().Done()
					return errors.New("the test is over")
				},
			})
			if args[0] != "upgrade" {
				args = append(args, "development")
			}
			cmd := exec.Command(filepath.Join(d.bin, programName), append([]string{"-c", d.file}, args...)...)
			var said bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.env(), &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-waiting:
			case <-time.After(60 * time.Second):
				t.Errorf("%s does not ask for anything", args[0])
			}
			err := errors.Join(cmd.Process.Signal(sig), cmd.Wait())
			errOut, code := said.String(), cmd.ProcessState.ExitCode()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Error(err)
			}
			if code != 128+int(sig) || !strings.Contains(errOut, "interrupted: the "+args[0]) || !strings.Contains(errOut, "medctrl-supervisor -c "+d.file+" status") {
				t.Errorf("%s and %v: exit %d, %q", args[0], sig, code, errOut)
			}
		}
	}
}

func TestASupervisorThatEndsDuringAnActionIsAFailure(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stop := d.serve(&fake{act: hold})
	out, end := d.start("restart", "development")
	out.awaitText("draining")
	stop()
	out.awaitText("development: restart failed: ")
	if code := end(); code != exitFailed {
		t.Errorf("exit %d, %q", code, out.since(0))
	}
}

// It ended between the list of builds and the action: that is no build's failure.
func TestASupervisorThatEndedBeforeAnActionIsExitCode3(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{})()
	cl, err := client(d.file)
	if err != nil {
		t.Fatal(err)
	}
	cmd := Root("test")
	cmd.SetContext(t.Context())
	out := newTranscript(t)
	cmd.SetOut(out)
	cmd.SetErr(out)
	if err := act(cmd, cl, "restart", []string{"development", "testing"}, nil); err == nil || err.(exitError).code != exitNoSupervisor {
		t.Errorf("%v, %q", err, out.since(0))
	}
}

func TestServersAreNotStartedForAllBuildsAtOnce(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]int{"restart": 2 * runtime.NumCPU(), "rollback": 2 * runtime.NumCPU(), "stop": 1000, "rebuild": 1000, "start": 1000} {
		if got := atOnce(action, 1000); got != want {
			t.Errorf("%s of 1000: %d at once, want %d", action, got, want)
		}
		if got := atOnce(action, 1); got != 1 {
			t.Errorf("%s of one: %d at once", action, got)
		}
	}
}

func TestAPersonIsAskedBeforeAllIsStopped(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{}
	d.serve(f)
	for reply, want := range map[string]int{"n\n": exitFailed, "\n": exitFailed, "y\n": exitDone, "Yes\n": exitDone, "\x04": exitFailed} {
		term := openTerminal(t)
		code := make(chan int, 1)
		go func() { code <- d.runIn(t.Context(), term.program, term.program, term.program, "stop") }()
		term.awaitText("Stop development, testing? [y/N] ")
		term.types(reply)
		if code := <-code; code != want {
			t.Errorf("%q: exit %d", reply, code)
		}
		if asked := f.took(); (len(asked) == 2) != (want == exitDone) {
			t.Errorf("%q: asked for %q", reply, asked)
		}
	}
}

func TestReloadPrintsWhatChangesOrTheMistakes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var changes []string
	var mistakes error
	d.serve(&fake{reload: func(dry bool) ([]string, error) {
		for i := range changes {
			changes[i] = fmt.Sprintf("%s (dry run: %v)", changes[i], dry)
		}
		return changes, mistakes
	}})
	if out, _, code := d.run("reload"); code != 0 || out != "nothing changed, in the file or in what the builds are made of\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	changes = []string{"one: workers 1 -> 2"}
	if out, _, code := d.run("reload", "--dry-run"); code != 0 || out != "one: workers 1 -> 2 (dry run: true)\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	mistakes = errors.New("builds.toml:1:1: unknown key")
	if out, errOut, code := d.run("reload"); code != exitFailed || out != "" || !strings.Contains(errOut, "builds.toml:1:1: unknown key") {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
}

func TestUpgradeSaysWhoIsRunningThen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var refused error
	var asked atomic.Int32
	d.serve(&fake{upgrade: func(progress func(string)) error {
		asked.Add(1)
		progress("waiting for a migration")
		return refused
	}})
	if out, errOut, code := d.run("upgrade"); code != 0 || out != "waiting for a migration\nupgraded from 1.0 to 1.0, pid 1\n" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	refused = errors.New("the new program does not accept the file")
	if _, errOut, code := d.run("upgrade"); code != exitFailed || !strings.Contains(errOut, refused.Error()) || asked.Load() != 2 {
		t.Errorf("exit %d, %q, asked %d times", code, errOut, asked.Load())
	}
}
