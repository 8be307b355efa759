package build

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "exec-step" {
		os.Exit(process.ExecStep(os.Args[2:]))
	}
	os.Exit(m.Run())
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

func (r tableRunner) Running(prefix string) ([]string, error) { return r.table.FindTasks(prefix) }

func (r tableRunner) End(ctx context.Context, mark string) error {
	return r.table.EndTask(ctx, mark, 0)
}

type tableProcess struct{ *process.Child }

func (p tableProcess) Wait(ctx context.Context, grace time.Duration) error {
	exit, err := p.Child.Wait(ctx, grace)
	if err == nil && !exit.Clean() {
		err = errors.New(exit.String())
	}
	return err
}
