package build

import (
	"context"
	"crypto/sha256"
	_ "embed" // the driver
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

//go:embed driver.py
var driver string

// manager is a Python process that runs the commands of manage.py one after the other, as it is
// asked. Loading Django and the application takes longer than the commands themselves do (on an
// example 0.28 of the 0.30 s of CPU of `check`), so they share one loading.
type manager struct {
	process Process
	conn    *net.UnixConn // descriptor 3 of the process
}

// migratesFile lies in the folder of a release that is prepared and is locked (flock(2)) by the
// process that migrates, as long as it does: one that is still there when its supervisor is not
// must not be ended half-way.
const migratesFile = "migrates.lock"

// manage runs one command of manage.py. One that ends the process with exit code 0 itself has done
// its work: the next command gets another process.
func (j *job) manage(ctx context.Context, args ...string) error {
	if err := j.needManager(); err != nil {
		return err
	}
	_, err := j.ask(ctx, strings.Join(args, "\x00"))
	return err
}

// migrate takes the locks of all databases, then runs manage.py migrate in the process that holds
// them.
func (j *job) migrate(ctx context.Context) error {
	if err := j.needManager(); err != nil {
		return err
	}
	alive, err := j.ask(ctx, "lock")
	if err != nil {
		return err
	}
	if !alive {
		return errors.New("the process ended while it read the settings: do they call exit?")
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if j.Irreversible != nil {
		j.Irreversible()
	}
	if err := ctx.Err(); err != nil { // by that very call
		return context.Cause(ctx)
	}
	if _, err = j.ask(ctx, "migrate\x00--noinput"); err != nil {
		return err
	}
	return os.Remove(filepath.Join(j.temp, migratesFile))
}

// needManager starts the process where none is running.
func (j *job) needManager() error {
	if j.manager != nil {
		select {
		case <-j.manager.process.Done():
			j.manager.conn.Close() // its other end is gone
			end(j.manager.process) // what it left behind
			j.manager = nil
		default:
			return nil
		}
	}
	// Packets, so that a message is one on both sides.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make socket to manage.py: %w", err)
	}
	ours, childs := os.NewFile(uintptr(fds[0]), "manage.py"), os.NewFile(uintptr(fds[1]), "descriptor 3")
	defer childs.Close()
	conn, err := net.FileConn(ours)
	ours.Close() // conn has its own
	if err != nil {
		return fmt.Errorf("make socket to manage.py: %w", err)
	}
	p, err := j.start(Command{Argv: []string{j.venvPython(), "-c", driver}, Dir: j.app(), Extra: childs})
	if err != nil {
		conn.Close()
		return err
	}
	j.manager = &manager{process: p, conn: conn.(*net.UnixConn)}
	return nil
}

// ask sends a request to the process and serves it until the request is done. alive says whether it
// can be asked again.
func (j *job) ask(ctx context.Context, request string) (alive bool, err error) {
	p, conn := j.manager.process, j.manager.conn
	served := make(chan error, 1)
	go func() { served <- j.serve(conn, request) }()
	select {
	case err = <-served:
	case <-p.Done():
		// A daemon that it left may hold its end of the socket for ever.
		_ = conn.SetReadDeadline(time.Now()) // of an open socket
		if <-served != nil {
			return false, p.Wait(ctx, afterTerm)
		}
	case <-ctx.Done():
		end(p)
		conn.Close() // where a grandchild still holds the other end
		<-served
		return false, context.Cause(ctx)
	}
	if err == nil {
		return true, nil
	}
	if errors.Is(err, errHungUp) {
		err = p.Wait(ctx, afterTerm) // its exit code tells more
		return false, err
	}
	end(p)
	return false, err
}

var errHungUp = errors.New("manage.py hung up")

// serve hands out locks until the request is done.
func (j *job) serve(conn *net.UnixConn, request string) error {
	// A process that is gone already is seen by the read.
	if _, err := conn.Write([]byte(request)); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("ask manage.py: %w", err)
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buffer)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET), err == nil && n == 0:
			return errHungUp
		case err != nil:
			return fmt.Errorf("hear from manage.py: %w", err)
		}
		name, isLock := strings.CutPrefix(string(buffer[:n]), "lock ")
		if !isLock {
			return nil
		}
		if err := j.handOutLock(conn, name); err != nil {
			return err
		}
	}
}

// handOutLock gives the process the lock file of a database, or its migratesFile for no name
// (SCM_RIGHTS, unix(7)): the process may be another user's, who cannot open it.
func (j *job) handOutLock(conn *net.UnixConn, name string) error {
	if path, ok := strings.CutPrefix(name, "file "); ok && strings.HasPrefix(path, j.temp+"/") {
		j.maker.Log.Warn("the database lies in the release and is lost with it: put it under MEDCTRL_DATA",
			"build", j.b.Name, "path", strings.TrimPrefix(path, j.temp+"/"))
	}
	dir := layout.Root(j.Root).MigrationLocks()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for migration locks: %w", err)
	}
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(dir, fmt.Sprintf("%x.lock", sum[:8]))
	if name == "" {
		path = filepath.Join(j.temp, migratesFile)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open migration lock: %w", err)
	}
	defer f.Close() // the process has it then, and the lock with it
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("hand out migration lock: %w", err)
	}
	return nil
}

// dismiss tells the process that nothing more will come. gone waits for its end after that; how it
// ends no longer matters, all it was asked for is done.
func (j *job) dismiss() (gone func(context.Context)) {
	m := j.manager
	if m == nil {
		return func(context.Context) {}
	}
	j.manager = nil
	m.conn.Close() // nothing was written that could be lost
	return func(ctx context.Context) { _ = m.process.Wait(ctx, afterTerm) }
}
