package world

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/custody"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// trees are the processes of this machine (Trees).
type trees struct {
	table *process.Table
	boxes *boxes
	root  layout.Root
	who   custody.Custody // who may change the folders of logs
	log   hclog.Logger
}

// tree is one of them (actor.Tree).
type tree struct {
	*process.Child
	trees   trees
	temp    string // the folder of its temporary files, or ""
	private string // the socket on which it is probed, or ""
	ended   func() // what is to be done when it has ended
	boxed   bool
	lost    error    // why what it prints is lost; nil: it is not
	output  *os.File // the description that it prints to, where others print to the same log; or nil
}

// Signal sends a signal to all of the tree.
func (t tree) Signal(sig syscall.Signal) error { return t.SignalTree(sig) }

// Terminate asks the main process and its group to end, or the main process alone (StopBy).
func (t tree) Terminate() error { return t.Ask() }

// StopBy sets the signal that asks the main process alone to end, and whether it has got it.
func (t tree) StopBy(sig syscall.Signal, asked bool) { t.SetStopSignal(sig, asked) }

// Private is the path of a socket on which only this server takes clients, or "".
func (t tree) Private() string { return t.private }

// Boxed says whether it runs in a sandbox. Of what is left of a tree it is not known.
func (t tree) Boxed() bool { return t.boxed }

// Unlogged says why what it prints is lost. Of what is left of a tree it is not known.
func (t tree) Unlogged() error { return t.lost }

// Said is what it has printed last to a log that is not its own.
func (t tree) Said(log string, n int) []string {
	if t.output == nil {
		return nil
	}
	return journal.Said(log, t.output, n)
}

// Start starts a server. A log that cannot be opened costs the log alone.
func (t trees) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if err := setDataAside(s.Launch.Data, t.log); err != nil {
		return nil, nil, err
	}
	if err := build.MakeData(s.Launch.Data, s.Launch.User); err != nil {
		return nil, nil, err
	}
	// A release from before a change of user, to which somebody goes back.
	if err := build.OwnRelease(context.Background(), s.Launch.From, s.Launch.Data, s.Launch.User); err != nil {
		return nil, nil, err
	}
	for _, f := range s.Launch.Files {
		if err := errors.Join(setAside(filepath.Dir(f.Path), fs.ModeDir, t.log), setAside(f.Path, 0, t.log)); err != nil {
			return nil, nil, err
		}
		if err := f.Write(); err != nil {
			return nil, nil, err
		}
	}
	var output *os.File
	oom := oomServer
	if s.Listener == nil {
		oom = oomCommand
	}
	var err, lost error
	if s.Streams == nil {
		if output, lost = t.output(s.Log); lost != nil {
			t.log.Error("what a server prints is lost until its next start", "error", lost)
		} else if !s.Shared || s.Launch.Box != nil {
			defer output.Close() // the child has its own
		}
	}
	temp := tempOf(t.root, s.Mark)
	spec := confined(process.Spec{
		Argv: s.Launch.Argv, Env: t.withTemp(s.Launch.Env, temp, s.Launch.User), Dir: s.Launch.Dir, Stdout: output, Mark: s.Mark,
		User: credential(s.Launch.User), Umask: s.Launch.Umask, StopSignal: s.Launch.StopSignal,
		Limits: treeLimits(s.Limits), Within: s.Build, Rlimits: processLimits(s.Launch.Limits),
	}, s.Launch.NewPrivs, s.Launch.Capable, oom)
	private := ""
	if s.Listener != nil {
		spec.Listener = s.Listener.(socket).File()
		if s.Launch.Server.TakesTwo() {
			private = privateOf(t.root, s.Mark)
		}
	}
	if private != "" {
		// Without it the server is probed as its clients come, which is better than no server. One whose
		// command names it has to get something.
		owner := s.Launch.User
		if _, is := s.Launch.Server.(server.Gunicorn); is {
			owner.UID = -1 // it leaves the file alone, and nobody else needs it
		}
		if spec.Private, err = listenPrivately(private, owner); err != nil {
			t.log.Warn("server is probed on its public socket", "error", err)
			private, spec.Private = "", spec.Listener
		} else {
			defer spec.Private.Close() // the child has its own copy
		}
	}
	drop := func() {
		t.dropTemp(temp)
		t.dropPrivate(private)
		if s.Shared && output != nil {
			output.Close() // nothing was written through it
		}
	}
	if c := s.Streams; c != nil {
		spec.Stdin, spec.Stdout, spec.Stderr, spec.Terminal = c.In, c.Out, c.Err, c.Terminal
	}
	done, err := t.boxes.confine(&spec, s.Launch.Box, output)
	if err != nil {
		drop()
		return nil, nil, err
	}
	child, words, err := t.spawn(spec, s.Launch, temp, exited)
	ended := done(child)
	if err != nil {
		drop()
		return nil, nil, err
	}
	started := tree{Child: child, trees: t, temp: temp, private: private, ended: ended, boxed: s.Launch.Box != nil, lost: lost}
	switch {
	case s.Shared && started.boxed: // where it opens its log by itself
		started = started.keepOutput()
	case s.Shared:
		started.output = output
	}
	return started, words, nil
}

// keepOutput returns t with what it prints to, for Said.
func (t tree) keepOutput() tree {
	var err error
	if t.output, err = t.Output(); err != nil {
		t.trees.log.Debug("what a process says last will not be known", "pid", t.Pid(), "error", err)
	}
	return t
}

// spawn starts it, with a way to say that it is ready where it has one.
func (t trees) spawn(spec process.Spec, l *server.Launch, temp string, exited func(actor.Exit)) (_ *process.Child, words server.Words, err error) {
	if l.Server.SaysReady() {
		if words, spec.Ready, err = server.Pair(); err != nil {
			return nil, nil, err
		}
		defer spec.Ready.Close() // the child has its own copy
	}
	if l.Notify {
		if words, err = hear(temp, l.User); err != nil {
			return nil, nil, err
		}
		spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], notifyEnv(temp)...)
	}
	child, err := t.table.Spawn(spec, exitOf(exited))
	if err != nil {
		if words != nil {
			words.Close() // nothing was read from it
		}
		return nil, nil, err
	}
	return child, words, nil
}

// output opens the log at path, and makes its folder where that is missing.
func (t trees) output(path string) (*os.File, error) {
	// The default folder is in here, and must not be the way in for others. Where it is there its mode is
	// Own's: members of control_group may pass through it.
	if _, err := os.Lstat(t.root.Own()); err != nil {
		if err := state.Private(t.root.Own()); err != nil {
			return nil, err
		}
	}
	if filepath.Dir(path) == t.root.Logs() { // log_dir may be anybody's
		if err := setAside(t.root.Logs(), fs.ModeDir, t.log); err != nil {
			return nil, err
		}
	}
	if err := (files{}).MakeFolder(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	f, err := journal.Append(path, t.who)
	if !errors.Is(err, journal.ErrOther) {
		return f, err
	}
	to, moved := build.MoveAside(path)
	if wasSetAside(path, to, moved, t.log) != nil {
		return nil, errors.Join(err, moved)
	}
	return journal.Append(path, t.who)
}

// Adopt watches a server that an earlier supervisor started.
func (t trees) Adopt(l actor.Leftover, exited func(actor.Exit)) (actor.Tree, error) {
	child, err := t.table.Adopt(l.Leader.Pid, l.Leader.StartTime, l.Mark, l.User, exitOf(exited))
	if err != nil {
		return nil, err
	}
	private := privateOf(t.root, l.Mark)
	if _, err := os.Lstat(private); err != nil {
		private = "" // it was started by a version that knew none, or is no server
	}
	boxed, err := sandbox.Boxed(l.Leader.Pid)
	if err != nil {
		t.log.Debug("status does not know whether a server is in a sandbox", "pid", l.Leader.Pid, "error", err)
	}
	adopted := tree{Child: child, trees: t, temp: tempOf(t.root, l.Mark), private: private, ended: func() {}, boxed: boxed}
	if l.Shared {
		adopted = adopted.keepOutput()
	}
	return adopted, nil
}

// Remains returns the rest of a tree.
func (t trees) Remains(l actor.Leftover) actor.Tree {
	child := t.table.Remains(l.Leader.Pid, l.Leader.StartTime, l.Mark, l.User)
	return tree{Child: child, trees: t, temp: tempOf(t.root, l.Mark), private: privateOf(t.root, l.Mark), ended: func() {}}
}

// mostEnviron is above the largest environment that the kernel takes (execve(2)); a process can make
// its own look larger (PR_SET_MM).
const mostEnviron = 8 << 20

// Environ reads the environment that a process was started with.
func (trees) Environ(pid int) ([]string, error) {
	text, err := untrusted.ReadStart(filepath.Join("/proc", strconv.Itoa(pid), "environ"), mostEnviron)
	return strings.Split(string(text), "\x00"), err
}

// Alive reports whether there is a process with that pid.
func (trees) Alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

// Marked returns the processes and cgroups that carry a mark.
func (t trees) Marked(prefix string) (all []Marked, cgroups []string, err error) {
	found, err := t.table.FindMarked(prefix)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range found {
		all = append(all, Marked{
			Process: actor.Process{Pid: f.Pid, StartTime: f.StartTime}, Mark: f.Mark, Leader: f.Pid == f.Group,
			User: f.User, Cgroup: f.Cgroup,
		})
	}
	return all, t.table.FindCgroups(), nil
}

// Usage returns what each tree uses now.
func (t trees) Usage(ctx context.Context, of []actor.Tree) ([]Usage, error) {
	children := make([]*process.Child, len(of))
	for i, one := range of {
		children[i] = one.(tree).Child
	}
	used, err := t.table.Usage(ctx, children)
	if err != nil {
		return nil, err
	}
	all := make([]Usage, len(of))
	for i, u := range used {
		all[i] = Usage{Processes: u.Processes, Memory: u.Memory, CPU: u.CPU, Age: children[i].Age()}
	}
	return all, nil
}

// Run runs a hook to its end.
func (t trees) Run(ctx context.Context, h actor.Hook) (string, error) {
	as, err := config.IdentityOf(*h.Entry)
	if err != nil {
		return "", err
	}
	temp := t.root.Build(h.Entry.Name).TempOf("hook-" + rand.Text())
	defer t.dropTemp(temp)
	return newRunner(t.table).runWithin(ctx, build.Command{
		Argv: h.Argv, Env: t.withTemp(h.Env, temp, as), Dir: h.Dir, User: (*build.Credential)(credential(as)), Umask: h.Entry.Umask,
		NewPrivs: !h.Entry.NoNewPrivs, Capable: !h.Entry.NoNewPrivs || as.Capable,
		Mark:   temp, // by which a later supervisor finds it (build.Maker.Tidy)
		Box:    build.HookBox(*h.Entry, t.root.Build(h.Entry.Name), as),
		Limits: h.Entry.Limits,
	}, h.Entry.Name)
}

// exitOf translates a process.Exit for exited.
func exitOf(exited func(actor.Exit)) func(process.Exit) {
	return func(e process.Exit) {
		exited(actor.Exit{Words: e.String(), Code: e.Code, Signal: e.Signal != 0, Number: int(e.Signal), Outside: fromOutside(e.Signal), Clean: e.Clean()})
	}
}

// fromOutside says that a signal is one that processes do not send themselves when they fail.
func fromOutside(s syscall.Signal) bool {
	switch s {
	case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPWR:
		return true
	}
	return false
}

// credential returns what a child needs to run as id; nil if that is our own user.
func credential(id config.Identity) *process.Credential {
	if id.Own() {
		return nil
	}
	c := &process.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: id.Groups}
	if id.UID >= 0 {
		c.UID = uint32(id.UID)
	}
	if id.GID >= 0 {
		c.GID = uint32(id.GID)
	}
	return c
}
