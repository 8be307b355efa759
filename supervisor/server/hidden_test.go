package server

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// "from None" takes the reason out of what is printed, and with it that another try may succeed.
func TestOutageThatAnApplicationHidesIsSeen(t *testing.T) {
	t.Parallel()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import gunicorn").Run(); err != nil {
		t.Skipf("%s cannot import gunicorn: apt install python3-gunicorn", python)
	}
	gunicorn := []string{"-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", "127.0.0.1:0", "app:app"}
	// As gunicorn ends a worker that could not boot (arbiter.py, spawn_worker), which takes a tenth of the time.
	worker := []string{"-c", `
import logging, sys, types
exec(compile(open("gunicorn.conf.py").read(), "conf", "exec"))
try:
    try:
        import app
    except Exception:
        logging.exception("Exception in worker process")
        sys.exit(3)
finally:
    worker_exit(None, types.SimpleNamespace(booted=False))
`}
	raising := func(first, second string) string {
		return "class OperationalError(Exception): pass\nclass DatabaseError(Exception): pass\n" +
			"try:\n    " + first + "\nexcept Exception:\n    " + second + "\n"
	}
	const refused = "__import__('socket').create_connection(('127.0.0.1', 1))"
	for name, c := range map[string]struct {
		app     string
		run     []string
		outside bool
	}{
		"in a worker":    {app: raising(refused, "raise ValueError('unusable') from None"), run: gunicorn, outside: true},
		"in the master":  {app: raising(refused, "raise ValueError('unusable') from None"), run: append(slices.Clone(gunicorn), "--preload"), outside: true},
		"twice":          {app: raising(raiseTwice, "raise ValueError('unusable') from None"), outside: true},
		"of a driver":    {app: raising("raise DatabaseError('server closed the connection unexpectedly\\n\\tmore')", "raise ImportError('unusable') from None"), outside: true},
		"another cause":  {app: raising(refused, "raise ValueError('unusable') from KeyError('x')"), outside: true},
		"a login":        {app: raising("raise DatabaseError(1045, 'Access denied for user')", "raise ValueError('unusable') from None")},
		"its own fault":  {app: raising("int('timed out, a secret')", "raise ValueError('unusable') from None")},
		"not any longer": {app: raising(refused, "pass") + "raise ValueError('unusable')\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for path, text := range map[string]string{"app.py": c.app, "gunicorn.conf.py": confConstant} {
				if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			run := c.run
			if run == nil {
				run = worker
			}
			cmd := exec.CommandContext(ctx, python, run...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Fatalf("%v, %v", err, ctx.Err())
			}
			lines := strings.Split(string(out), "\n")
			if FailedOutside(lines) != c.outside {
				t.Errorf("from outside: %v, want %v:\n%s", !c.outside, c.outside, out)
			}
			if strings.Contains(string(out), "a secret") {
				t.Errorf("what was hidden for a reason is shown:\n%s", out)
			}
			if words := strings.Join(lastWords(lines), " | "); c.outside && !strings.Contains(words, "caused by ") {
				t.Errorf("last words %q", words)
			}
		})
	}
}

const raiseTwice = `
    try: raise OSError(113, 'No route to host')
    except OSError: raise KeyError('x') from None`
