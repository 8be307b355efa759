package simulate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// disk is what outlives processes and the machine.
type disk struct {
	full, readOnly, slow bool
	failing              bool          // what is written does not reach it
	blocked              chan struct{} // the supervisor's folder takes nothing until it is closed; nil: it does
	blockedAt            time.Duration // when it last did not
	badAt                time.Duration // when it was last full, read-only, slow or failing, or began to be
	records              map[string]state.Record
	saves                int
}

func newDisk() disk { return disk{records: map[string]state.Record{}} }

// writable fails where nothing can be written.
func (d *disk) writable() error {
	switch {
	case d.readOnly:
		return errReadOnly
	case d.full:
		return errors.New("no space left on device")
	}
	return nil
}

func (d *disk) good() bool { return !d.full && !d.readOnly && !d.slow && !d.failing }

// store is the port to the records. A record is there once it was synced: a supervisor that dies
// meanwhile, or a power cut, leaves the one before.
type store struct{ *incarnation }

func (k store) Load(name string) (state.Record, bool, error) {
	if !k.lock() {
		return state.Record{}, false, nil
	}
	defer k.w.mu.Unlock()
	r, ok := k.w.disk.records[name]
	return r, ok, nil
}

func (k store) Names() ([]string, error) {
	if !k.lock() {
		return nil, nil
	}
	defer k.w.mu.Unlock()
	return slices.Sorted(maps.Keys(k.w.disk.records)), nil
}

func (k store) SetAside(name string) (string, error) { return name + ".aside", nil }

func (k store) Intact(name string) bool {
	if !k.lock() {
		return true
	}
	defer k.w.mu.Unlock()
	_, ok := k.w.disk.records[name]
	return ok
}

func (k store) Save(name string, r state.Record) error { return k.write(name, &r) }

func (k store) Delete(name string) error { return k.write(name, nil) }

func (k store) write(name string, r *state.Record) error {
	s := k.w.sites[name]
	if !k.lock() {
		return nil
	}
	took := s.dice.between(throwSave, time.Millisecond, 40*time.Millisecond)
	if k.w.disk.slow {
		took *= 100
	}
	k.w.mu.Unlock()
	k.sleep(took)
	k.unblocked()
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	d := &k.w.disk
	if err := d.writable(); err != nil || d.failing {
		return fmt.Errorf("write the record of %s: %w", name, errors.Join(err, errIO))
	}
	d.saves++
	s.recordLost = false
	if r == nil {
		delete(d.records, name)
	} else {
		d.records[name] = *r
	}
	return nil
}

// unblocked returns once the supervisor's folder takes what is written.
func (inc *incarnation) unblocked() {
	for inc.lock() {
		blocked := inc.w.disk.blocked
		inc.w.mu.Unlock()
		if blocked == nil {
			return
		}
		select {
		case <-blocked:
		case <-inc.gone:
		}
	}
}

// block has writes to the supervisor's own folder hang for a time.
func (w *World) block(d time.Duration) {
	if w.disk.blocked != nil {
		return
	}
	w.tell("world", "writes to the supervisor's folder hang")
	blocked := make(chan struct{})
	w.disk.blocked, w.disk.blockedAt = blocked, w.now()
	w.after(d/3, w.askStatus)
	w.after(d, func() {
		w.tell("world", "writes to the supervisor's folder go on")
		w.disk.blocked, w.disk.blockedAt = nil, w.now()
		close(blocked)
	})
}

// tookAll says that what was written since a time has reached the disk.
func (d *disk) tookAll(since time.Duration) bool {
	return d.good() && d.blocked == nil && (d.blockedAt == 0 || d.blockedAt < since)
}

var errIO = errors.New("input/output error")
