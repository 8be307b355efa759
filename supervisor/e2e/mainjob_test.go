package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMainJob checks what `make run` promises, on a copy of the example: two running builds,
// reached through the front, and an edit that takes effect.
func TestMainJob(t *testing.T) {
	t.Parallel()
	mainJob(t, exampleWorld(t))
}

func mainJob(t *testing.T, w *World) {
	w.Start()
	for name, location := range map[string]string{"development": "/api", "testing": "/testapi"} {
		b := w.WaitState(name, "running")
		if b.Location != location || b.Socket != w.Socket(name) || !b.Healthy || b.Pid == 0 {
			t.Errorf("status of %s: %+v", name, b)
		}
		index := MustAsk(t, "tcp", w.Front, location+"/")
		if index.Status != http.StatusOK || !strings.Contains(index.Body, `"banner": "`+name+`"`) {
			t.Errorf("GET %s/ answered %+v", location, index)
		}
		list := MustAsk(t, "tcp", w.Front, location+"/medicines/?search=humira")
		if list.Status != http.StatusOK || !strings.Contains(list.Body, `"count": 1`) {
			t.Errorf("GET %s/medicines/ answered %+v", location, list)
		}
		admin := MustAsk(t, "tcp", w.Front, location+"/admin/login/")
		if admin.Status != http.StatusOK || !strings.Contains(admin.Body, `href="`+location+`/static/admin/css/base.css"`) {
			t.Errorf("GET %s/admin/login/ answered %+v", location, admin)
		}
		if css := MustAsk(t, "tcp", w.Front, location+"/static/admin/css/base.css"); css.Status != http.StatusOK {
			t.Errorf("the admin's style sheet answered %+v", css)
		}
	}

	tr := w.FrontLoad("/api/", 50)
	settings := filepath.Join(w.Source, "API", "api_settings", "settings", "deploy_development.py")
	w.Replace(settings, `BANNER = "development"`, `BANNER = "edited"`, RenameOver)
	Eventually(t, 30*time.Second, "the edit to show", func() (bool, string) {
		index := MustAsk(t, "tcp", w.Front, "/api/")
		return strings.Contains(index.Body, `"banner": "edited"`), index.Body
	})
	tr.Stop().NoneLost(t)
	w.Stop()
	if _, err := os.Lstat(w.Socket("development")); !os.IsNotExist(err) {
		t.Errorf("the public socket after the stop: %v", err)
	}
}

// exampleWorld is a world with a copy of examples/, on a root and a front of its own.
func exampleWorld(t *testing.T) *World {
	t.Helper()
	w := emptyWorld(t)
	examples := filepath.Join(w.Dir, "examples")
	if err := os.CopyFS(examples, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	w.File = filepath.Join(examples, "builds.toml")
	w.Source = filepath.Join(examples, "medctrl")
	w.Root = filepath.Join(w.Dir, "run") // builds.toml says "../run"
	w.Replace(w.File, "127.0.0.1:8080\" ", w.Front+"\" ", Overwrite)
	return w
}
