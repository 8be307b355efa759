package saver

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// paper is what a saver writes on: a disk that may hang or fail.
type paper struct {
	world.Store
	mu      sync.Mutex
	hangs   chan struct{} // nil: it does not; else until it is closed
	fails   error
	tries   int // that failed
	records map[string]state.Record
	kept    int
}

func (p *paper) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *paper) change(f func()) error {
	var hangs chan struct{}
	p.do(func() { hangs = p.hangs })
	if hangs != nil {
		<-hangs
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails == nil {
		f()
	} else {
		p.tries++
	}
	return p.fails
}

func (p *paper) Save(name string, r state.Record) error {
	return p.change(func() { p.records[name] = r })
}

func (p *paper) Delete(name string) error { return p.change(func() { delete(p.records, name) }) }

func (p *paper) Intact(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.records[name]
	return ok
}

// files are those on a paper.
type files struct {
	world.Files
	*paper
}

func (files) Load(string) (*config.Config, error) { return nil, errors.New("there is none") }
func (files) Includes(string) []string            { return nil }

func (f files) Keep(*config.Config) error { return f.change(func() { f.kept++ }) }

func (p *paper) names() map[string]state.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.records)
}

// saving runs f in a bubble with a saver that is running.
func saving(t *testing.T, f func(t *testing.T, s *Saver, p *paper)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &paper{records: map[string]state.Record{}}
		s := New(p, files{paper: p}, hclog.NewNullLogger(), func(string, any) {})
		ctx, stop := context.WithCancel(t.Context())
		go s.Run(ctx)
		f(t, s, p)
		stop()
		<-s.ended
	})
}

func TestDiskThatHangsIsWaitedForByNobodyForLong(t *testing.T) {
	saving(t, func(t *testing.T, s *Saver, p *paper) {
		hangs := make(chan struct{})
		p.do(func() { p.hangs = hangs })
		begun := time.Now()
		s.Save("a", &state.Record{})
		s.Keep(&config.Config{})
		s.Restore()
		if took := time.Since(begun); took > 0 {
			t.Errorf("noting took %v", took)
		}
		if s.Flush(time.Second) || time.Since(begun) != time.Second {
			t.Errorf("flush returned after %v", time.Since(begun))
		}
		s.Save("b", &state.Record{})
		close(hangs)
		if !s.Flush(time.Second) || len(p.names()) != 2 || p.kept != 1 {
			t.Errorf("it is not written once the disk goes on: %v", p.names())
		}
	})
}

func TestRecordThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	saving(t, func(t *testing.T, s *Saver, p *paper) {
		p.do(func() { p.fails = errors.New("no space left on device") })
		s.Save("a", &state.Record{})
		if s.Flush(time.Second) {
			t.Error("flush says that it is written")
		}
		p.do(func() { p.fails = nil })
		time.Sleep(saveRetry + saveRest)
		synctest.Wait()
		if len(p.names()) != 1 {
			t.Error("it was not tried again")
		}
	})
}

// A write that fails touches the folder all the same, and whoever watches that asks for another.
func TestDiskThatTakesNothingIsNotTriedAllTheTime(t *testing.T) {
	saving(t, func(t *testing.T, s *Saver, p *paper) {
		p.do(func() { p.fails = errors.New("no space left on device") })
		s.Save("a", &state.Record{})
		s.Keep(&config.Config{})
		for begun := time.Now(); time.Since(begun) < 5*saveRetry; time.Sleep(10 * time.Millisecond) {
			s.Restore()
			s.Keep(&config.Config{})
		}
		if most := 2 * 7; p.tries > most || p.tries < 8 {
			t.Errorf("it was tried %d times, want about %d", p.tries, most)
		}
		p.do(func() { p.fails = nil })
		s.Save("b", &state.Record{})
		time.Sleep(2 * saveRest)
		synctest.Wait()
		if _, ok := p.names()["b"]; !ok {
			t.Error("another record waits for the one that could not be written")
		}
		time.Sleep(saveRetry)
		synctest.Wait()
		if len(p.names()) != 2 || p.kept == 0 {
			t.Errorf("written are %v and %d copies", p.names(), p.kept)
		}
	})
}

func TestRecordThatSomebodyRemovedIsWrittenAgain(t *testing.T) {
	saving(t, func(t *testing.T, s *Saver, p *paper) {
		s.Save("a", &state.Record{})
		s.Save("b", nil)
		s.Flush(time.Second)
		p.do(func() { clear(p.records) })
		s.Restore()
		if s.Flush(time.Second); len(p.names()) != 1 {
			t.Errorf("there are %v", p.names())
		}
	})
}

func TestFlushAfterTheEndSaysWhetherEverythingIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &paper{records: map[string]state.Record{}, fails: errors.New("read-only file system")}
		s := New(p, files{paper: p}, hclog.NewNullLogger(), func(string, any) {})
		s.Save("a", &state.Record{})
		ctx, stop := context.WithCancel(t.Context())
		stop()
		s.Run(ctx)
		if s.Flush(time.Second) {
			t.Error("it says so and nothing is written")
		}
	})
}
