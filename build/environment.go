package build

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

var venvID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// environmentID stands for an environment: whatever has the same needs no other. Where it sees the
// interpreter's own packages their versions count too, for what pip found there it did not install.
// The group counts because the environment's files belong to it.
func environmentID(p Interpreter, requirements string, b config.Build, gid int) string {
	h := sha256.New()
	fmt.Fprintf(h, "environment 2\n%s\n%s\n%s\n%q\n%d\n", p.Path, p.Version, requirements, b.PipArgs, gid)
	if b.SystemSitePackages {
		fmt.Fprintf(h, "%q\n", p.installed())
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// chooseEnvironment chooses the environment that the newest release of the same requirements has,
// else one that is named after them: of those that somebody asked to be made anew, the last one is
// used from then on. One that is damaged is left to what serves from it.
func (j *job) chooseEnvironment(ctx context.Context) {
	j.environment = environmentID(j.python, j.requirements, j.b, j.as.GID)
	j.venvID = j.environment
	for i := len(j.all) - 1; i >= 0; i-- {
		if of := cmp.Or(j.all[i].Environment, j.all[i].VenvID); of == j.environment {
			j.venvID = j.all[i].VenvID
			break
		}
	}
	if j.Fresh {
		sum := sha256.Sum256(fmt.Appendf(nil, "fresh %s %d", j.environment, time.Now().UnixNano()))
		j.venvID = hex.EncodeToString(sum[:])[:16]
	}
	j.venv = j.dir.Venv(j.venvID)
	j.replaceDamaged(ctx)
}

// useEnvironments keeps Prune from environments that a build uses before a
// release does, until the returned file is closed.
func useEnvironments(dir layout.Build) (*os.File, error) {
	f, err := os.Open(dir.Venvs())
	if err != nil {
		return nil, fmt.Errorf("hold environments: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		f.Close() // the first error counts
		return nil, fmt.Errorf("hold environments: %w", err)
	}
	return f, nil
}

// makeEnvironment makes the environment's folder, in its final place: one cannot be moved.
func (j *job) makeEnvironment(ctx context.Context) error {
	// From here on nothing in it is believed, whatever a package writes there.
	if err := writeEnvironmentRecord(j.venv, environmentRecord{}); err != nil {
		return err
	}
	if err := os.RemoveAll(j.venv); err != nil { // half of one
		return fmt.Errorf("remove half an environment: %w", err)
	}
	if err := MakeFolder(j.venv, 0o750, j.as.UID, j.as.GID); err != nil {
		return err
	}
	argv := []string{j.python.Path, "-m", "venv", "--without-pip"}
	if j.b.SystemSitePackages {
		argv = append(argv, "--system-site-packages")
	}
	err := j.exec(ctx, Command{Argv: append(argv, j.venv), Dir: j.venv, Box: j.installBox()})
	if err != nil && ctx.Err() == nil && MayNotEnter(j.venv, j.as) == nil {
		return fmt.Errorf("make a virtual environment with %s: %w; where its module venv is missing: apt install python3-venv", j.python.Path, err)
	}
	return err
}

// install installs the requirements and records that the environment is complete.
func (j *job) install(ctx context.Context) error {
	if err := j.installRequirements(ctx); err != nil {
		return err
	}
	// What was installed must be what the environment's name says.
	if err := j.sameRequirements(ctx); err != nil {
		return err
	}
	record := environmentRecord{Complete: true}
	if j.exec(ctx, Command{Argv: []string{j.venvPython(), "-I", "-c", lookForGunicorn}, Dir: j.venv}) == nil {
		record.Gunicorn = true
	} else if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Nothing is left of these commands that could write into what follows.
	if err := seal(j.venv, j.as.GID, j.as.UID); err != nil {
		return err
	}
	if sum, err := environmentSum(ctx, j.venv, j.as); err == nil {
		record.Sum = sum
	} else if ctx.Err() != nil {
		return context.Cause(ctx)
	} // else a package keeps something from its user itself, and has always done so
	if err := syncTree(j.venv); err != nil {
		return err
	}
	if err := syncOne(filepath.Dir(j.venv)); err != nil {
		return err
	}
	return writeEnvironmentRecord(j.venv, record)
}

// lookForGunicorn is quiet where there is none, which may be meant, and not where it is broken.
const lookForGunicorn = `
try:
    import gunicorn
except ModuleNotFoundError as e:
    if e.name != "gunicorn":
        raise
    raise SystemExit(1)
`

func writeNew(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
