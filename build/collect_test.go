package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// newStatic makes a project of the real Django with a style sheet and these settings.
func newStatic(t *testing.T, settings string) *project {
	t.Helper()
	p := newDjango(t, "", "STATICFILES_DIRS = ["+`os.path.join(os.path.dirname(__file__), "../../assets")`+"]\n"+settings)
	p.Check, p.Migrate, p.CollectStatic = false, false, true
	p.write(t, "API/assets/site.css", "body {}\n")
	return p
}

// storage returns settings with a storage of static files and its options. Django before 4.2 knows of no
// options, and from 4.2 on it refuses to be told in both ways.
func storage(class, options string) string {
	return fmt.Sprintf(`import django
if django.VERSION < (4, 2):
    STATICFILES_STORAGE = %[1]q
else:
    STORAGES = {"staticfiles": {"BACKEND": %[1]q, "OPTIONS": %[2]s}, "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
`, class, options)
}

var manifestStorage = storage("django.contrib.staticfiles.storage.ManifestStaticFilesStorage", "{}")

func TestRealStaticFilesAreCollectedIntoTheRelease(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]bool{"in the process of the check": true, "in a process of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStatic(t, "")
			p.Check = check
			rel := p.made(t)
			root := filepath.Join(p.data(), "static")
			if got, err := Get(p.root, p.Name, rel.ID); err != nil || got.StaticRoot != root || rel.StaticRoot != root {
				t.Errorf("STATIC_ROOT is recorded as %q and %q, %v", rel.StaticRoot, got.StaticRoot, err)
			}
			if read(t, filepath.Join(rel.Static(), "site.css")) != "body {}\n" || !exists(layout.Release(rel.Dir).StaticList()) {
				t.Error("they are not in the release")
			}
			if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
				t.Errorf("before the release serves, STATIC_ROOT holds %v, %v", entries, err)
			}
			must(t, p.m.StageStatics(t.Context(), p.root, p.Build, rel.ID))
			must(t, p.m.PublishStatics(t.Context(), p.root, p.Build, rel.ID))
			if read(t, filepath.Join(root, "site.css")) != "body {}\n" {
				t.Error("they are not live")
			}
		})
	}
}

func TestRealStaticFilesAreCollectedIntoTheReleaseWhereManagePyGoesOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	for name, head := range elsewhere {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStatic(t, "")
			p.write(t, "API/manage.py", head+read(t, filepath.Join(p.AppPath(), "manage.py")))
			if rel := p.made(t); read(t, filepath.Join(rel.Static(), "site.css")) != "body {}\n" {
				t.Error("they are not in the release")
			}
			if exists(filepath.Join(p.data(), "static", "site.css")) {
				t.Error("they are live before the release serves")
			}
		})
	}
}

func TestRealStaticFilesOfEachStorageAreCollectedIntoTheRelease(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"manifest": manifestStorage,
		"located":  storage("django.contrib.staticfiles.storage.StaticFilesStorage", `{"location": os.path.join(os.environ["MEDCTRL_DATA"], "located")}`),
		"relative": `os.chdir(os.environ["MEDCTRL_DATA"]); STATIC_ROOT = os.path.abspath("static")` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStatic(t, settings)
			rel := p.made(t)
			files, err := filepath.Glob(filepath.Join(rel.Static(), "site*.css"))
			if err != nil || len(files) == 0 {
				t.Errorf("release holds %v, %v", files, err)
			}
			if name == "manifest" && (len(files) != 2 || !exists(filepath.Join(rel.Static(), "staticfiles.json"))) {
				t.Errorf("release holds %v, and perhaps no manifest", files)
			}
			if live := filepath.Join(rel.StaticRoot, "site.css"); rel.StaticRoot == "" || exists(live) {
				t.Errorf("%s is live already, or would never be", live)
			}
		})
	}
}

// Where STATIC_ROOT is in the application, its files go live with the release that they lie in.
func TestRealStaticRootInTheReleaseStaysThere(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"absolute": `STATIC_ROOT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "public")`,
		"relative": `STATIC_ROOT = "public"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStatic(t, settings+"\n")
			rel := p.made(t)
			if rel.StaticRoot != "" || read(t, filepath.Join(rel.App(p.Build), "public", "site.css")) == "" || exists(layout.Release(rel.Dir).Static()) {
				t.Errorf("%+v", rel)
			}
			must(t, p.m.PublishStatics(t.Context(), p.root, p.Build, rel.ID))
		})
	}
}

func TestRealProjectWithoutStaticRootIsToldByDjango(t *testing.T) {
	t.Parallel()
	p := newStatic(t, "STATIC_ROOT = None\n")
	contains(t, p.failed(t).Error(), "collectstatic", "without having set the STATIC_ROOT")
}

func TestRealStorageThatNamesItsOwnFolderKeepsIt(t *testing.T) {
	t.Parallel()
	p := newStatic(t, storage("own.Storage", "{}"))
	p.write(t, "API/own.py", `import os
from django.contrib.staticfiles.storage import StaticFilesStorage
class Storage(StaticFilesStorage):
    def __init__(self):
        super().__init__(location=os.environ["MEDCTRL_DATA"] + "/own")
`)
	rel := p.made(t)
	if rel.StaticRoot != "" || read(t, filepath.Join(p.data(), "own", "site.css")) == "" {
		t.Errorf("%+v", rel)
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "collected straight into "+filepath.Join(p.data(), "own"))
}

func TestRealStaticRootThatTheUserCannotWriteFailsTheBuild(t *testing.T) {
	t.Parallel()
	p := newStatic(t, "STATIC_ROOT = '/proc/static'\n")
	step := p.failed(t)
	contains(t, step.Error(), "collectstatic", "STATIC_ROOT /proc/static cannot be written", "must be a folder")
	if strings.Contains(read(t, step.Log), "once more") {
		t.Error("it was tried twice")
	}
	p.clean(t)
}

func TestRealTwoBuildsCannotHaveOneStaticRoot(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]string{"the same": "www", "inside": "www/inside", "around": "."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newStatic(t, "")
			shared := filepath.Join(filepath.Dir(p.root), "shared")
			must(t, os.MkdirAll(filepath.Join(shared, "www"), 0o755))
			edit(t, p.SettingsFile(), "STATIC_ROOT = '"+filepath.Join(shared, "www")+"'\n")
			p.environment(t)
			other := p.second(t)
			must(t, os.Symlink(shared, filepath.Join(filepath.Dir(p.root), "link")))
			p.write(t, "API/api_settings/settings/deploy_two.py",
				"from .deploy_one import *\nSTATIC_ROOT = '"+filepath.Join(filepath.Dir(p.root), "link", place)+"'\n")
			p.m.SetCollectors([]string{"one", "two"})
			p.made(t)
			for again := range 2 {
				if again == 1 { // another supervisor knows it from the release
					other.m = New(Options{Runner: newRunner(t), Environ: os.Environ(), Parallel: 2})
					other.m.SetCollectors([]string{"one", "two"})
				}
				step := other.failed(t)
				contains(t, step.Error(), "collectstatic", "is that of the build one", filepath.Join(shared, "www"), "collectstatic = false")
			}
			other.m.SetCollectors([]string{"two"}) // the other is gone from the file, or collects nothing
			other.made(t)
		})
	}
}

func TestRealStaticFilesOfAnotherUserAreCollectedAndPublishedAsThatUser(t *testing.T) {
	t.Parallel()
	p := newStatic(t, manifestStorage)
	p.runAsNobody(t)
	p.environment(t)
	rel := p.made(t)
	root := filepath.Join(p.data(), "static")
	for _, more := range []string{"", "p { color: red }\n"} {
		if more != "" {
			edit(t, filepath.Join(p.AppPath(), "assets", "site.css"), more)
			rel = p.made(t)
		}
		must(t, p.m.StageStatics(t.Context(), p.root, p.Build, rel.ID))
		must(t, p.m.PublishStatics(t.Context(), p.root, p.Build, rel.ID))
	}
	contains(t, read(t, filepath.Join(root, "site.css")), "color: red")
	for path, want := range map[string]int{filepath.Join(rel.Static(), "site.css"): 0, root: 65534, filepath.Join(root, "site.css"): 65534} {
		if o, err := os.Stat(path); err != nil || inputs.OwnerOf(o) != want {
			t.Errorf("%s: %v, %v", path, o, err)
		}
	}
}
