package simulate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
)

// host is the port to what the machine knows.
type host struct{ *incarnation }

// Now is what the clock says, which people set.
func (k host) Now() time.Time {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	return k.w.wall()
}

func (k host) Environ(entry *config.Build) ([]string, error) {
	env := []string{"PATH=/usr/bin:/bin"}
	for _, name := range slices.Sorted(maps.Keys(entry.Env)) {
		env = append(env, name+"="+entry.Env[name])
	}
	return env, nil
}

func (k host) Identity(*config.Build) (config.Identity, error) {
	return config.Identity{UID: -1, GID: -1}, nil
}

func (k host) Probe(ctx context.Context, path string, h *config.Health, timeout time.Duration) error {
	s := k.w.siteAt(path)
	n, private := layout.PrivateGeneration(path)
	k.sleep(time.Duration(n)) // trees are probed together: each in its own nanosecond, see doc.go
	if !k.lock() {
		return nil
	}
	k.w.work.probes++
	got := make(chan answer, 1)
	c := &client{site: s, at: k.w.now(), probe: got}
	if private {
		s.probed(c, n)
	} else {
		k.w.connect(c, path)
	}
	k.w.mu.Unlock()
	late := time.NewTimer(timeout)
	defer late.Stop()
	var err error
	select {
	case a := <-got:
		switch {
		case a == 0:
			return errors.New("the connection is refused or reset")
		case int(a) < h.Expect.Min || int(a) > h.Expect.Max:
			return &actor.ProbeError{Wrong: true, Status: int(a), Err: fmt.Errorf("it returns %d", int(a))}
		}
		return nil
	case <-late.C:
		err = &actor.ProbeError{Late: true, Err: fmt.Errorf("no answer within %v", timeout)}
	case <-ctx.Done():
		err = ctx.Err()
	case <-k.gone:
	}
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	c.leaves()
	return err
}

// probed puts a probe into the queue of one tree.
func (s *site) probed(c *client, n int) {
	for _, t := range s.trees {
		if t.n == n && t.alive() {
			t.private = append(t.private, c)
			t.serve()
			return
		}
	}
	c.refused("nobody listens on the private socket")
}

func (k host) OutputSize(string) int64 { return 0 }

func (k host) Output(string, int64, int) []string { return []string{"RuntimeError: made up"} }

func (k host) MakeData(*config.Build, layout.Build) error { return nil }

func (k host) DropFiles(b layout.Build, keep ...string) error {
	s := k.w.sites[filepath.Base(b.Dir())]
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	maps.DeleteFunc(s.files, func(path string, _ bool) bool { return !slices.Contains(keep, path) })
	return nil
}
