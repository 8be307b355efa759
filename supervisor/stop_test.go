package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	r := s.start()
	s.serves("a")
	s.serves("b")
	a, b := s.get("a"), s.get("b")
	r.signals <- syscall.SIGTERM
	r.wait()
	for _, p := range []page{a, b} {
		if !process.Dead(p.pid) {
			t.Errorf("%+v still runs", p)
		}
		if _, err := os.Stat(s.root.Build(p.build).Socket()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket of %s: %v", p.build, err)
		}
	}
	if _, err := s.client.Status(t.Context()); err == nil {
		t.Error("it returns its status after it has stopped")
	}
}

// The result of a stop is also that it lasts: who is told that it was done can rely on it after a
// kill -9 and a reboot.
func TestStopThatCannotBeWrittenDownIsNotCalledDone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	disk := &fullDisk{}
	s.store = func(real world.Store) world.Store { disk.Store = real; return disk }
	s.start()
	s.serves("a")
	disk.full.Store(true)
	act := func() error {
		_, err := s.client.Act(t.Context(), "a", "stop", nil, nil)
		return err
	}
	if err := act(); err == nil || !strings.Contains(err.Error(), "cannot be written down") {
		t.Errorf("a stop that is not written down: %v", err)
	}
	if state := s.status("a").State; state != control.StateStopped {
		t.Errorf("it is %s", state)
	}
	disk.full.Store(false)
	if err := act(); err != nil || !strings.Contains(s.read("root/.supervisor/state/a.json"), "stopped_by_hand") {
		t.Errorf("a stop that can be written down: %v", err)
	}
}

// fullDisk takes no record while it is full.
type fullDisk struct {
	world.Store
	full atomic.Bool
}

func (d *fullDisk) Save(name string, r state.Record) error {
	if d.full.Load() {
		return errors.New("no space left on device")
	}
	return d.Store.Save(name, r)
}

// A request that never ends is waited for, until somebody loses patience.
func TestImpatientStopEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, signals := range map[string][]os.Signal{
		"two SIGTERM": {syscall.SIGTERM, syscall.SIGTERM},
		"SIGQUIT":     {syscall.SIGQUIT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "", entry("a", `graceful_timeout = "1h"`))
			r := s.start()
			s.serves("a")
			before := s.get("a")
			hung := make(chan error, 1)
			go func() {
				_, err := s.ask("a", "/hang")
				hung <- err
			}()
			s.eventually(func() string {
				text, err := os.ReadFile(layout.Log(s.root.Logs(), "a"))
				if err == nil && strings.Contains(string(text), "hangs\n") {
					return ""
				}
				return "the request is not under way"
			})
			for _, sig := range signals {
				r.signals <- sig
			}
			r.wait()
			select {
			case err := <-hung:
				if err == nil {
					t.Error("a request that hangs was done")
				}
			case <-time.After(patience):
				t.Error("the request still hangs")
			}
			if !process.Dead(before.pid) {
				t.Errorf("%+v still runs", before)
			}
		})
	}
}
