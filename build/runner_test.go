package build

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	if os.Getenv(childEnv) != "" { // is killed, so it makes no folder that it would have to remove
		os.Exit(m.Run())
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "build-")
		if err == nil {
			err = os.Chmod(dir, 0o755) // for steps of another user
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		preparedIn = dir
		if err := inParallel(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// inParallel lets more tests run at once than there are processors, unless -parallel says how many:
// they mostly wait for what they started.
func inParallel() error {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return nil
	}
	return flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
}

// tableRunner starts real processes, as the supervisor does.
type tableRunner struct{ table *process.Table }

// newRunner makes a Runner until the test has ended.
func newRunner(t testing.TB) Runner {
	t.Helper()
	table, err := process.NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return tableRunner{table}
}

func (r tableRunner) Start(c Command) (Process, error) {
	child, err := r.table.Spawn(process.Spec{
		Argv: c.Argv, Env: c.Env, Dir: c.Dir, User: (*process.Credential)(c.User), Umask: c.Umask,
		Stdout: c.Stdout, Stderr: c.Stderr, Extra: c.Extra, Task: c.Mark,
	}, nil)
	if err != nil {
		return nil, err
	}
	return tableProcess{child}, nil
}

func (r tableRunner) Running(prefix string, user int) ([]string, error) {
	return r.table.FindTasks(prefix, user)
}

func (r tableRunner) End(ctx context.Context, mark string, user int) error {
	return r.table.EndTask(ctx, mark, user, 0)
}

func (tableRunner) Alive(identity string) bool { return process.Alive(identity) }

type tableProcess struct{ *process.Child }

func (p tableProcess) Wait(ctx context.Context, grace time.Duration) error {
	exit, err := p.Child.Wait(ctx, grace)
	if err == nil && !exit.Clean() {
		err = errors.New(exit.String())
	}
	return err
}

// refusing is a Runner that cannot do anything.
type refusing struct{ Runner }

var errRefused = errors.New("refused")

func (refusing) Start(Command) (Process, error)        { return nil, errRefused }
func (refusing) Running(string, int) ([]string, error) { return nil, errRefused }

func TestStepThatCannotBeStartedFailsTheBuild(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	known := p.made(t)
	m := New(Options{Runner: refusing{}, Environ: os.Environ(), Known: p.m.Interpreters()})
	for name, change := range map[string]func(){
		"check":       func() { edit(t, p.SettingsFile(), "A = 1\n") },
		"migrate":     func() { p.Check = false },
		"environment": func() { p.write(t, "requirements.txt", "# other\n") },
	} {
		change()
		_, _, err := m.Make(t.Context(), p.request())
		var step *StepError
		if !errors.As(err, &step) || !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", name, err)
		}
		p.clean(t)
	}
	if _, _, err := New(Options{Runner: refusing{}, Environ: os.Environ()}).Make(t.Context(), p.request()); !errors.Is(err, errRefused) {
		t.Errorf("an interpreter that cannot be asked: %v", err)
	}
	if rel, err := Get(p.root, p.Name, known.ID); err != nil || rel.Hash != known.Hash {
		t.Errorf("the release before is %+v, %v", rel, err)
	}
}
