package actor

import (
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// message is what an actor is sent. The types that implement it are all in this file.
type message interface{ message() }

// What the supervisor and people ask for.
type (
	// configured carries the build's entry.
	configured struct {
		entry   *config.Build
		rebuild bool
	}
	// adopted carries what an earlier supervisor left of the build.
	adopted struct {
		found  []Leftover
		handed []public.Listener // its sockets, from before an exec
	}
	// asked is a person's command.
	asked struct{ ticket *ticket }
	// paused makes the actor stand still between two turns, for an exec.
	paused struct {
		answer chan<- string // "" or what is under way
		resume <-chan struct{}
	}
	// shutdown says that the supervisor ends, and which sockets, by inode, the next one gets.
	shutdown struct{ held func(inode uint64) bool }
	// caughtUp is closed when all before it has been handled.
	caughtUp chan struct{}
)

// Results of effects, which must be translated before the machine sees them.
type (
	// happened is an event that the machine understands as it is.
	happened struct{ event machine.Event }
	// timerFired says that a timer is due.
	timerFired struct{ timer *timer }
	// childExited says how a generation's main process ended.
	childExited struct {
		g    *generation
		exit Exit
	}
	// unready says why a generation did not pass its check.
	unready struct {
		g      *generation
		reason string
		cause  machine.Cause
	}
	// silent says why a process is taken to hang.
	silent struct {
		g      *generation
		reason string
	}
	// treeEnded says that nothing of a generation is left.
	treeEnded struct{ g *generation }
	// leftoverEnded says that nothing is left of leftover generation n, so that nobody serves its own
	// socket any more; nil where it had none.
	leftoverEnded struct {
		n    int
		sock *public.Socket
	}
	// folderTouched says that something of the build's folder may be gone.
	folderTouched struct{}
	// startMisses says that a server could not be started from a release because something is not
	// there.
	startMisses struct {
		release string
		why     error
	}
	// releasesListed says which releases are kept.
	releasesListed []string
	// staticsPublished says how the publication of static files went.
	staticsPublished struct {
		n       int // generation
		release string
		err     error
	}
	// ordered is to start a task.
	ordered struct {
		order Order
		began chan<- taskBegan
	}
	// tasksAdopted carries what an earlier supervisor left of tasks.
	tasksAdopted struct{ found []Leftover }
	// taskExited says how the main process of a task ended.
	taskExited struct {
		t    *task
		exit Exit
	}
	// taskGone says that nothing of a task is left.
	taskGone struct{ t *task }
	// taskOld says that nobody needs to know any more how a task has ended.
	taskOld struct{ t *task }
	// taskDue says that a task is to end, and why.
	taskDue struct {
		t   *task
		why string
	}
	// taskAttended says that somebody waits for a task, taskLeft that one of them has gone.
	taskAttended struct{ id string }
	taskLeft     struct{ id string }
	// scheduleDue says that a schedule may be due.
	scheduleDue struct{}
	// runWritten says that a run of a schedule may start: that it did so is written down.
	runWritten struct{ d *scheduled }
	// staticsDue says that a publication that failed is to be tried again.
	staticsDue struct{}
)

// taskBegan is what became of an order.
type taskBegan struct {
	task Task
	err  error
}

func (ordered) message()          {}
func (tasksAdopted) message()     {}
func (taskExited) message()       {}
func (taskGone) message()         {}
func (taskOld) message()          {}
func (taskDue) message()          {}
func (taskAttended) message()     {}
func (taskLeft) message()         {}
func (scheduleDue) message()      {}
func (runWritten) message()       {}
func (configured) message()       {}
func (adopted) message()          {}
func (asked) message()            {}
func (paused) message()           {}
func (shutdown) message()         {}
func (caughtUp) message()         {}
func (happened) message()         {}
func (timerFired) message()       {}
func (childExited) message()      {}
func (unready) message()          {}
func (silent) message()           {}
func (treeEnded) message()        {}
func (leftoverEnded) message()    {}
func (folderTouched) message()    {}
func (startMisses) message()      {}
func (releasesListed) message()   {}
func (staticsPublished) message() {}
func (staticsDue) message()       {}
