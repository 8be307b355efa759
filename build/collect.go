package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/build/statics"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Static is the folder of the static files that were collected into the release; "" where there are
// none to publish.
func (r Release) Static() string {
	if r.StaticRoot == "" {
		return ""
	}
	return layout.Release(r.Dir).Static()
}

// collectors are the builds that collect static files, with the STATIC_ROOT that each has asked for
// last.
type collectors struct {
	mu    sync.Mutex // guards what follows
	names []string
	asked map[string]string
}

// SetCollectors says which builds of the file collect static files: no two may have the same
// STATIC_ROOT.
func (m *Maker) SetCollectors(names []string) {
	m.collectors.mu.Lock()
	defer m.collectors.mu.Unlock()
	m.collectors.names = names
}

// claim has a folder be the STATIC_ROOT of a build, unless it is that of another one, or lies in it
// or around it.
func (c *collectors) claim(root, name, dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.names {
		if other == name {
			continue
		}
		for _, theirs := range c.rootsOf(root, other) {
			if !overlap(dir, theirs) {
				continue
			}
			return fmt.Errorf("STATIC_ROOT %s is that of the build %s, %s: each would remove the other's files. "+
				"Give each build one of its own in its settings, under MEDCTRL_DATA for example, or set collectstatic = false for one of them",
				dir, other, theirs)
		}
	}
	if c.asked == nil {
		c.asked = map[string]string{}
	}
	c.asked[name] = dir
	return nil
}

// rootsOf returns every STATIC_ROOT that a build uses, or is about to.
func (c *collectors) rootsOf(root, name string) []string {
	b := folderOf(root, name)
	all := []string{c.asked[name], statics.Published(b)}
	if releases, err := List(root, name); err == nil && len(releases) > 0 {
		all = append(all, releases[len(releases)-1].StaticRoot)
	}
	return slices.DeleteFunc(all, func(dir string) bool { return dir == "" })
}

// overlap says whether two folders are the same, or one is in the other.
func overlap(a, b string) bool {
	a, b = inputs.ResolvedAsFar(a), inputs.ResolvedAsFar(b)
	return inputs.IsWithin(a, b) || inputs.IsWithin(b, a)
}

// collecting is what an attempt knows of its static files.
type collecting struct {
	staticRoot string // where they are to be; "": there are none, or they stay in the release
	staticErr  error  // why that cannot be
}

func (j *job) stepCollectStatic(ctx context.Context) (bool, error) {
	if !j.b.CollectStatic {
		return true, nil
	}
	into := layout.Release(j.temp).Static()
	if err := MakeFolder(into, 0o750, j.as.UID, j.as.GID); err != nil {
		return false, err
	}
	err := j.manage(ctx, "collectstatic", into, "--noinput")
	if j.staticErr != nil {
		err = j.staticErr
	}
	return false, err
}

// collectsFrom is told of the folder that the settings name for static files, and says whether they
// are collected into the release instead.
func (j *job) collectsFrom(conn *net.UnixConn, dir string) error {
	word := "stay"
	if !inputs.IsWithin(dir, j.temp) { // what lies in the release goes live with it
		if j.staticErr = j.useStaticRoot(dir); j.staticErr != nil {
			return j.staticErr
		}
		word, j.staticRoot = "divert", dir
	}
	_, err := conn.Write([]byte(word))
	return err
}

func (j *job) useStaticRoot(dir string) error {
	if err := j.maker.collectors.claim(j.Root, j.b.Name, dir); err != nil {
		return err
	}
	if err := statics.Usable(dir, j.as); err != nil {
		whom := "the supervisor's user"
		if j.b.User != "" {
			whom = "the build's user, " + j.b.User + ","
		}
		return fmt.Errorf("STATIC_ROOT %s cannot be written: %w. It must be a folder in which %s may write", dir, err, whom)
	}
	return nil
}

// listStatic lists what was collected, before its modes change.
func (j *job) listStatic(ctx context.Context) error {
	r := layout.Release(j.temp)
	if j.staticRoot == "" {
		if err := os.Remove(r.Static()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the folder for static files: %w", err)
		}
		return nil
	}
	list, others, err := statics.Look(ctx, r.Static())
	if err != nil {
		return err
	}
	if len(others) > 0 {
		fmt.Fprintf(j.log, "neither files nor folders, and so not published: %s\n", strings.Join(others, ", ")) // it is a remark
	}
	if err := list.Write(r.StaticList()); err != nil {
		return err
	}
	return seal(r.Static(), j.as.GID, j.as.UID)
}

// StageStatics prepares the static files of a release, which PublishStatics makes live. A release
// without any is no error.
func (m *Maker) StageStatics(ctx context.Context, root string, b config.Build, id string) error {
	r, err := staticsOf(root, b, id)
	if err != nil || r.Root == "" {
		return err
	}
	return m.statics.Stage(ctx, r)
}

// PublishStatics makes STATIC_ROOT hold the static files of a release. A release without any is no
// error, and changes nothing.
func (m *Maker) PublishStatics(ctx context.Context, root string, b config.Build, id string) error {
	r, err := staticsOf(root, b, id)
	if err != nil || r.Root == "" {
		return err
	}
	if err := m.collectors.claim(root, b.Name, r.Root); err != nil {
		return err
	}
	return m.statics.Publish(ctx, r)
}

func staticsOf(root string, b config.Build, id string) (statics.Request, error) {
	release, err := Get(root, b.Name, id)
	if err != nil {
		return statics.Request{}, err
	}
	as, err := config.IdentityOf(b)
	return statics.Request{Build: folderOf(root, b.Name), Release: id, Root: release.StaticRoot, As: as}, err
}

// StaticOverlaps says whether two folders cannot both be a STATIC_ROOT: they are the same, or one is
// in the other. "" overlaps with nothing.
func StaticOverlaps(a, b string) bool { return a != "" && b != "" && overlap(a, b) }
