package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// fake is a supervisor of the builds development and testing, in which nothing happens but what a
// test makes happen. It has no samples: no command asks for them.
type fake struct {
	control.Backend
	file  string
	front string // where it serves
	house *house // where commands run

	outcome control.Outcome // of what act does
	act     func(ctx context.Context, name string, args map[string]string, progress func(string)) error
	deploy  func(ctx context.Context, name string, progress func(string)) (control.Deployed, error)
	stopped []string // builds that are
	reload  func(dry bool) ([]string, error)
	upgrade func(progress func(string)) error
	follow  chan string // lines that a log goes on with

	mu    sync.Mutex
	asked []string // the actions and logs that were asked for
	once  sync.Once
	feed  *control.Feed
}

// serve has a supervisor at the desk, until the test's end or until stop is called.
func (d *desk) serve(f *fake) (stop func()) {
	d.t.Helper()
	ln, err := control.Listen(d.socket(), control.NoGroup)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.file = d.file
	var done sync.WaitGroup
	done.Go(func() {
		if err := control.Serve(ctx, ln, f, control.NewMetrics("1.0", f), hclog.NewNullLogger()); err != nil {
			d.t.Error(err)
		}
	})
	stop = func() {
		cancel()
		done.Wait()
	}
	d.t.Cleanup(stop)
	return stop
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

// took returns what was asked for since it was called last.
func (f *fake) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *fake) Status(bool) control.Status {
	st := control.Status{Version: "1.0", Pid: 1, Started: time.Now(), Front: control.Part{Address: f.front}, Config: control.ConfigStatus{Path: f.file}, Builds: []control.BuildStatus{
		{Name: "development", State: "running", Healthy: true, Release: "20260103T000000-cccccc",
			Releases: []string{"20260101T000000-aaaaaa", "20260102T000000-bbbbbb", "20260103T000000-cccccc"}},
		{Name: "testing", State: "running", Release: "20260105T000000-eeeeee", Releases: []string{"20260104T000000-dddddd", "20260105T000000-eeeeee"}},
	}}
	for i := range st.Builds {
		if slices.Contains(f.stopped, st.Builds[i].Name) {
			st.Builds[i].State, st.Builds[i].Release = control.StateStopped, ""
		}
	}
	return st
}

func (f *fake) Detail(name string) (control.BuildDetail, error) {
	for _, s := range f.Status(true).Builds {
		if s.Name == name {
			return control.BuildDetail{Status: s, Output: []string{"Booting worker"}}, nil
		}
	}
	return control.BuildDetail{}, control.ErrNoBuild
}

func (f *fake) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (control.Outcome, error) {
	f.note("%s %s %v", action, name, args)
	if f.act == nil {
		return f.outcome, nil
	}
	return f.outcome, f.act(ctx, name, args, progress)
}

func (f *fake) Deploy(ctx context.Context, name string, wait bool, progress func(string)) (control.Deployed, error) {
	f.note("deploy %s %v", name, wait)
	if f.deploy == nil || !wait {
		return control.Deployed{}, nil
	}
	return f.deploy(ctx, name, progress)
}

func (f *fake) Reload(_ context.Context, dry bool) ([]string, error) { return f.reload(dry) }

func (f *fake) Upgrade(_ context.Context, progress func(string)) error {
	if err := f.upgrade(progress); err != nil {
		return err
	}
	panic(http.ErrAbortHandler) // as an exec ends the connection
}

func (f *fake) Log(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	since := "ever"
	if !q.Since.IsZero() {
		since = fmt.Sprint(time.Since(q.Since).Round(time.Minute))
	}
	f.note("log of %s: %d lines, build %v, since %s%s", name, q.Lines, q.Build, since, pattern(q))
	text := "a line of " + name + "\nand its end"
	if q.Records { // each log has a line a second, this one on the half or the whole ones
		at := time.Date(2026, 11, 23, 9, 0, 0, 5e8*(len(name)%2), time.UTC)
		text = fmt.Sprintf("%s\n%s\n", q.Record(name, at, "a line of "+name), q.Record(name, at.Add(time.Second), "and its end"))
		if q.Follow {
			text += "\n"
		}
	}
	if err := each([]byte(text)); err != nil || !q.Follow {
		return err
	}
	for {
		select {
		case line := <-f.follow:
			if q.Records {
				line = fmt.Sprintf("%s\n", q.Record(name, time.Now(), strings.TrimSpace(line)))
			}
			if err := each([]byte(line)); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func pattern(q control.LogQuery) string {
	if q.Match == nil {
		return ""
	}
	return ", grep " + q.Match.String()
}

// Events returns what happened: an hour ago to a build that was removed, and just now to one that
// is there.
func (f *fake) Events() *control.Feed {
	f.once.Do(func() {
		f.feed = control.NewFeed(nil)
		f.feed.Add(control.Event{Time: time.Now().Add(-time.Hour), Build: "removed", Event: "exited"})
		f.feed.Add(control.Event{Time: time.Now(), Build: "testing", Event: "took_over", Release: "r1", Pid: 7})
	})
	return f.feed
}

func (f *fake) Usage(context.Context) []control.Usage { return nil }
func (f *fake) FrontCounts() control.FrontCounts      { return control.FrontCounts{} }
