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
	failing              bool // what is written does not reach it
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

func (k store) Intact(string) bool { return true }

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
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	d := &k.w.disk
	if err := d.writable(); err != nil || d.failing {
		return fmt.Errorf("write the record of %s: %w", name, errors.Join(err, errIO))
	}
	d.saves++
	if r == nil {
		delete(d.records, name)
	} else {
		d.records[name] = *r
	}
	return nil
}

var errIO = errors.New("input/output error")
