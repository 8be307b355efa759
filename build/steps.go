package build

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// exec runs a command of the current step with the build's environment, user
// and umask.
func (j *job) exec(ctx context.Context, c command) error {
	c.env = append([]string(nil), j.env...)
	if j.as.Home != "" && j.b.Env["HOME"] == "" {
		c.env = append(c.env, "HOME="+j.as.Home)
	}
	c.env = append(c.env,
		"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
		"DJANGO_SETTINGS_MODULE="+j.b.SettingsModule(),
		"VIRTUAL_ENV="+j.venv,
		"MEDCTRL_BUILD="+j.b.Name, "MEDCTRL_RELEASE="+j.id,
		"MEDCTRL_DATA="+filepath.Join(j.dir, "data"))
	c.as, c.umask = j.as, j.b.Umask
	return c.run(ctx, j.log, j.b.StepTimeout, j.mark())
}

// mark is by what the processes of this very build are found.
func (j *job) mark() string    { return "MEDCTRL_STEP=" + j.temp }
func (j *job) app() string     { return filepath.Join(j.temp, j.b.AppDir) }
func (j *job) python3() string { return filepath.Join(j.venv, "bin", "python") }

func (j *job) stepSettings(context.Context) (bool, error) {
	wrong := config.CheckSettings(j.b)
	if len(wrong) > 0 {
		return false, config.Errors(wrong)
	}
	return false, nil
}

// settled is how often a source that changes while it is copied is tried again.
const settled = 5

func (j *job) stepCopy(ctx context.Context) (bool, error) {
	for try := 1; ; try++ {
		if err := os.RemoveAll(j.app()); err != nil {
			return false, err
		}
		if err := os.MkdirAll(filepath.Dir(j.app()), 0o750); err != nil {
			return false, err
		}
		copied, err := copyTree(ctx, j.b.AppPath(), j.app())
		if err != nil {
			return false, err
		}
		now, err := readTree(ctx, j.b)
		if err != nil {
			return false, err
		}
		requirements, err := readRequirements(j.b)
		if err != nil {
			return false, err
		}
		hash, err := identity(j.b, copied, requirements, j.venvID)
		if err != nil {
			return false, err
		}
		after, err := identity(j.b, now, requirements, j.venvID)
		if err != nil {
			return false, err
		}
		if requirements == j.requirements && hash == after {
			j.source, j.hash = copied, hash
			break
		}
		if try == settled {
			return false, errors.New("the source changes faster than it can be copied: is something writing in it?")
		}
		if requirements != j.requirements {
			return false, errors.New("the requirements changed meanwhile")
		}
	}
	for _, path := range RequirementFiles(j.b) {
		if rel, err := filepath.Rel(j.b.Source, path); err == nil && filepath.IsLocal(rel) {
			to := filepath.Join(j.temp, rel)
			if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
				return false, err
			}
			if _, err := os.Lstat(to); err == nil {
				continue // it is inside the application
			}
			if _, err := copyFile(path, to); err != nil {
				return false, err
			}
		}
	}
	if j.before != nil && j.before.VenvID == j.venvID {
		reuseBytecode(j.app(), j.source, j.before.Dir)
	}
	// The steps run as the build's user and must be able to read it.
	return false, seal(j.temp, j.as.GID)
}

func (j *job) stepEnvironment(ctx context.Context) (bool, error) {
	if complete(j.venv) {
		return true, nil
	}
	return false, j.makeEnvironment(ctx)
}

func (j *job) stepInstall(ctx context.Context) (bool, error) {
	if complete(j.venv) {
		return true, j.needGunicorn()
	}
	if err := j.install(ctx); err != nil {
		return false, err
	}
	return false, j.needGunicorn()
}

// stepCompile compiles what is not compiled, as ourselves: it runs nothing of
// the application, and the application must not be able to write its bytecode.
// -d has tracebacks show the final path. A file that does not compile, a
// template for another Python say, matters only when it is imported.
func (j *job) stepCompile(ctx context.Context) (bool, error) {
	final := filepath.Join(j.dir, releasesDir, j.id, j.b.AppDir)
	err := command{
		argv: []string{j.python3(), "-I", "-m", "compileall", "-q", "-d", final, "."},
		dir:  j.app(), env: j.env, as: config.Identity{UID: -1, GID: -1}, umask: 0o027,
	}.run(ctx, j.log, j.b.StepTimeout, j.mark())
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(j.log, "not everything could be compiled: %v\n", err) // it is a remark
		err = nil
	}
	if err == nil {
		err = seal(j.app(), j.as.GID)
	}
	return false, err
}

func (j *job) stepCheck(ctx context.Context) (bool, error) {
	if !j.b.Check {
		return true, nil
	}
	return false, j.manage(ctx, "check", "--deploy")
}

func (j *job) stepCollectStatic(ctx context.Context) (bool, error) {
	if !j.b.CollectStatic {
		return true, nil
	}
	return false, j.manage(ctx, "collectstatic", "--noinput")
}

func (j *job) manage(ctx context.Context, args ...string) error {
	return j.exec(ctx, command{argv: append([]string{j.python3(), "manage.py"}, args...), dir: j.app()})
}

// migrateWith runs manage.py migrate in the same process that asks for the
// locks of its databases, so that Django is loaded once, and so that a lock is
// held as long as the process that needs it, whatever becomes of us. For each
// database it writes a line to descriptor 3 and gets the lock file by
// SCM_RIGHTS (unix(7)).
const migrateWith = `
import array, fcntl, os, runpy, socket, sys
sys.path.insert(0, os.getcwd())
held = []
with socket.socket(fileno=3) as s:
    try:
        from django.conf import settings
        databases = settings.DATABASES
    except ImportError as e:
        if not (e.name or "").startswith("django"):
            raise
        databases = {}
    names = set()
    for d in databases.values():
        name = str(d.get("NAME", ""))
        if "sqlite" in str(d.get("ENGINE", "")) and ":memory:" not in name:
            name = os.path.realpath(name)
        names.add("|".join((str(d.get("ENGINE", "")), str(d.get("HOST", "")), str(d.get("PORT", "")), name)))
    for name in sorted(names):
        s.sendall(name.replace("\n", " ").encode() + b"\n")
        fds = array.array("i")
        _, ancillary, _, _ = s.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
        fds.frombytes(ancillary[0][2][:fds.itemsize])
        held.append(fds[0])
        try:
            fcntl.flock(fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another migration of this database runs, waiting for it", flush=True)
            fcntl.flock(fds[0], fcntl.LOCK_EX)
sys.argv = ["manage.py", "migrate", "--noinput"]
runpy.run_path("manage.py", run_name="__main__")
`

func (j *job) stepMigrate(ctx context.Context) (bool, error) {
	if !j.b.Migrate {
		return true, nil
	}
	if j.Irreversible != nil {
		j.Irreversible()
	}
	if err := ctx.Err(); err != nil {
		return false, err // cancelled at the last moment
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("make socket for locks: %w", err)
	}
	ours, childs := os.NewFile(uintptr(fds[0]), "locks"), os.NewFile(uintptr(fds[1]), "locks of child")
	conn, err := net.FileConn(ours)
	ours.Close() // conn has its own
	if err != nil {
		childs.Close()
		return false, fmt.Errorf("make socket for locks: %w", err)
	}
	locked := make(chan error, 1)
	go func() { locked <- j.handOutLocks(conn.(*net.UnixConn)) }()
	err = j.exec(ctx, command{argv: []string{j.python3(), "-c", migrateWith}, dir: j.app(), extra: childs})
	childs.Close()
	conn.Close() // ends handOutLocks
	if lerr := <-locked; err != nil && lerr != nil {
		err = fmt.Errorf("%w (%w)", err, lerr)
	}
	return false, err
}

// handOutLocks gives the child the lock file of each database it names.
func (j *job) handOutLocks(conn *net.UnixConn) error {
	dir := filepath.Join(j.Root, ".supervisor", "migrate")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for migration locks: %w", err)
	}
	names := bufio.NewScanner(conn)
	for names.Scan() {
		path := filepath.Join(dir, fmt.Sprintf("%x.lock", sha256.Sum256(names.Bytes()))[:16]+".lock")
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("open migration lock: %w", err)
		}
		_, _, err = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil)
		f.Close() // the child has it now, and the lock with it
		if err != nil {
			return fmt.Errorf("hand out migration lock: %w", err)
		}
	}
	return nil // the connection ends with the child
}
