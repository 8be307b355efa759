package build

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/build/traceback"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Look asks whether a release would work in another environment than that of its steps.
type Look struct {
	Root    string // absolute
	Build   config.Build
	Release Release
	Environ []string // of the build (config.Environ)
}

// LookError says why a release would not work.
type LookError struct {
	Err  error
	Tail []string // last lines of the output
	Away bool     // something could not be reached, which may pass by itself
}

// Error is what was tried and what became of it.
func (e *LookError) Error() string {
	text := fmt.Sprintf("check of the changed environment: %v", e.Err)
	if len(e.Tail) > 0 {
		text += "; last output: " + strings.Join(e.Tail, " | ")
	}
	return text
}

func (e *LookError) Unwrap() error { return e.Err }

// Check looks at the databases of a release as its steps do, in another environment: it logs in to
// those that are migrated, looks for migrations that they lack, and runs manage.py check. It changes
// nothing, and does nothing of what the build's migrate and check switch off. The error is a
// *LookError, but where ctx has ended.
func (m *Maker) Check(ctx context.Context, l Look) error {
	b := l.Build
	if !b.Migrate && !b.Check {
		return nil
	}
	if err := m.looks.take(ctx); err != nil {
		return err
	}
	defer m.looks.give()
	limited, cancel := context.WithTimeoutCause(ctx, b.StepTimeout,
		fmt.Errorf("ended because it took longer than step_timeout, %v", b.StepTimeout))
	defer cancel()
	j := &job{maker: m, Request: Request{Root: l.Root, Build: b}, b: b, dir: folderOf(l.Root, b.Name),
		workplace: workplace{id: l.Release.ID, temp: l.Release.Dir}}
	j.venv, j.reads, j.interpreter = l.Release.Venv, &inputs.Reads{}, l.Release.Interpreter
	err := j.look(limited, l.Environ)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (j *job) look(ctx context.Context, environ []string) (err error) {
	if j.as, err = config.IdentityOf(j.b); err != nil {
		return &LookError{Err: err}
	}
	j.env = withHome(environ, j.maker.Environ, j.as)
	if err := j.makeTemp("look-" + rand.Text()); err != nil {
		return &LookError{Err: err, Away: true}
	}
	defer j.dropTemp()
	fd, err := unix.MemfdCreate("check", unix.MFD_CLOEXEC)
	if err != nil {
		return &LookError{Err: fmt.Errorf("make a file for output: %w", os.NewSyscallError("memfd_create", err)), Away: true}
	}
	j.log = os.NewFile(uintptr(fd), "check")
	defer j.log.Close() // it is in memory: nothing is lost
	started, err := j.lookOnce(ctx)
	if err == nil {
		return nil
	}
	lines := tail(j.log, 0)
	for i, line := range lines {
		lines[i] = j.inSource(line)
	}
	// Where it was not the command itself that said no, the host may have been busy, or short of
	// memory.
	refused := started && ctx.Err() == nil && strings.HasPrefix(err.Error(), "exit code ")
	return &LookError{Err: j.shown(err), Tail: lines, Away: !refused || j.stage == stageAway || traceback.Outside(lines)}
}

func (j *job) lookOnce(ctx context.Context) (started bool, err error) {
	request := []string{"look", "no check"}
	if j.b.Check {
		request[1] = "check"
	}
	request = append(request, j.b.Elsewhere.Host)
	if j.b.Migrate {
		request = append(request, migratedBy(j.b)...)
	}
	if err := j.needManager(); err != nil {
		return false, err
	}
	m := j.manager
	defer func() {
		end(m.process) // it has changed nothing that could be left half done
		m.conn.Close()
	}()
	_, err = j.ask(ctx, strings.Join(request, "\x00"))
	return true, err
}
