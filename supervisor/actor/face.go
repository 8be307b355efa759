package actor

import (
	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// All that a supervisor may do with an actor, apart from looking at it (view.go), giving it a
// person's command (command.go) and pausing it (pause.go). No method blocks.

// Name returns the name of the build.
func (a *Actor) Name() string { return a.name }

// Restore begins the actor's life where the record of an earlier run left off, as far as the
// releases still exist. found is what is still running. It is called before anything else.
func (a *Actor) Restore(r state.Record, releases []build.Release, found []Leftover) {
	a.restore(r, releases)
	a.restoreTasks(r.Tasks)
	a.schedules.earlier = r.Schedules
	a.missing(r, found)
}

// Releases tells the actor which releases exist, before Adopt.
func (a *Actor) Releases(all []build.Release) { a.listed(all) }

// Adopt hands over what an earlier supervisor left running, the newest generation first, and the
// sockets that came over an exec. It is called once, before Configure; the sockets are the actor's
// from then on.
func (a *Actor) Adopt(found []Leftover, handed []public.Listener) { a.post(adopted{found, handed}) }

// AdoptTasks hands over what an earlier supervisor left of tasks. It is called once, before Adopt.
func (a *Actor) AdoptTasks(found []Leftover) { a.post(tasksAdopted{found}) }

// Configure brings what the file says now. rebuild means that a key that goes into the release has
// changed.
func (a *Actor) Configure(entry *config.Build, rebuild bool) { a.post(configured{entry, rebuild}) }

// InputsChanged says that a file that goes into the release may have changed.
func (a *Actor) InputsChanged() { a.tell(machine.InputsChanged{}) }

// Remove says that the build is no longer in the file.
func (a *Actor) Remove() { a.tell(machine.Removed{}) }

// Shutdown says that the supervisor ends, and nobody is served after that.
func (a *Actor) Shutdown() { a.Succeeded(func(uint64) bool { return false }) }

// Succeeded says that the supervisor ends and that the next one gets the sockets, by their inodes,
// that held reports: they are left as they are, with who waits on them.
func (a *Actor) Succeeded(held func(inode uint64) bool) { a.post(shutdown{held}) }

// CaughtUp returns a channel that is closed when the actor has handled everything it was sent so
// far. An actor that has ended closes Done instead.
func (a *Actor) CaughtUp() <-chan struct{} {
	up := make(caughtUp)
	a.post(up)
	return up
}

// Done is closed when the actor and all its tasks have ended.
func (a *Actor) Done() <-chan struct{} { return a.done }
