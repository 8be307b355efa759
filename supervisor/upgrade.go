package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// AcceptCommand is the command by which a new binary is asked whether it could
// take over: it prints what Accept answers as JSON, or fails.
const AcceptCommand = "accept-upgrade"

// Acceptance is a new binary's word that it could take over.
type Acceptance struct {
	Version  string
	Handover int // the newest version of a handover that it reads
}

// Accept says whether this program could take over the supervision of cfg: the
// error is why not, of a state that a later version wrote.
func Accept(cfg *config.Config, version string) (Acceptance, error) {
	_, err := state.Understood(stateDir(cfg.Root))
	return Acceptance{version, handoverVersion}, err
}

func stateDir(root string) string { return filepath.Join(root, ".supervisor", "state") }

var errUpgrading = errors.New("an upgrade is under way: try again in a moment")

const (
	acceptLimit  = 30 * time.Second       // for a new binary to say whether it accepts
	upgradeLimit = 30 * time.Minute       // for what must not be cut off: a migration at most
	upgradePoll  = 100 * time.Millisecond // between two looks at whether it is over
)

func (s *Supervisor) upgrading() bool { return s.succeed.Load() }

// Upgrade executes the program that is at our path by now in our place, with our
// pid, children and listeners. It returns only where that could not be done, and
// then everything is as before. A migration and clients that are being passed on are
// waited for, any other build begins anew.
func (s *Supervisor) Upgrade(ctx context.Context, progress func(string)) error {
	if !s.succeed.CompareAndSwap(false, true) {
		return errUpgrading
	}
	open := s.gate.close()
	defer func() {
		open()
		s.succeed.Store(false)
		_ = s.do(context.Background(), func() {}) // takes up what was missed; it errs at the end only
	}()
	ctx, cancel := context.WithTimeout(ctx, upgradeLimit)
	defer cancel()
	next, err := s.askSuccessor(ctx)
	if err != nil {
		return err
	}
	s.handed.watchesClosed()
	progress(fmt.Sprintf("%s %s accepts the file and the state", s.Args[0], next.Version))
	told := progressOf(progress)
	for {
		err := s.tryUpgrade(ctx, next)
		var busy *busyError
		if !errors.As(err, &busy) {
			return err
		}
		told(err)
		select {
		case <-time.After(upgradePoll):
		case <-ctx.Done():
			return fmt.Errorf("upgrade: still %w", err)
		}
	}
}

// askSuccessor has the program that is at our path by now say whether it accepts
// the file and the state as they are.
func (s *Supervisor) askSuccessor(ctx context.Context) (Acceptance, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Args[0], "-c", s.Config.Path, AcceptCommand)
	cmd.Env = s.environ
	cmd.WaitDelay = time.Second
	var answer bytes.Buffer
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &answer, &said
	err := startIdle(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	out := answer.Bytes()
	if err != nil {
		why := strings.TrimSpace(string(out) + said.String())
		return Acceptance{}, fmt.Errorf("upgrade: the program at %s does not take over (%w): %s", s.Args[0], err, why)
	}
	var a Acceptance
	if err := json.Unmarshal(out, &a); err != nil {
		return a, fmt.Errorf("upgrade: the program at %s is no supervisor that can take over: it answered %.100q", s.Args[0], out)
	}
	if a.Handover < handoverOldest {
		return a, fmt.Errorf("upgrade: %s %s is too old to take over from %s: stop and start it", s.Args[0], a.Version, s.Version)
	}
	return a, nil
}

// startIdle starts cmd so that it runs when no one else would (SCHED_IDLE, sched(7)): the kernel takes a CPU with nothing else on it for an idle
// one, so no request waits for it. A process begins with the policy of the thread that starts it, and nobody without privileges gets back from
// this one: it is a thread of its own, which ends with its goroutine.
func startIdle(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // this one never ends; while it is held the next goroutine is on another
			defer runtime.UnlockOSThread()
			started <- startIdle(cmd)
			return
		}
		// Where it cannot be had, it runs like any other.
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
		started <- cmd.Start()
	}()
	return <-started
}

// tryUpgrade executes the successor, or answers a *busyError where that has to
// wait.
func (s *Supervisor) tryUpgrade(ctx context.Context, next Acceptance) error {
	// Once without stopping anything, so that nobody waits for what takes long.
	release, err := s.holdAll()
	if err != nil {
		return err
	}
	release()
	s.mu.RLock()
	front := s.moveFront
	s.mu.RUnlock()
	if front != nil {
		goOn, err := front.halt(ctx)
		defer goOn()
		if err != nil {
			return fmt.Errorf("upgrade: requests of the front under way: %w", err)
		}
	}
	var failed error
	err = s.do(ctx, func() { failed = s.execute(next, front) })
	return errors.Join(err, failed)
}

// execute is the last part, on the supervisor's own goroutine: nothing moves any
// more, and the successor begins.
func (s *Supervisor) execute(next Acceptance, front *frontRun) error {
	if s.leaving || len(s.signals) > 0 {
		return errors.New("upgrade: the supervisor was told something else meanwhile")
	}
	release, err := s.holdAll()
	if err != nil {
		return err
	}
	defer release()
	resume := s.quiet()
	defer resume()
	if !s.saver.flush() {
		return errors.New("upgrade: the state cannot be written, see the log")
	}
	s.events.flush()
	h, closeAll, err := s.handOver(next, front)
	defer closeAll()
	if err != nil {
		return err
	}
	thaw := s.table.Freeze()
	defer thaw()
	fd, undo, err := h.keep()
	if err != nil {
		return err
	}
	defer undo()
	s.log.Info("supervisor is executed anew", "path", s.Args[0], "version", s.Version)
	return process.Exec(s.Args[0], s.Args, append(s.environ[:len(s.environ):len(s.environ)], handoverKey+"="+strconv.Itoa(fd)))
}

// handOver lists what is kept open. closeAll closes what was opened for it.
func (s *Supervisor) handOver(next Acceptance, front *frontRun) (h *handover, closeAll func(), err error) {
	h = &handover{
		Version: min(next.Handover, handoverVersion), From: s.Version, Lock: int(s.lock.File().Fd()), Interpreters: s.maker.Interpreters(),
		Cgroups: s.table.Cgroups(),
	}
	if h.Version >= handoverWatches {
		h.Watches = watches()
	}
	var opened []*os.File
	closeAll = func() {
		for _, f := range opened {
			f.Close() // a duplicate
		}
	}
	if front != nil {
		f, err := front.keep()
		if err != nil {
			return nil, closeAll, fmt.Errorf("upgrade: %w", err)
		}
		if f != nil {
			opened = append(opened, f)
			h.Front.Address, h.Front.FD = front.addr, int(f.Fd())
		}
	}
	if s.control != nil {
		f, err := s.control.File()
		if err != nil {
			return nil, closeAll, fmt.Errorf("upgrade: %w", err)
		}
		opened = append(opened, f)
		h.Control = int(f.Fd())
	}
	for _, a := range s.all() {
		for _, sock := range a.sockets() {
			fd, err := sock.l.Inherit(false)
			if err != nil {
				return nil, closeAll, fmt.Errorf("upgrade: %w", err)
			}
			h.Sockets = append(h.Sockets, handedSocket{a.name, sock.l.Path(), fd})
		}
	}
	return h, closeAll, nil
}

// sockets are those that the actor holds, each once.
func (a *actor) sockets() []*socket {
	var all []*socket
	seen := map[*socket]bool{nil: true}
	add := func(s *socket) {
		if !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	add(a.public)
	for _, g := range a.generations {
		add(g.sock)
	}
	return all
}
