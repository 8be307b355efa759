package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// staticLines are settings of a project with hashed static files, and a page that links to one.
const staticLines = `INSTALLED_APPS = INSTALLED_APPS + ["django.contrib.staticfiles"]
STATICFILES_DIRS = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "assets")]
import django
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
if django.VERSION < (4, 2):
    STATICFILES_STORAGE = MANIFEST
else:  # which refuses both
    STORAGES = {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}, "staticfiles": {"BACKEND": MANIFEST}}
ROOT_URLCONF = "api_settings.assets"
`

const staticPage = `from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path

from .urls import urlpatterns as others

urlpatterns = [path("page", lambda request: HttpResponse(static("site.css")))] + others
`

// staticWorld is a world whose build "one" collects hashed static files.
func staticWorld(t *testing.T, lines ...string) *World {
	t.Helper()
	w := NewWorld(t, One(append(lines, "workers = 1", "collectstatic = true", stableSoon)...))
	w.WithDjango()
	for path, text := range map[string]string{"assets/plain.txt": "v1", "api_settings/assets.py": staticPage} {
		path = filepath.Join(w.Source, "API", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.SetStatic("v1", "")
	return w
}

func (w *World) staticRoot() string { return filepath.Join(w.Dir, "www", "static") }

// SetStatic gives the source static files with that text, and its settings these lines.
func (w *World) SetStatic(text, lines string) {
	w.t.Helper()
	for _, name := range []string{"site.css", "plain.txt"} {
		if err := os.WriteFile(filepath.Join(w.Source, "API", "assets", name), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.SaveSettings("one", fmt.Sprintf("import os\n%sSTATIC_ROOT = %q\nBANNER = %q\n%s", staticLines, w.staticRoot(), text, lines), RenameOver)
}

// page returns the static file that the page links to, relative to STATIC_ROOT.
func (w *World) page() string {
	w.t.Helper()
	a, err := Ask("unix", w.Socket("one"), "/page")
	if err != nil || a.Status != http.StatusOK {
		w.t.Errorf("the page returns %d %q, %v", a.Status, a.Body, err)
	}
	return strings.TrimPrefix(a.Body, "/static/")
}

// live returns what a file in STATIC_ROOT holds.
func (w *World) live(name string) string { return readAll(filepath.Join(w.staticRoot(), name)) }

// waitLive waits until STATIC_ROOT has the files of the release that serves the text.
func (w *World) waitLive(text string) {
	w.t.Helper()
	Eventually(w.t, patience, "the static files "+text, func() (bool, string) {
		now := w.live("plain.txt")
		return now == text, now
	})
	if got := w.live(w.page()); got != text {
		w.t.Errorf("the page links to a file that holds %q, want %q", got, text)
	}
}

// watchPages asks for the page all the time until the returned function is called: what it links to
// must be there, and so must what it linked to before.
func (w *World) watchPages() (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var links []string
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if link := w.page(); !slices.Contains(links, link) {
				links = append(links, link)
			}
			for _, link := range links {
				if _, err := os.Stat(filepath.Join(w.staticRoot(), link)); err != nil {
					w.t.Errorf("a page links to a file that is not there: %v", err)
					return
				}
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

func TestStaticFilesGoLiveWithTheRelease(t *testing.T) {
	t.Parallel()
	w := staticWorld(t)
	first := w.Serve("one")
	w.waitLive("v1")
	old := w.page()
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)
	stop := w.watchPages()

	// It is built, with its static files, and fails its check.
	w.SetStatic("v2", unfit["answers 500"].lines)
	w.WaitStatus("one", "the failed check", func(b BuildStatus) bool { return strings.Contains(b.Reason, "500") && !b.Building })
	if got := w.live("plain.txt"); got != "v1" || w.page() != old {
		t.Errorf("static files hold %q while the first release serves", got)
	}

	w.SetStatic("v3", "")
	second := w.WaitRelease("one", first.Release)
	w.waitLive("v3")
	if got := w.live(old); got != "v1" {
		t.Errorf("an open page of the first release finds %q", got)
	}
	// From now on file by file: the folder has something of somebody else.
	upload := filepath.Join(w.staticRoot(), "upload.png")
	if err := os.WriteFile(upload, []byte("upload"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.MustCLI("rollback", "one", "--to", first.Release)
	w.waitLive("v1")
	w.SetStatic("v4", "")
	w.WaitRelease("one", first.Release)
	w.waitLive("v4")
	stop()
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	if readAll(upload) != "upload" {
		t.Error("what somebody uploaded is gone")
	}
	if second.Reason != "" || strings.Contains(w.Log(), "[ERROR] supervisor: static") {
		t.Errorf("%+v; %s", second, w.Log())
	}
}

func TestStaticFilesAreRightWhenTheSupervisorWasKilled(t *testing.T) {
	t.Parallel()
	program, err := mortal()
	if err != nil {
		t.Fatal(err)
	}
	w := staticWorld(t)
	w.Program = program
	w.DieAt("")
	release := w.Serve("one").Release
	w.waitLive("v1")
	for i, moment := range []string{"after static files are prepared#1", "before static files go live#2", "after static files go live#2", "after the exchange of names#1"} {
		w.Signal(syscall.SIGKILL)
		w.WaitEnd(patience)
		w.DieAt(moment)
		w.Start()
		w.WaitState("one", "running")
		text := fmt.Sprint("n", i)
		w.SetStatic(text, "")
		if !w.DiesBefore("the death "+moment, func() bool { return false }) {
			t.Errorf("it did not die %s", moment)
		}
		w.DieAt("")
		w.Start()
		release = w.WaitRelease("one", release).Release
		w.waitLive(text)
		Eventually(t, patience, "nothing that was only prepared", func() (bool, string) {
			left, err := os.ReadDir(filepath.Dir(w.staticRoot()))
			return err == nil && len(left) == 1, fmt.Sprint(left, err)
		})
	}
}

func TestStaticFilesThatCannotGoLiveStopNoRelease(t *testing.T) {
	t.Parallel()
	w := staticWorld(t)
	first := w.Serve("one")
	w.waitLive("v1")
	aside := filepath.Join(w.Dir, "www", "aside")
	w.SetStatic("v2", "")
	w.WaitRelease("one", first.Release)
	w.waitLive("v2")
	if err := os.Rename(w.staticRoot(), aside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.staticRoot(), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.MustCLI("rollback", "one", "--to", first.Release)
	b := w.WaitStatus("one", "the reason", func(b BuildStatus) bool { return strings.Contains(b.Reason, "static files") })
	if b.State != "running" || b.Release != first.Release || !b.Healthy {
		t.Errorf("status %+v", b)
	}
	if events := w.MustCLI("events"); !strings.Contains(events, "static files failed") {
		t.Errorf("events are %s", events)
	}
	if err := os.Remove(w.staticRoot()); err != nil {
		t.Fatal(err)
	}
	w.waitLive("v1")
	w.WaitStatus("one", "no reason", func(b BuildStatus) bool { return b.Reason == "" })
}
