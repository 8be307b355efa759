package build

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// demoBackend builds a package without any other, and writes next to its source as setuptools does.
const demoBackend = `
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    os.makedirs("build/lib", exist_ok=True)
    os.makedirs("demo.egg-info", exist_ok=True)
    open("build/lib/demo.py", "w").close()
    name = "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as z:
        z.write("demo.py")
        z.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nProvides-Extra: more\n")
        z.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("demo-1.0.dist-info/RECORD", "demo.py,,\n")
    return name
`

// writeDemo writes a package demo to libs/demo.
func (p *project) writeDemo(t testing.TB, version string) {
	t.Helper()
	p.write(t, "libs/demo/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"demo\"\nversion = \"1.0\"\n")
	p.write(t, "libs/demo/backend.py", demoBackend)
	p.write(t, "libs/demo/demo.py", "version = '"+version+"'\n")
}

// holds returns every path below a folder.
func holds(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	}))
	return all
}

func TestLocalProjectsAreInstalledAsCopies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		requirements, more string // more.txt
		args               []string
		user               bool
	}{
		"a path":                   {requirements: "./libs/demo\n"},
		"as another user":          {requirements: "./libs/demo\n", user: true},
		"without a dot":            {requirements: "libs/demo\n"},
		"editable":                 {requirements: "-e ./libs/demo\n"},
		"editable, as another":     {requirements: "-e ./libs/demo\n", user: true},
		"editable, without a dot":  {requirements: "--editable=libs/demo[more]\n"},
		"an address":               {requirements: "demo @ file://{source}/libs/demo\n"},
		"an address with extras":   {requirements: "demo[more]@file://{source}/libs/demo ; python_version > '3'\n"},
		"an address without name":  {requirements: "file://{source}/libs/demo#egg=demo\n"},
		"editable by an address":   {requirements: "-e file://{source}/libs/demo#egg=demo\n"},
		"an absolute path":         {requirements: "{source}/libs/demo ; python_version > '3' # why\n"},
		"a variable":               {requirements: "./libs/${DEMO}\n"},
		"a continued line":         {requirements: "-e \\\r\n./libs/demo\r\n"},
		"an included file":         {requirements: "# first\n-r reqs/more.txt\n", more: "./libs/demo\n"},
		"in constraints":           {requirements: "demo\n-c reqs/more.txt\n", more: "demo @ file://{source}/libs/demo\n"},
		"pip_args":                 {args: []string{"./libs/demo"}},
		"pip_args, editable":       {args: []string{"-e", "libs/demo"}},
		"pip_args, joined":         {args: []string{"--editable=./libs/demo"}},
		"pip_args that include it": {args: []string{"-r", "reqs/more.txt"}, more: "-e libs/demo\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			if c.user {
				must(t, os.MkdirAll(p.data(), 0o755))
				p.runAsNobody(t)
			}
			here := strings.NewReplacer("{source}", p.Source).Replace
			p.writeDemo(t, "one")
			p.Env = map[string]string{"DEMO": "demo"}
			p.PipArgs = append(c.args, "--no-index", "--find-links", "wheels")
			p.write(t, "wheels/none", "")
			p.write(t, "reqs/more.txt", here(c.more))
			p.write(t, "requirements.txt", here(c.requirements))
			before := holds(t, p.Source)
			rel := p.made(t)
			if after := holds(t, p.Source); !slices.Equal(before, after) {
				t.Errorf("the source held %q, holds %q", before, after)
			}
			p.writeDemo(t, "two")
			const show = "import demo; print(demo.version, demo.__file__.startswith(sys.prefix), end='')"
			if got := p.python(t, rel, show); got != "one True" {
				t.Errorf("after an edit of the source it is %q", got)
			}
			next := p.made(t)
			if got := p.python(t, next, show); got != "two True" || next.VenvID == rel.VenvID {
				t.Errorf("the release after the edit has %q", got)
			}
			must(t, os.RemoveAll(filepath.Join(p.Source, "libs")))
			for want, rel := range map[string]Release{"one True": rel, "two True": next} {
				if got := p.python(t, rel, show); got != want {
					t.Errorf("without the source it is %q, want %q", got, want)
				}
				if exists(filepath.Join(rel.Dir, copiesFolder)) {
					t.Error("the copies are still there")
				}
			}
		})
	}
}

func TestLocalProjectIsWhatItsAuthorWrote(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.writeDemo(t, "one")
	p.write(t, "requirements.txt", "./libs/demo\n")
	hash := p.identity(t)
	for _, path := range []string{"build/lib/demo.py", "demo.egg-info/PKG-INFO", "__pycache__/demo.pyc", ".git/HEAD", ".venv/pyvenv.cfg", ".mypy_cache/CACHEDIR.TAG", "demo.py~"} {
		p.write(t, "libs/demo/"+path, "x")
	}
	if p.identity(t) != hash {
		t.Error("what earlier installations made counts")
	}
	p.write(t, "libs/demo/build/__init__.py", "")
	if p.identity(t) == hash {
		t.Error("a package that is called build does not count")
	}
	elsewhere := filepath.Join(filepath.Dir(p.root), "elsewhere")
	must(t, os.MkdirAll(elsewhere, 0o755))
	must(t, os.WriteFile(filepath.Join(elsewhere, "one.py"), []byte("A = 1\n"), 0o644))
	must(t, os.Symlink(filepath.Join(elsewhere, "one.py"), filepath.Join(p.Source, "libs/demo/one.py")))
	hash = p.identity(t)
	must(t, os.WriteFile(filepath.Join(elsewhere, "one.py"), []byte("A = 2\n"), 0o644))
	if p.identity(t) == hash {
		t.Error("the file behind a link does not count")
	}
	must(t, os.Symlink(elsewhere, filepath.Join(p.Source, "libs/demo/all")))
	_, err := p.m.prepare(t.Context(), p.request())
	if err == nil {
		t.Fatal("a project that is not all there was accepted")
	}
	contains(t, err.Error(), "libs/demo/all", elsewhere)
}

func TestLocalProjectThatASettingOfPipNamesIsRefused(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.writeDemo(t, "one")
	p.write(t, "more.txt", "-e ./libs/demo\n")
	p.Env = map[string]string{"PIP_REQUIREMENT": "more.txt"}
	_, _, err := p.m.Make(t.Context(), p.request())
	if err == nil {
		t.Fatal("made")
	}
	contains(t, err.Error(), filepath.Join(p.Source, "libs/demo"), "pip_args")
}
