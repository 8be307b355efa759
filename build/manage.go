package build

import (
	"context"
	_ "embed" // the driver
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed driver.py
var driver string

// manager is a Python process that runs the commands of manage.py one after the other, as it is
// asked. Loading Django and the application takes longer than the commands themselves do (on an
// example 0.28 of the 0.30 s of CPU of `check`), so they share one loading.
type manager struct {
	process *command
	conn    *net.UnixConn // descriptor 3 of the process
	asked   int           // how often it was asked for something
}

// manage runs one command of manage.py. One that ends the process with exit code 0 itself has done
// its work: the next command gets another process. One that fails in a process that others had
// before it is run once more in a process of its own: there is what a process can do only once, such
// as multiprocessing.set_start_method.
func (j *job) manage(ctx context.Context, args ...string) error {
	if err := j.needManager(); err != nil {
		return err
	}
	shared := j.manager.asked > 0
	_, err := j.ask(ctx, strings.Join(args, "\x00"))
	if err == nil || !shared || ctx.Err() != nil || j.staticErr != nil {
		return err
	}
	if err := j.ownProcess(args[0], err); err != nil {
		return err
	}
	j.stage = stageUnknown
	_, err = j.ask(ctx, strings.Join(args, "\x00"))
	return err
}

// ownProcess starts another process for a command that failed in one that others had before.
func (j *job) ownProcess(command string, failed error) error {
	end(j.manager.process)
	_, err := fmt.Fprintf(j.log, "%s failed in the process of the command before it (%v): once more in one of its own\n", command, failed)
	if err != nil {
		return fmt.Errorf("write build log: %w", err)
	}
	return j.needManager()
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
	if err := j.makeStaticFolder(); err != nil {
		return err
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
	p, err := j.start(Command{
		Argv: []string{j.venvPython(), "-c", driver, j.app()}, Env: j.applicationEnv(), Dir: j.workingDir(), Extra: childs,
	})
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
	j.manager.asked++
	p, conn := j.manager.process, j.manager.conn
	served := make(chan error, 1)
	waiting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go func() { served <- j.serve(waiting, conn, request) }()
	select {
	case err = <-served:
	case <-p.Done():
		// A daemon that it left may hold its end of the socket for ever.
		_ = conn.SetReadDeadline(time.Now()) // of an open socket
		giveUp()
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
		j.manager.process.out.drain(true) // it has flushed what it printed
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

// serve takes locks, and hears how far a migration is and where static files go, until the
// request is done.
func (j *job) serve(ctx context.Context, conn *net.UnixConn, request string) error {
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
		said := string(buffer[:n])
		if name, ok := strings.CutPrefix(said, "lock "); ok {
			err = j.lockNamed(ctx, conn, request, name)
		} else if now, ok := strings.CutPrefix(said, "stage "); ok {
			j.stage = stage(now)
			_, err = conn.Write([]byte("noted")) // it waits for that: its end must not overtake it
		} else if text, ok := strings.CutPrefix(said, "lacks "); ok {
			j.lacks = printable(strings.ToValidUTF8(text[:min(len(text), mostLacks)], "?")) // it is the build's own word
			_, err = conn.Write([]byte("noted"))
		} else if dir, ok := strings.CutPrefix(said, "static "); ok {
			err = j.collectsFrom(conn, dir)
		} else {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve manage.py: %w", err)
		}
	}
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
