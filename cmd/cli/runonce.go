package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func runCommand(file *string) *cobra.Command {
	var release string
	var alone aloneOptions
	c := &cobra.Command{
		Use:   "run [--release RELEASE] NAME COMMAND [ARG...]",
		Short: "Run a command once, as a build's server runs",
		Long: `Run a command once, in the release of a build that serves, as its server runs: with
its environment, user, limits, sandbox and working_dir. "manage.py" and "python"
are those of the release, and its other programs come first in PATH. --release
takes another release that is kept, also of a build that is stopped; the
beginning of its name is enough. What follows COMMAND belongs to the command.

With --prebuilt no supervisor is asked: the command runs in the release that
"build NAME --root DIR" made below DIR, as whoever calls, in the place of this
program; {python}, {app} and the like are filled in. As the first process of a
container this program stays, passes signals on and reaps what is left behind;
--stop-signal is what the command gets then in the place of SIGTERM.

At a terminal the command has a terminal of its own: it is as large as yours,
Ctrl-C goes to it, and Ctrl-Z stops it with all that it has started until "fg",
unless it handles that itself, as a shell does. Pipes and files are handed to it
as they are. Where your input is a terminal it is read, also for a command that
reads nothing: put "< /dev/null" before a pager.

The exit code is the command's, and 128 and the number of the signal where one
ended it. With 1 and 3, for failures of our own, there is a message.

It goes on when the supervisor is upgraded or killed. It gets SIGHUP when its
terminal is closed, and is ended after the build's graceful_timeout, as it is by
"stop". What it leaves running is ended with it. Whoever may command the
supervisor may run commands. "events" tells who ran what, without arguments;
"status NAME" shows what is running.`,
		Example: `  medctrl-supervisor run development manage.py createsuperuser
  medctrl-supervisor run development python
  medctrl-supervisor run development env
  medctrl-supervisor run development manage.py dumpdata --indent 2 > dump.json
  medctrl-supervisor run --release 20261123T101502 development manage.py showmigrations
  medctrl-supervisor run --prebuilt /opt/medctrl/prebuilt development manage.py migrate`,
		ValidArgsFunction: func(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			switch len(given) {
			case 0:
				return completeBuilds(file)(cmd, given, typed)
			case 1:
				return []cobra.Completion{"manage.py", "python"}, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, argv, err := commandOf(cmd, args)
			if err != nil {
				return err
			}
			if alone.dir != "" || alone.stop != "" {
				return alone.run(*file, name, argv, release)
			}
			cl, err := client(*file)
			if err != nil {
				return err
			}
			return runOnce(cmd, cl, name, control.RunRequest{Argv: argv, Release: release})
		},
	}
	c.Flags().SetInterspersed(false)
	c.Flags().StringVar(&release, "release", "", "the `RELEASE` to run it from, or the beginning of its name")
	must(c.RegisterFlagCompletionFunc("release", completeKept(file)))
	c.Flags().StringVar(&alone.dir, "prebuilt", "", "run it in the release below `DIR`, without a supervisor")
	must(c.MarkFlagDirname("prebuilt"))
	c.Flags().StringVar(&alone.stop, "stop-signal", "", "with --prebuilt: the `SIGNAL` that asks the command to end")
	completeValues(c, "stop-signal", "TERM", "INT", "QUIT")
	return c
}

// commandOf returns the build and the command of a command line. Flags may also come between the two.
func commandOf(cmd *cobra.Command, args []string) (name string, argv []string, err error) {
	const want = "run needs a build and a command: `run NAME COMMAND [ARG...]`"
	if len(args) == 0 {
		return "", nil, usage(errors.New(want))
	}
	flags := cmd.Flags()
	if err := flags.Parse(args[1:]); err != nil {
		return "", nil, badFlag(cmd, err)
	}
	if argv = flags.Args(); len(argv) == 0 || argv[0] == "" {
		return "", nil, usage(errors.New(want))
	}
	return args[0], argv, nil
}

// runOnce runs a command and returns with its exit code.
func runOnce(cmd *cobra.Command, cl control.Client, name string, ask control.RunRequest) error {
	seat, err := takeSeat([3]*os.File{os.Stdin, os.Stdout, os.Stderr}) // ours: only a file can be handed over
	if err != nil {
		return err
	}
	defer seat.leave()
	ask.ID = supervisor.NewRunID()
	ask.Streams, ask.Terminal = seat.given[:], seat.keyboard != nil
	if term := os.Getenv("TERM"); seat.pty != nil && control.IsTerm(term) {
		ask.Term = term
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	a := &attended{Client: cl, name: name, ask: ask, say: seat.say}
	a.started = func(t control.TaskStatus) {
		a.pid.Store(int64(t.Pid))
		seat.handedOver()
	}
	type result struct {
		control.TaskStatus
		err error
	}
	ended := make(chan result, 1)
	seat.begin(a)
	defer signal.Stop(seat.signals)
	go func() {
		t, err := a.run(ctx)
		ended <- result{t, err}
	}()
	for {
		select {
		case r := <-ended:
			seat.finish()
			if r.err != nil {
				return requested(r.err)
			}
			return exitOf(r.TaskStatus)
		case <-seat.lost:
			return exitError{code: 128 + int(syscall.SIGHUP)} // and with us goes the connection
		case sig := <-seat.signals:
			if gone := seat.signalled(ctx, a, sig); gone {
				return exitError{code: 128 + int(syscall.SIGHUP)}
			}
		case <-seat.suspends:
			seat.suspend(ctx, a)
			seat.resumed <- struct{}{}
		}
	}
}

// exitOf makes the end of a command our own.
func exitOf(t control.TaskStatus) error {
	var err error
	if t.Why != "" {
		err = fmt.Errorf("%s: %s, %s", t.Name, t.Exit, t.Why)
	}
	switch {
	case t.Signal != 0:
		if err == nil && t.Signal == int(syscall.SIGKILL) {
			err = fmt.Errorf("%s: %s", t.Name, t.Exit) // nobody typed that
		}
		return exitError{128 + t.Signal, err}
	case t.Code < 0:
		return fmt.Errorf("%s: %s: its exit code is not known", t.Name, t.Exit)
	case t.Code == 0 && err == nil:
		return nil
	}
	return exitError{t.Code, err}
}

// attended is a command that we wait for, also where one supervisor takes the place of another.
type attended struct {
	control.Client
	name    string
	ask     control.RunRequest
	started func(control.TaskStatus)
	say     func(string)
	pid     atomic.Int64 // 0: not started, as far as we know
}

const (
	attendPoll = 100 * time.Millisecond // between two looks for a supervisor
	attendHint = 3 * time.Second        // after which we say what we wait for
	// attendLimit is how long a supervisor is waited for where the command has ended, or is not known to
	// have begun. That long it is known how it ended.
	attendLimit = 55 * time.Second
)

// run starts the command and returns how it ended.
func (a *attended) run(ctx context.Context) (control.TaskStatus, error) {
	t, err := a.Run(ctx, a.name, a.ask, a.started)
	begun := time.Now()
	known := begun // when the command was known to be running last
	cut := isCutOff(err)
	for said := false; cut; cut = isCutOff(err) || errors.Is(err, control.ErrNoSupervisor) {
		running := a.isRunning()
		if running {
			known = time.Now()
		}
		if time.Since(known) > attendLimit {
			return t, err
		}
		if running && !said && time.Since(begun) > attendHint {
			said = true
			a.say("the supervisor has ended, and the command goes on: waiting for the next supervisor, which knows how it ends")
		}
		select {
		case <-time.After(attendPoll): // there is no event to wait for
		case <-ctx.Done():
			return t, ctx.Err()
		}
		t, err = a.again(ctx)
	}
	return t, err
}

// again looks for the command at the supervisor that is there now.
func (a *attended) again(ctx context.Context) (control.TaskStatus, error) {
	t, err := a.Attend(ctx, a.name, a.ask.ID)
	var refused *control.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return t, err
	}
	if a.pid.Load() != 0 {
		return t, fmt.Errorf("how the command ended is not known: %w", err)
	}
	return a.Run(ctx, a.name, a.ask, a.started) // the supervisor ended before it began it
}

// isCutOff says that an error is one of a supervisor that ended.
func isCutOff(err error) bool {
	for _, cut := range []error{control.ErrBrokeOff, io.EOF, io.ErrUnexpectedEOF, unix.ECONNRESET, unix.EPIPE} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return false
}

// isRunning reports whether the command is, as far as its pid tells.
func (a *attended) isRunning() bool {
	pid := int(a.pid.Load())
	return pid != 0 && unix.Kill(pid, 0) != unix.ESRCH
}

// signal sends a signal to the command. One that cannot be sent is lost: it has ended, or there is no
// supervisor at the moment.
func (a *attended) signal(ctx context.Context, sig syscall.Signal) {
	if err := a.SignalTask(ctx, a.name, a.ask.ID, sig); err != nil && a.isRunning() {
		a.say(fmt.Sprintf("the command did not get %s: %v", unix.SignalName(sig), err))
	}
}
