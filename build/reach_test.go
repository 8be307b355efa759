package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// beside makes a file next to the source, in a folder of its own, and returns its path.
func (p *project) beside(t *testing.T, name string, folder, file os.FileMode) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(p.root), "beside-"+name, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("hidden-word==1\n"), 0o600))
	must(t, os.Chmod(path, file))
	must(t, os.Chmod(filepath.Dir(path), folder))
	return path
}

// We can enter folders that the build's user cannot, so a link there is closed as its file would be.
func TestLinkIntoAFolderThatTheUserMayNotEnterIsNotInTheRelease(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	p.environment(t)
	p.write(t, "vault/file", "")
	must(t, os.Chmod(filepath.Join(p.Source, "vault"), 0o700))
	for link, to := range map[string]string{
		"in_closed": p.beside(t, "closed", 0o700, 0o644), "in_open": p.beside(t, "open", 0o755, 0o644), "in_vault": "../vault/file",
	} {
		must(t, os.Symlink(to, filepath.Join(p.AppPath(), link)))
	}
	rel := p.made(t)
	for link, want := range map[string]bool{"in_closed": false, "in_open": true, "in_vault": false} {
		if got := exists(filepath.Join(rel.App(p.Build), link)); got != want {
			t.Errorf("%s is in the release: %v", link, got)
		}
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "may not read", "in_closed, in_vault")
}

// Where local projects are installed as copies, so are requirements: with what their user may read.
func TestRequirementsAreNotReadWithOurRights(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]func(p *project) string{
		"a file":      func(p *project) string { return "-r " + p.beside(t, "file.txt", 0o755, 0o600) },
		"a folder":    func(p *project) string { return "-r " + p.beside(t, "folder.txt", 0o700, 0o644) },
		"constraints": func(p *project) string { return "-c " + p.beside(t, "constraints.txt", 0o755, 0o600) },
		"a link": func(p *project) string {
			must(t, os.Symlink(p.beside(t, "linked.txt", 0o755, 0o600), filepath.Join(p.Source, "more.txt")))
			return "-r more.txt"
		},
		"a project": func(p *project) string {
			dir := filepath.Dir(p.beside(t, "setup.py", 0o700, 0o644))
			return dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.runAsNobody(t)
			p.fakePip(t, `for file in "$PWD"/../root/one/releases/.tmp-*/.install/*; do cat "$file"; done`)
			p.write(t, "libs/demo/pyproject.toml", "[project]\nname = 'demo'\nversion = '1'\n")
			p.write(t, "requirements.txt", "./libs/demo\n"+line(p)+"\n")
			err := p.failed(t)
			contains(t, err.Error(), "the build's user may not read it")
			if strings.Contains(err.Error()+read(t, filepath.Join(p.root, "one/build-failed.log")), "hidden-word") {
				t.Errorf("the file is told: %v", err)
			}
		})
	}
}
