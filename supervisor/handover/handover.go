package handover

import "encoding/json"

// Newest is the version of a Handover that is written for a successor that reads it, and Oldest is
// that which every successor must read. A supervisor of version watchesSince or later closes
// Watches, and one of version dashboardSince or metricsSince or later takes the socket of that.
const (
	Newest         = 4
	Oldest         = 1
	watchesSince   = 2
	dashboardSince = 3
	metricsSince   = 4
)

// Handover is what one supervisor tells the next. Descriptors are numbers; 0 is none. Those of one
// that is given stay their owners' and must stay open until the exec. Those of one that is taken
// belong to the Handover until they are taken from it.
//
// Its methods must not be called concurrently, except CloseWatches and WatchesClosed.
type Handover struct {
	Version      int    // set by Keep
	From         string // the version of the supervisor that gives it
	Lock         int    // of the root
	Control      int    // the control socket
	Front        Front
	Dashboard    Front `json:",omitzero"`
	Metrics      Front `json:",omitzero"`
	Sockets      []Socket
	Interpreters json.RawMessage // what was asked of interpreters; null or nil: nothing
	Cgroups      []string        // folders of the children's cgroups
	Watches      []int           // of inotify: see Watches

	closeWatches func()        // nil: there are none
	closed       chan struct{} // closed when they are
}

// Front is the listening socket of the embedded front, of the dashboard, or of the metrics.
type Front struct {
	Address string // as the configuration has it
	FD      int
}

// Socket is a listening socket of a build: its public one, or that of a generation that is ending.
type Socket struct {
	Build string
	Path  string // the name that it was last given
	FD    int
}

// descriptors are all that must survive the exec.
func (h *Handover) descriptors() []int {
	var all []int
	for _, fd := range []int{h.Lock, h.Control, h.Front.FD, h.Dashboard.FD, h.Metrics.FD} {
		if fd != 0 {
			all = append(all, fd)
		}
	}
	for _, s := range h.Sockets {
		if s.FD != 0 {
			all = append(all, s.FD)
		}
	}
	return append(all, h.Watches...)
}
