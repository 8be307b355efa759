package world

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/handover"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// AcceptCommand is the command by which a new binary is asked whether it could take over: it prints
// an Acceptance as JSON, or fails.
const AcceptCommand = "accept-upgrade"

// Acceptance is a new binary's word that it could take over.
type Acceptance struct {
	Version  string
	Handover int    // the newest version of a handover that it reads
	Root     string // of the file as it is now; "": it does not say
}

// upgrader executes the program at our path in our place (Upgrader).
type upgrader struct {
	o        *Options
	given    *handover.Handover
	lock     *state.Locked
	table    *process.Table
	maker    *build.Maker
	commands *commands
}

// Ask asks the program now at our path whether it accepts the file and the state as they are.
func (u *upgrader) Ask(ctx context.Context) (Acceptance, error) {
	path := u.o.Args[0]
	if _, err := u.o.Config.ExposedProgram(path); err != nil {
		return Acceptance{}, err // it would be executed as root
	}
	cmd := exec.CommandContext(ctx, path, "-c", u.o.Config.Path, AcceptCommand)
	cmd.Env = u.o.Environ
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := process.StartIdle(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		why := strings.TrimSpace(out.String() + said.String())
		return Acceptance{}, fmt.Errorf("the program at %s does not take over (%w): %s", path, err, why)
	}
	var a Acceptance
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("the program at %s is no supervisor that can take over: it printed %.100q", path, out.String())
	}
	if a.Handover < handover.Oldest {
		return a, fmt.Errorf("%s %s is too old to take over from %s: stop and start it", path, a.Version, u.o.Version)
	}
	if a.Root != "" && a.Root != u.o.Config.Root {
		// It would find neither our lock nor what is running.
		return a, fmt.Errorf("root changed from %s to %s: stop and start the supervisor to move it, or change it back", u.o.Config.Root, a.Root)
	}
	// None of the watches that we were given may be closed after this: the successor would close
	// whatever has its number then.
	u.given.WatchesClosed()
	return a, nil
}

// flushLimit is how long an upgrade waits for whoever reads the log.
const flushLimit = 100 * time.Millisecond

// Execute executes it.
func (u *upgrader) Execute(s Succession) error {
	if err := u.lock.Restore(); err != nil {
		return err // the successor would not find it
	}
	h := handover.Handover{
		From: u.o.Version, Lock: int(u.lock.File().Fd()), Cgroups: u.table.Cgroups(), Watches: handover.Watches(),
	}
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			f.Close() // a duplicate
		}
	}()
	var err error
	if h.Interpreters, err = json.Marshal(u.maker.Interpreters()); err != nil {
		return err
	}
	for name, place := range s.Places {
		fd, err := descriptor(place.Socket)
		if err != nil {
			return err
		}
		listening := handover.Front{Address: place.Address, FD: fd}
		switch name {
		case DashboardPlace:
			h.Dashboard = listening
		case MetricsPlace:
			h.Metrics = listening
		default:
			h.Front = listening
		}
	}
	control, err := u.commands.file()
	if err != nil {
		return err
	}
	if control != nil {
		opened = append(opened, control)
		if h.Control, err = descriptor(control); err != nil {
			return err
		}
	}
	for name, all := range s.Sockets {
		for _, l := range all {
			fd, err := l.(socket).Inherit(false)
			if err != nil {
				return err
			}
			h.Sockets = append(h.Sockets, handover.Socket{Build: name, Path: l.Path(), FD: fd})
		}
	}
	thaw := u.table.Freeze()
	defer thaw()
	entry, undo, err := h.Keep(s.Next.Handover)
	if err != nil {
		return err
	}
	defer undo()
	environ := u.o.Environ
	u.o.Log.Info("supervisor is executed anew", "path", u.o.Args[0], "version", u.o.Version)
	if u.o.LogSink != nil {
		u.o.LogSink.Flush(flushLimit)
	}
	return process.Exec(u.o.Args[0], u.o.Args, append(environ[:len(environ):len(environ)], entry))
}

// descriptor returns the number of an open file. File.Fd would put it into blocking mode, and with it
// the listener that it is a duplicate of: where the exec fails, that could not be closed any more.
func descriptor(f *os.File) (n int, err error) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	if err != nil {
		return 0, fmt.Errorf("hand over %s: %w", f.Name(), err)
	}
	return n, nil
}

// past is what the previous supervisor handed over, and what was held for us (Past).
type past struct {
	given  *handover.Handover
	holder *holder
	log    hclog.Logger
}

// From is the version of the previous supervisor.
func (p *past) From() string { return p.given.From }

// Builds returns the builds of which there are sockets.
func (p *past) Builds() []string {
	names := p.holder.builds()
	for _, s := range p.given.Sockets {
		if s.FD != 0 {
			names = append(names, s.Build)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Sockets returns the sockets of a build.
func (p *past) Sockets(build string) []public.Listener {
	all := p.holder.take(build)
	for _, s := range p.given.TakeSockets(build) {
		l, err := listener.Inherited(s.FD, s.Path)
		if err != nil {
			p.log.Error("socket that was handed over cannot be used, it is recovered as after a crash", "build", build, "path", s.Path, "error", err)
			continue
		}
		all = append(all, p.holder.hold(l))
	}
	return all
}

// Place returns the listener of a place.
func (p *past) Place(name PlaceName, addr string) net.Listener {
	take := p.given.TakeFront
	switch name {
	case DashboardPlace:
		take = p.given.TakeDashboard
	case MetricsPlace:
		take = p.given.TakeMetrics
	}
	f := take(addr)
	if f == nil {
		return p.holder.takePlace(name, addr)
	}
	defer f.Close() // net.FileListener has its own
	ln, err := net.FileListener(f)
	if err != nil {
		p.log.Warn("socket that was handed over is made again", "of", name, "error", err)
		return nil
	}
	return ln
}

// Adopted says that everything wanted has been taken over.
func (p *past) Adopted() {
	p.given.Drop()
	p.holder.drop()
}

// Close closes the watches of the previous supervisor.
func (p *past) Close() { p.given.CloseWatches() }

// knownInterpreters returns what the previous supervisor knew about interpreters.
func knownInterpreters(given *handover.Handover, log hclog.Logger) build.Interpreters {
	if given.Interpreters == nil {
		return nil
	}
	var known build.Interpreters
	if err := json.Unmarshal(given.Interpreters, &known); err != nil {
		log.Debug("what was handed over about interpreters cannot be used, they are asked again", "error", err)
		return nil
	}
	return known
}
