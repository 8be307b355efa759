package inputs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// A folder of the application that becomes a link once it was looked at leads nowhere else.
func TestFolderThatIsExchangedForALinkShowsNothingElse(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.letOthersPass(t)
	p.write(t, "API/vault/file", "secret")
	must(t, os.Chmod(filepath.Join(p.AppPath(), "vault"), 0o700))
	must(t, os.Symlink("vault", filepath.Join(p.AppPath(), "static")))
	r := ReaderOf(p.AppPath(), p.Build, config.Identity{UID: 65001, GID: 65001})
	root, err := os.OpenRoot(p.AppPath())
	must(t, err)
	defer root.Close()
	if f, err := r.opener(within(root))("static/file", os.O_RDONLY, 0); err == nil {
		f.Close()
		t.Error("a file in a folder that the user may not enter was opened through a link")
	}
}

// Settings that are for root's eyes alone count as the build's own, and not what takes their place.
func TestFileThatTakesThePlaceOfTheSettingsIsAskedForItsOwnRights(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	p.letOthersPass(t)
	const rel = "api_settings/settings/deploy_one.py"
	settings := filepath.Join(p.AppPath(), rel)
	must(t, os.Chmod(settings, 0o600))
	must(t, os.Lchown(settings, 65002, 65002))
	for dir := filepath.Dir(settings); dir != p.Source; dir = filepath.Dir(dir) {
		must(t, os.Lchown(dir, 65002, 65002))
	}
	p.write(t, "API/key.pem", "secret")
	must(t, os.Chmod(filepath.Join(p.AppPath(), "key.pem"), 0o600))
	r := ReaderOf(p.AppPath(), p.Build, config.Identity{UID: 65001, GID: 65001})
	root, err := os.OpenRoot(p.AppPath())
	must(t, err)
	defer root.Close()
	open := func() error {
		f, err := r.opener(within(root))(rel, os.O_RDONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	}
	must(t, open())
	must(t, os.Rename(filepath.Join(p.AppPath(), "key.pem"), settings))
	if err := open(); err == nil {
		t.Error("a file of root's in the place of the settings was opened")
	}
}

// letOthersPass lets everyone pass to the test's folder, for what only looks at it.
func (p *project) letOthersPass(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may read what the build's user may not")
	}
	for _, dir := range []string{filepath.Dir(p.Source), filepath.Dir(filepath.Dir(p.Source))} {
		must(t, os.Chmod(dir, 0o755))
	}
}
