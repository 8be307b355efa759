package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// What an entry names as shared is meant to be reached by every release.
func TestLinkToASharedFolderStaysALink(t *testing.T) {
	t.Parallel()
	shared := filepath.Join(t.TempDir(), "media")
	must(t, os.MkdirAll(filepath.Join(shared, "images"), 0o755))
	p := newProject(t, "")
	link := filepath.Join(p.AppPath(), "media")
	must(t, os.Symlink(filepath.Join(shared, "images"), link))
	p.Sandbox.Write = []string{"{data}/x", shared}
	rel := p.made(t)
	if to, err := os.Readlink(filepath.Join(rel.App(p.Build), "media")); err != nil || to != filepath.Join(shared, "images") {
		t.Errorf("in the release: %q, %v", to, err)
	}
	relative, err := filepath.Rel(p.AppPath(), shared)
	must(t, err)
	must(t, os.Remove(link))
	must(t, os.Symlink(relative, link))
	_, _, err = p.m.Make(t.Context(), p.request())
	if err == nil {
		t.Fatal("a relative link, which leads elsewhere from a release, is in one")
	}
	contains(t, err.Error(), link, "make the link an absolute one (ln -sfn "+shared+" "+link+")")
}

// Where uploads of an earlier recipe were kept beside the code, a link to the build's data keeps the code
// as it is.
func TestLinkToTheBuildsOwnDataStaysALink(t *testing.T) {
	t.Parallel()
	for name, to := range map[string]string{"data": "", "a folder in it": "media"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.Sandbox.Write = []string{"{data}"}
			to, link := filepath.Join(p.data(), to), filepath.Join(p.AppPath(), "media")
			must(t, os.Symlink(to, link))
			if name != "data" {
				_, _, err := p.m.Make(t.Context(), p.request())
				if err == nil {
					t.Fatal("a link to nothing is in a release")
				}
				contains(t, err.Error(), link+" is a link to "+to, "make that folder")
				must(t, os.MkdirAll(to, 0o750))
			}
			rel := p.made(t) // at first without any data
			if got, err := os.Readlink(filepath.Join(rel.App(p.Build), "media")); err != nil || got != to {
				t.Errorf("in the release: %q, %v", got, err)
			}
			if same, fresh, err := p.m.Make(t.Context(), p.request()); err != nil || fresh {
				t.Errorf("made %s again, %v", same.ID, err)
			}
		})
	}
}

func TestWhatCannotBeCopiedIsNamedInASentenceOfOurs(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(elsewhere, "media"), 0o755))
	for name, c := range map[string]struct {
		to   string
		want []string
	}{
		"dangling":       {"/no/such/place", []string{"is a link to /no/such/place", "nothing is there"}},
		"dangling out":   {"../../no-such-place", []string{"is a link to ../../no-such-place", "nothing is there"}},
		"circle":         {"circle", []string{"is a link to circle", "leads in a circle"}},
		"long circle":    {"long circle/..", []string{"leads in a circle"}},
		"through a file": {"manage.py/x", []string{"cannot be followed: not a directory"}},
		"media":          {filepath.Join(elsewhere, "media"), []string{"link to the folder " + elsewhere, "MEDCTRL_DATA", "MEDIA_ROOT = \"" + filepath.Join(elsewhere, "media") + "\"", "[build.sandbox] write"}},
		"a device":       {"/dev/null", []string{"a link to /dev/null, is a device"}},
		"inside":         {"{app}/app", []string{"of the application itself", "ln -srfn {app}/app {app}/inside"}},
		"media/inner":    {filepath.Join(elsewhere, "media"), []string{"MEDCTRL_DATA"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			path := filepath.Join(p.AppPath(), name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			here := strings.NewReplacer("{app}", p.AppPath())
			must(t, os.Symlink(here.Replace(c.to), path))
			for i := range c.want {
				c.want[i] = here.Replace(c.want[i])
			}
			_, _, err := p.m.Make(t.Context(), p.request())
			if err == nil {
				t.Fatal("made")
			}
			contains(t, err.Error(), append(c.want, path)...)
			for _, word := range []string{"lstat", "EvalSymlinks", "copy it in", "readlink"} {
				if strings.Contains(err.Error(), word) {
					t.Errorf("%q is no word of ours: %v", word, err)
				}
			}
		})
	}
}

func TestFileThatChangesDuringEachCopyIsNamed(t *testing.T) { // not in parallel: the writer must get its turns
	p := newProject(t, "")
	log := filepath.Join(p.AppPath(), "debug.log")
	p.write(t, "API/large", strings.Repeat("between the copy of the log and the next look at it", 1<<18))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
			if err == nil {
				_, _ = fmt.Fprintln(f, n)
				_ = f.Close()
			}
			if n%10000 == 0 {
				_ = os.Truncate(log, 0)
			}
			time.Sleep(100 * time.Microsecond) // leaves the copy a processor; it takes longer than that, so each sees a line more
		}
	}()
	until(t, "the first line", func() bool { return exists(log) })
	// On a busy machine the writer may miss its turn during one of the copies; then there is a release.
	r := p.request()
	r.Force = true
	var err error
	until(t, "an attempt during all of whose copies the log grew", func() bool {
		_, _, err = p.m.Make(t.Context(), r)
		return err != nil
	})
	close(stop)
	<-stopped
	if !errors.Is(err, errChanged) {
		t.Fatal(err)
	}
	contains(t, err.Error(), log+" was changed", "MEDCTRL_DATA")
}

func TestFileThatComesAndGoesIsNamed(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]inputs.Tree{"was removed": {}, "was changed": {"a": "2"}, "was added": {"a": "1", "b": "1"}} {
		err := &changedError{inputs.Tree{"a": "1"}.Changed("/app", now)}
		if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
