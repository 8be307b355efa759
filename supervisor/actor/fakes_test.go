package actor

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// world stands behind all ports of the actors of a test. What is to happen in it is set with do.
type world struct {
	folder fakesocket.Folder

	mu      sync.Mutex
	trees   []*tree
	conduct map[string]conduct // of each server that starts, by release; else it is fine
	hook    func(ctx context.Context, h Hook) (string, error)
	hooks   []Hook
	guard   func()
	lost    error           // why a listener cannot be recovered
	spans   []time.Duration // that each probe was given
	inputs  string          // what the next release is made of
	made    map[string]string
	by      string        // whom the last release was made for
	commit  *build.Commit // of the releases that are made
	kept    []build.Release
	takes   time.Duration // half an attempt, or a check of the environment
	looks   []build.Look
	fails   map[string]error
	inUse   []string
	current string
	environ []string
	output  []string
	keep    []string // generated files
	statics struct {
		staged, published []string
		takes, hangs      time.Duration
	}
	record    *state.Record
	saved     int
	written   *state.Record // as a disk has it
	ran       []string      // schedules, with the results
	off       time.Duration // of the wall clock
	events    []Event
	oomKilled int
	bound     config.Limits // of all trees together
	twice     bool
	built     []string
}

// conduct is how a server behaves.
type conduct struct {
	mute     bool          // its workers never say that they are ready
	answer   *ProbeError   // to probes; nil: as expected
	turn     time.Duration // after which a probe comes to its turn
	dies     *Exit         // as soon as it has started
	hung     bool          // it accepts no client
	stubborn bool          // it ignores SIGTERM
	endless  error         // why it cannot be ended at all
}

func newWorld() *world {
	return &world{conduct: map[string]conduct{}, made: map[string]string{}, fails: map[string]error{}, inputs: "first", takes: time.Second}
}

// do changes the world, or looks at it.
func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// fail has the port's method of that name return err from now on; nil ends that.
func (w *world) fail(method string, err error) { w.do(func() { w.fails[method] = err }) }

func (w *world) failing(method string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fails[method]
}

func (w *world) ports() Ports {
	return Ports{Trees: trees{w}, Sockets: sockets{w}, Releases: releases{w}, Host: host{w}, Records: records{w}, Reports: reports{w}}
}

// told returns the names of the events so far, in their order.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, e := range w.events {
		names = append(names, e.Event)
	}
	return strings.Join(names, " ")
}

// attempts returns how the attempts so far ended, in their order.
func (w *world) attempts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.built, " ")
}
