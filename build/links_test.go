package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A settings file kept elsewhere, or swapped as a config map is, goes into the release with its
// contents.
func TestLinkOutOfTheApplicationIsFollowedToAFileOnly(t *testing.T) {
	t.Parallel()
	app, elsewhere := filepath.Join(t.TempDir(), "API"), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(app, "inside.py"): "inside", filepath.Join(elsewhere, "open.py"): "open", filepath.Join(elsewhere, "folder", "x"): "x",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(app, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("relative.py", "inside.py")
	link("settings.py", filepath.Join(elsewhere, "open.py"))
	link("nothing.py", "nowhere.py")
	to := filepath.Join(t.TempDir(), "copy")
	copied, err := copyTree(t.Context(), app, to, ourselves, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "settings.py")); err != nil || string(text) != "open" || strings.HasPrefix(copied["settings.py"], "link") {
		t.Errorf("the file that a link led to holds %q, %v", text, err)
	}
	for name, want := range map[string]string{"relative.py": "inside.py", "nothing.py": "nowhere.py"} {
		if got, err := os.Readlink(filepath.Join(to, name)); got != want || err != nil {
			t.Errorf("%s leads to %q (%v), want %s", name, got, err, want)
		}
	}
	link("folder", filepath.Join(elsewhere, "folder"))
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), ourselves, nil); err == nil || !strings.Contains(err.Error(), "link to the folder") {
		t.Errorf("a link to a folder elsewhere: %v", err)
	}
}

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

// As root we can read what whoever wrote the source cannot.
func TestLinkIsNotFollowedToWhatItsOwnerMayNotRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files to another user")
	}
	app, elsewhere := filepath.Join(t.TempDir(), "API"), t.TempDir()
	secret := filepath.Join(elsewhere, "secret")
	if err := os.Mkdir(app, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(app, "a.py")); err != nil {
		t.Fatal(err)
	}
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), ourselves, nil); err != nil {
		t.Errorf("their owner's own: %v", err)
	}
	if err := os.Lchown(filepath.Join(app, "a.py"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), ourselves, nil); err == nil || strings.Contains(err.Error(), "secret\n") {
		t.Errorf("somebody else's: %v", err)
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

func TestWhatWeMayNotReadIsNamedInASentenceOfOurs(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"/app/a/b": &fs.PathError{Op: "openat", Path: "a/b", Err: syscall.EACCES},
		"/app/dir": fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "/app/dir", Err: syscall.EACCES}),
	} {
		got := denied(name, err)
		if !errors.Is(got, fs.ErrPermission) || !strings.HasPrefix(got.Error(), name+": permission denied: the user") {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, err := range []error{nil, errClosed, &fs.PathError{Op: "open", Path: "/root/releases/x", Err: syscall.EACCES}, &fs.PathError{Op: "openat", Path: "a", Err: syscall.EIO}} {
		if got := denied("/app/a", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
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
			time.Sleep(100 * time.Microsecond) // a copy takes longer
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
	for name, now := range map[string]tree{"was removed": {}, "was changed": {"a": "2"}, "was added": {"a": "1", "b": "1"}} {
		err := &changedError{tree{"a": "1"}.changed("/app", now)}
		if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A walk meets what was there when the folder was read.
func TestFileThatGoesWhileItIsLookedAtIsNoPartOfTheApplication(t *testing.T) {
	t.Parallel()
	app := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(app, name), nil, 0o644))
	}
	var seen []string
	err := walk(t.Context(), app, func(rel string, _ fs.DirEntry) error {
		if rel == "a" {
			must(t, os.Remove(filepath.Join(app, "b")))
		}
		_, err := os.Stat(filepath.Join(app, rel))
		if err == nil {
			seen = append(seen, rel)
		}
		return err
	}, nil)
	if err != nil || !slices.Equal(seen, []string{"a", "c"}) {
		t.Errorf("seen %q, error %v", seen, err)
	}
	if err := walk(t.Context(), filepath.Join(app, "none"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an application that is not there: %v", err)
	}
}
