package build

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

func TestBuildWithoutASandboxHasNoBox(t *testing.T) {
	t.Parallel()
	as := config.Identity{UID: -1, GID: -1}
	if box := BoxOf(config.Build{Name: "one"}, "/root/one", as, config.Braces{}, nil); box != nil {
		t.Errorf("%+v", box)
	}
	if box := HookBox(config.Build{Name: "one"}, "/root/one", as); box != nil {
		t.Errorf("of a hook: %+v", box)
	}
}

func TestBoxHasWhatIsTheBuildsOwnAndWhatIsListed(t *testing.T) {
	t.Parallel()
	b := config.Build{Name: "one", Source: "/srv/medctrl", Private: []string{"/etc/medctrl/builds.toml"}, Sandbox: config.Sandbox{
		Enabled: true, Read: []string{"/srv/fonts", "{release}/x", "{data}/y"}, Write: []string{"{data}/media", "/srv/media", "/srv/media/thumbs"},
		Connect: config.Ports{Limited: true, List: []uint16{3306}},
	}}
	dir := layout.Build("/b/one")
	box := BoxOf(b, dir, config.Identity{UID: 5, GID: 5}, config.Braces{Release: "/b/one/releases/r", Venv: "/b/one/venvs/v", App: "/b/one/releases/r/API", Data: dir.Data()}, []string{"/opt/python"})
	if want := []string{"/b/one/run", "/b/one/releases/r", "/b/one/venvs/v", "/opt/python", "/srv/fonts", "/b/one/releases/r/x"}; !slices.Equal(box.Read, want) {
		t.Errorf("reads %q, want %q", box.Read, want)
	}
	// What lies in what may be written could be made a link to anywhere.
	if want := []string{"/b/one/data", "/srv/media"}; !slices.Equal(box.Write, want) {
		t.Errorf("writes %q, want %q", box.Write, want)
	}
	if want := []string{"/etc/medctrl/builds.toml", "/srv/medctrl"}; !slices.Equal(box.Private, want) {
		t.Errorf("keeps private %q, want %q", box.Private, want)
	}
	if box.Connect == nil || !slices.Equal(*box.Connect, []uint16{3306}) || box.Bind != nil {
		t.Errorf("connects to %v, listens on %v", box.Connect, box.Bind)
	}
	// A hook has no release: a brace that stands for nothing is not the root of the file system.
	if hook := HookBox(b, dir, config.Identity{UID: 5, GID: 5}); slices.Contains(hook.Read, "/x") {
		t.Errorf("a hook reads %q", hook.Read)
	}
}

func TestInterpreterIsWhereItSaysOrWhereItsLinkLeads(t *testing.T) {
	t.Parallel()
	if got := interpreterFolders([]string{"/", "/opt/python", "relative"}, ""); !slices.Equal(got, []string{"/opt/python"}) {
		t.Errorf("said: %q", got)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"venv/bin", "python/bin", "secrets"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "venv/bin/python")
	for target, want := range map[string][]string{"python/bin/python3.11": {filepath.Join(dir, "python")}, "secrets/python": nil, "python/bin/sh": nil} {
		if err := os.WriteFile(filepath.Join(dir, target), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		os.Remove(link) // there may be none yet
		if err := os.Symlink(filepath.Join(dir, target), link); err != nil {
			t.Fatal(err)
		}
		if got := interpreterFolders(nil, filepath.Join(dir, "venv")); !slices.Equal(got, want) {
			t.Errorf("link to %s: %q, want %q", target, got, want)
		}
	}
}
