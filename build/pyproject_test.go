package build

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wheel makes a package that pip can install without an index.
func (p *project) wheel(t testing.TB, name, version string) {
	t.Helper()
	dir := filepath.Join(p.Source, "wheels")
	must(t, os.MkdirAll(dir, 0o755))
	f, err := os.Create(filepath.Join(dir, name+"-"+version+"-py3-none-any.whl"))
	must(t, err)
	defer f.Close()
	z := zip.NewWriter(f)
	info := name + "-" + version + ".dist-info/"
	for path, text := range map[string]string{
		name + ".py":      "version = '" + version + "'\n",
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   name + ".py,,\n",
	} {
		w, err := z.Create(path)
		must(t, err)
		_, err = w.Write([]byte(text))
		must(t, err)
	}
	must(t, z.Close())
}

const lockOfDemo = `version = 1
requires-python = ">=3.8"

[[package]]
name = "shop"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "demo" }, { name = "other", marker = "python_full_version >= '3'" }]

[[package]]
name = "demo"
version = "1.0"
source = { registry = "wheels" }
sdist = { path = "demo-1.0.tar.gz", hash = "sha256:00" }

[[package]]
name = "other"
version = "3.0"
source = { registry = "wheels" }
resolution-markers = ["python_full_version < '3'"]

[[package]]
name = "other"
version = "1.0"
source = { registry = "wheels" }
resolution-markers = ["python_full_version >= '3'"]
`

// pyprojects are projects without a file of requirements, with what the installer is handed for each
// (COPY is the path of the copy of a local project), and the versions of demo and other that pip
// installs.
var pyprojects = map[string]struct {
	files          map[string]string
	handed, source string // what is handed over and, where a local project is copied, its own source
	installed      string
	user           bool
}{
	"in the source":          {files: map[string]string{"pyproject.toml": pyprojectHead + "dependencies = [\"demo\", \"other ; python_version < '3'\"]\n"}, handed: "demo\nother ; python_version < '3'\n", installed: "2.0"},
	"as another user":        {files: map[string]string{"pyproject.toml": pyprojectHead + "dependencies = ['demo<2']\n"}, handed: "demo<2\n", installed: "1.0", user: true},
	"next to manage.py":      {files: map[string]string{"API/pyproject.toml": pyprojectHead + "dependencies = ['demo']\n"}, handed: "demo\n", installed: "2.0"},
	"with a lock":            {files: map[string]string{"pyproject.toml": pyprojectHead + "dependencies = ['demo', 'other']\n", "uv.lock": lockOfDemo}, handed: "demo==1.0\n", installed: "1.0 1.0"},
	"in files of setuptools": {files: map[string]string{"pyproject.toml": pyprojectHead + "dynamic = ['dependencies']\n[tool.setuptools.dynamic]\ndependencies = {file = ['needs.in']}\n", "needs.in": "demo==1.0\n"}, handed: "demo==1.0\n", installed: "1.0"},
	"known to what builds it": {files: map[string]string{
		"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n[project]\nname = 'demo'\nversion = '1.0'\ndynamic = ['dependencies']\n",
		"backend.py":     demoBackend, "demo.py": "version = 'built'\n",
	}, handed: "COPY\n", source: "version = 'built'\n", installed: "built"},
	"in older files of setuptools": {files: map[string]string{
		"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n",
		"setup.cfg":      "[metadata]\nname = demo\n", "backend.py": demoBackend, "demo.py": "version = 'built'\n",
	}, handed: "COPY\n", source: "version = 'built'\n", installed: "built"},
	"of another part of the source": {files: map[string]string{"pyproject.toml": pyprojectHead + "dependencies = ['demo']\n", "uv.lock": "version = 1\n[[package]]\nname = 'demo'\nversion = '1.0'\nsource = { directory = 'libs/demo' }\n"}, handed: "COPY\n", source: "version = 'one'\n", installed: "one"},
}

const pyprojectHead = "[project]\nname = \"shop\"\nversion = \"0.1.0\"\n"

func TestDependenciesOfAPyprojectAreHandedOver(t *testing.T) {
	t.Parallel()
	for name, c := range pyprojects {
		if c.user {
			continue // its pip is the real one
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			must(t, os.Remove(p.RequirementsFile()))
			p.fakePip(t, `cd "$MEDCTRL_DATA"/../releases/.tmp-*/.install || exit
for one in *.txt 1/*/demo.py; do [ ! -e "$one" ] || cat "$one"; done >"$PIPS.said"`)
			p.Requirements, p.Check, p.Migrate = "", false, false
			p.writeDemo(t, "one")
			for path, text := range c.files {
				p.write(t, path, text)
			}
			rel := p.made(t)
			said := read(t, p.Env["PIPS"]+".said")
			copied := filepath.Join(filepath.Dir(rel.Dir), tempPrefix+rel.ID, copiesFolder, "1", "source")
			if strings.Contains(name, "another part") {
				copied = filepath.Join(filepath.Dir(copied), "demo")
			}
			contains(t, said, strings.ReplaceAll(c.handed, "COPY", copied), c.source)
			hash := p.identity(t)
			before := Watch(p.root, p.Build, os.Environ())
			for path := range c.files {
				if filepath.Ext(path) == ".toml" {
					edit(t, filepath.Join(p.Source, path), "[tool.other]\nx = 1\n")
				}
			}
			if c.source != "version = 'built'\n" && name != "next to manage.py" && p.identity(t) != hash {
				t.Error("what pyproject.toml says to other tools counts")
			}
			if Watch(p.root, p.Build, os.Environ()).Hash == before.Hash {
				t.Error("pyproject.toml is not watched")
			}
		})
	}
}

func TestRealPipInstallsTheDependenciesOfAPyproject(t *testing.T) {
	t.Parallel()
	for name, c := range pyprojects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needReal(t)
			p := bareProject(t, "")
			if c.user {
				must(t, os.MkdirAll(p.data(), 0o755))
				p.runAsNobody(t)
			}
			must(t, os.Remove(p.RequirementsFile()))
			p.Requirements, p.Check, p.Migrate = "", false, false
			for _, version := range []string{"1.0", "2.0"} {
				p.wheel(t, "demo", version)
				p.wheel(t, "other", version)
			}
			p.writeDemo(t, "one")
			for path, text := range c.files {
				p.write(t, path, text)
			}
			p.PipArgs = []string{"--no-index", "--find-links", "wheels"}
			rel := p.made(t)
			show := "import demo; print(demo.version, end='')"
			if strings.Contains(c.installed, " ") {
				show += "; import other; print('', other.version, end='')"
			}
			if got := p.python(t, rel, show); got != c.installed {
				t.Errorf("installed is %q, want %q", got, c.installed)
			}
		})
	}
}

func TestProjectThatCannotBeInstalledSaysWhy(t *testing.T) {
	t.Parallel()
	for want, files := range map[string]map[string]string{
		"pyproject.toml":              {},
		"[project]":                   {"pyproject.toml": "[tool.black]\n"},
		"uv.lock does not have demo":  {"pyproject.toml": "[project]\ndependencies = ['Demo>1']\n", "uv.lock": "version = 1\n"},
		"uv export":                   {"pyproject.toml": "[project]\ndependencies = []\n", "uv.lock": "version = 2\n"},
		"known to uv alone":           {"pyproject.toml": "[project]\ndependencies = ['demo']\n[tool.uv.sources]\ndemo = { path = 'libs/demo' }\n"},
		"want a requirement":          {"pyproject.toml": "[project]\ndependencies = ['--index-url https://index/']\n"},
		"more than once":              {"pyproject.toml": "[project]\ndependencies = []\n", "uv.lock": "version = 1\n[[package]]\nname='a'\nversion='1'\n[[package]]\nname='a'\nversion='2'\n"},
		"uv.lock: package \"a b\"":    {"pyproject.toml": "[project]\ndependencies = []\n", "uv.lock": "version = 1\n[[package]]\nname='a b'\nversion='1'\n"},
		"its address names no commit": {"pyproject.toml": "[project]\ndependencies = []\n", "uv.lock": "version = 1\n[[package]]\nname='a'\nversion='1'\nsource = {git='https://one/a'}\n"},
	} {
		p := bareProject(t, "")
		p.Requirements = ""
		for path, text := range files {
			p.write(t, path, text)
		}
		_, _, err := p.m.Make(t.Context(), p.request())
		if err == nil {
			t.Fatalf("%s: made", want)
		}
		contains(t, err.Error(), want)
	}
}
