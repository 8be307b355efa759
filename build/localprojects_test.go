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
	p.writeLocal(t, "demo", version)
}

// writeLocal writes a package to libs/NAME.
func (p *project) writeLocal(t testing.TB, name, version string) {
	t.Helper()
	p.write(t, "libs/"+name+"/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \""+name+"\"\nversion = \"1.0\"\n")
	p.write(t, "libs/"+name+"/backend.py", strings.ReplaceAll(demoBackend, "demo", name))
	p.write(t, "libs/"+name+"/"+name+".py", "version = '"+version+"'\n")
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

// sayCopies is a pip that appends the arguments and the requirements it was handed, and what is in
// the copy that they name, to $PIPS.said, and writes next to the copy as what builds a package does.
const sayCopies = `cd "$MEDCTRL_DATA"/../releases/.tmp-*/.install || exit
printf '%s\n' "$@" >"$PIPS.said"
for one in *.txt 1/demo/demo.py; do cat "$one"; done >>"$PIPS.said"
mkdir 1/demo/build`

func TestLocalProjectsAreHandedOverAsCopies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		requirements, more string // more.txt
		args               []string
		want               string // what is handed over, COPY is the path of the copy
	}{
		"a path":                   {requirements: "./libs/demo\n", want: "COPY\n"},
		"without a dot":            {requirements: "libs/demo\n", want: "COPY\n"},
		"editable":                 {requirements: "-e ./libs/demo\n", want: "COPY\n"},
		"editable, without a dot":  {requirements: "--editable=libs/demo[more]\n", want: "COPY[more]\n"},
		"an address":               {requirements: "demo @ file://{source}/libs/demo\n", want: "demo @ file://COPY\n"},
		"an address with extras":   {requirements: "demo[more]@file://{source}/libs/demo ; python_version > '3'\n", want: "demo[more]@file://COPY ; python_version > '3'\n"},
		"an address without name":  {requirements: "file://{source}/libs/demo#egg=demo\n", want: "file://COPY#egg=demo\n"},
		"editable by an address":   {requirements: "-e file://{source}/libs/demo#egg=demo\n", want: "file://COPY#egg=demo\n"},
		"an absolute path":         {requirements: "{source}/libs/demo ; python_version > '3' # why\n", want: "COPY; python_version > '3'\n"},
		"a variable":               {requirements: "./libs/${DEMO}\n", want: "COPY\n"},
		"a continued line":         {requirements: "-e \\\r\n./libs/demo\r\n", want: "COPY\n"},
		"an included file":         {requirements: "# first\n-r reqs/more.txt\n", more: "./libs/demo\n", want: "COPY\n"},
		"in constraints":           {requirements: "demo\n-c reqs/more.txt\n", more: "demo @ file://{source}/libs/demo\n", want: "demo @ file://COPY\n"},
		"pip_args":                 {args: []string{"./libs/demo"}, want: "COPY\n"},
		"pip_args, editable":       {args: []string{"-e", "libs/demo"}, want: "COPY\n"},
		"pip_args, joined":         {args: []string{"--editable=./libs/demo"}, want: "COPY\n"},
		"pip_args that include it": {args: []string{"-r", "reqs/more.txt"}, more: "-e libs/demo\n", want: "COPY\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			p.fakePip(t, sayCopies)
			p.Check, p.Migrate = false, false
			here := strings.NewReplacer("{source}", p.Source).Replace
			p.writeDemo(t, "one")
			p.Env["DEMO"] = "demo"
			p.PipArgs = c.args
			p.write(t, "reqs/more.txt", here(c.more))
			p.write(t, "requirements.txt", here(c.requirements))
			handed := func(version string) Release {
				t.Helper()
				before := holds(t, p.Source)
				rel := p.made(t)
				said := read(t, p.Env["PIPS"]+".said")
				must(t, os.Remove(p.Env["PIPS"]+".said"))
				copied := filepath.Join(filepath.Dir(rel.Dir), tempPrefix+rel.ID, copiesFolder, "1", "demo")
				contains(t, said, "\n"+strings.ReplaceAll(c.want, "COPY", copied), "version = '"+version+"'\n")
				for _, no := range []string{filepath.Join(p.Source, "libs"), "./libs", "libs/demo", "\n-e", "--editable", "reqs/more.txt"} {
					if strings.Contains(said, no) {
						t.Errorf("%q leads back to the source: %s", no, said)
					}
				}
				if after := holds(t, p.Source); !slices.Equal(before, after) {
					t.Errorf("the source held %q, holds %q", before, after)
				}
				if exists(filepath.Join(rel.Dir, copiesFolder)) {
					t.Error("the copies are still there")
				}
				return rel
			}
			rel := handed("one")
			p.writeDemo(t, "two")
			if name != "a path" {
				if j, err := p.m.prepare(t.Context(), p.request()); err != nil || j.venvID == rel.VenvID {
					t.Errorf("an edit of the project makes no other environment, error %v", err)
				}
			} else if next := handed("two"); next.VenvID == rel.VenvID {
				t.Error("the release after an edit of the project has the environment of the one before")
			}
		})
	}
}

// Each line is one of those that TestLocalProjectsAreHandedOverAsCopies has handed over.
func TestRealPipInstallsLocalProjectsAsCopies(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]bool{"as ourselves": false, "as another user": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needReal(t)
			p := bareProject(t, "")
			if user {
				must(t, os.MkdirAll(p.data(), 0o755))
				p.runAsNobody(t)
			}
			p.Check, p.Migrate = false, false
			lines := map[string]string{
				"path":     "./libs/path\n",
				"extra":    "--editable=libs/extra[more]\n",
				"address":  "address[more]@file://{source}/libs/address ; python_version > '3'\n",
				"nameless": "file://{source}/libs/nameless#egg=nameless\n",
				"egg":      "-e file://{source}/libs/egg#egg=egg\n",
				"marked":   "{source}/libs/marked ; python_version > '3' # why\n",
				"limited":  "limited\n-c more.txt\n",
				"argument": "",
			}
			requirements := ""
			for name, line := range lines {
				p.writeLocal(t, name, "one")
				requirements += strings.ReplaceAll(line, "{source}", p.Source)
			}
			p.write(t, "requirements.txt", requirements)
			p.write(t, "more.txt", "limited @ file://"+p.Source+"/libs/limited\n")
			p.write(t, "wheels/none", "")
			p.PipArgs = []string{"--no-index", "--find-links", "wheels", "-e", "libs/argument"}
			before := holds(t, p.Source)
			rel := p.made(t)
			if after := holds(t, p.Source); !slices.Equal(before, after) {
				t.Errorf("the source held %q, holds %q", before, after)
			}
			must(t, os.RemoveAll(filepath.Join(p.Source, "libs")))
			for name := range lines {
				show := "import " + name + " as it; print(it.version, it.__file__.startswith(sys.prefix), end='')"
				if got := p.python(t, rel, show); got != "one True" {
					t.Errorf("%s: without the source it is %q", name, got)
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
