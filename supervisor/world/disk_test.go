package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDataFolderIsMadeWhereItIsMissingAndLeftWhereItIsNot(t *testing.T) {
	b := layout.Root(t.TempDir()).Build("one")
	entry := &config.Build{Name: "one"}
	must(t, os.Mkdir(b.Dir(), 0o755))
	must(t, host{}.MakeData(entry, b))
	kept := filepath.Join(b.Data(), "kept")
	must(t, os.WriteFile(kept, nil, 0o600))
	must(t, os.Chmod(b.Data(), 0o711))
	must(t, host{}.MakeData(entry, b))
	if info, err := os.Stat(b.Data()); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the folder's mode was changed to %v, error %v", info.Mode(), err)
	}
	_, err := os.Stat(kept)
	must(t, err)
	must(t, os.RemoveAll(b.Data()))
	must(t, os.WriteFile(b.Data(), nil, 0o600))
	must(t, host{}.MakeData(entry, b)) // whatever somebody has put there is theirs
}

func TestSocketPathThatIsGoneNeedsNoRemoval(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gunicorn.sock")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, sockets{}.Remove(path))
	must(t, sockets{}.Remove(path))
	must(t, os.WriteFile(path, nil, 0o600))
	if err := (sockets{}).Remove(dir); err == nil {
		t.Error("a folder with files in it is removed")
	}
}

// The actor makes another release when it hears of one that is not there.
func TestReleaseThatIsNotThereIsSaidToBeMissing(t *testing.T) {
	root := layout.Root(t.TempDir())
	r := releases{build.New(build.Options{Log: hclog.NewNullLogger()}), root}
	entry := &config.Build{Name: "one", CollectStatic: true, KeepReleases: 1}
	const id = "20260101T000001-aaaaaa"
	for what, err := range map[string]error{
		"look for":                         func() error { _, err := r.Get("one", id); return err }(),
		"prepare the static files of":      r.StageStatics(t.Context(), entry, id),
		"make live the static files of it": r.PublishStatics(t.Context(), entry, id),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, r.Own(t.Context(), "one", config.Identity{UID: -1, GID: -1}))
	rest, err := r.Tidy("one")
	must(t, err)
	must(t, rest())
	must(t, r.Prune(entry))
	if all, err := r.List("one"); len(all) != 0 || err != nil {
		t.Errorf("releases %v, error %v", all, err)
	}
}
