package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/health"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
)

// host is this machine as an actor.Host.
type host struct{ environ []string }

// Now is the time.
func (host) Now() time.Time { return time.Now() }

// Environ is the environment that an entry asks for.
func (h host) Environ(entry *config.Build) ([]string, error) {
	return config.Environ(*entry, h.environ)
}

// Identity is the user and groups that an entry's processes run as.
func (host) Identity(entry *config.Build) (config.Identity, error) { return config.IdentityOf(*entry) }

// Probe asks a server for the health page.
func (host) Probe(ctx context.Context, socket string, h *config.Health, timeout time.Duration) error {
	_, err := health.Probe{Socket: socket, Path: h.Path, Host: h.Host,
		Min: h.Expect.Min, Max: h.Expect.Max, Timeout: timeout}.Do(ctx)
	var answer *health.Error
	if errors.As(err, &answer) {
		return &actor.ProbeError{Wrong: answer.Kind == health.Status, Late: answer.Kind == health.TimedOut, Ours: answer.Kind == health.Ours, Status: answer.Status, Err: err}
	}
	return err
}

// OutputSize is how long a log is.
func (host) OutputSize(log string) int64 { return journal.Size(log) }

// Output is the last lines of what was written to a log after an offset.
func (host) Output(log string, from int64, n int) []string { return journal.TailFrom(log, from, n) }

// MakeData makes a data folder where there is none.
func (host) MakeData(entry *config.Build, b layout.Build) error {
	if _, err := os.Lstat(b.Data()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	as, err := config.IdentityOf(*entry)
	if err != nil {
		return err
	}
	return build.MakeData(b.Data(), as)
}

// DropFiles removes generated files, and temporary ones of generations and tasks that are gone.
func (host) DropFiles(b layout.Build, keep ...string) error {
	entries, err := os.ReadDir(b.Run())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list generated files: %w", err)
	}
	err = nil
	for _, e := range entries {
		path := filepath.Join(b.Run(), e.Name())
		if slices.Contains(keep, path) {
			continue
		}
		if _, ok := layout.ConfKey(path); ok {
			err = errors.Join(err, os.Remove(path))
		}
		if _, ok := layout.TempGeneration(path); ok || layout.IsTempOfTask(path) {
			err = errors.Join(err, os.RemoveAll(path)) // which follows no link below the folder, which is ours
		}
	}
	return err
}
