package build

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// listing is a job of a build whose source has these files.
func listing(t *testing.T, b config.Build, env []string, files map[string]string) *job {
	t.Helper()
	b.Source = t.TempDir()
	for name, text := range files {
		path := filepath.Join(b.Source, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return &job{b: b, findings: findings{reads: inputs.InstallReads(b, "/root/one/data", env)}}
}

func TestRequirementsWithoutGunicornAreToldWithoutInstallingThem(t *testing.T) {
	t.Parallel()
	text := func(requirements string, more ...string) map[string]string {
		files := map[string]string{"requirements.txt": requirements}
		for i := 0; i < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		return files
	}
	plain := config.Build{Name: "one", Requirements: "requirements.txt"}
	with := func(change func(*config.Build)) config.Build {
		b := plain
		change(&b)
		return b
	}
	args := func(args ...string) config.Build { return with(func(b *config.Build) { b.PipArgs = args }) }
	pyproject := config.Build{Name: "one"}
	for name, c := range map[string]struct {
		b       config.Build
		env     []string
		files   map[string]string
		missing bool
	}{
		"nothing":           {plain, nil, text(""), true},
		"others":            {plain, nil, text("Django==3.2\n# gunicorn\nwhitenoise[brotli]>=5 ; python_version > '3'\n"), true},
		"only a constraint": {plain, nil, text("Django\n-c pins.txt\n", "pins.txt", "gunicorn==20.1\n"), true},
		"included without":  {plain, nil, text("-r base.txt\n", "base.txt", "Django\n"), true},
		"an option":         {plain, nil, text("--index-url https://gunicorn.example/simple\nDjango\n"), true},
		"project":           {pyproject, nil, map[string]string{"pyproject.toml": "[project]\nname = \"x\"\ndependencies = [\"django\"]\n"}, true},

		"listed":              {plain, nil, text("django\nGunicorn [gevent] >= 20 ; sys_platform == 'linux'\n"), false},
		"included":            {plain, nil, text("-r \\\nbase.txt\n", "base.txt", "--requirement=more/${MEDCTRL_BUILD}.txt\n", "more/one.txt", "gunicorn\n"), false},
		"each other":          {plain, nil, text("-r a.txt\n", "a.txt", "-r requirements.txt\ngunicorn\n"), false},
		"by an address":       {plain, nil, text("gunicorn @ https://example.org/g.zip\n"), false},
		"a wheel":             {plain, nil, text("./gunicorn-20.1.0-py3-none-any.whl\n"), false},
		"brought along":       {plain, nil, text("uvicorn_worker\n"), false},
		"another's address":   {plain, nil, text("demo @ https://example.org/demo.zip\n"), false},
		"a repository":        {plain, nil, text("git+https://example.org/demo.git\n"), false},
		"a local project":     {plain, nil, text("./demo\n", "demo/setup.py", ""), false},
		"an editable one":     {plain, nil, text("-e ./demo\n"), false},
		"a variable":          {plain, nil, text("${SERVER}\n"), false},
		"a missing file":      {plain, nil, text("-r base.txt\n"), false},
		"another server":      {with(func(b *config.Build) { b.Command = []string{"uvicorn"} }), nil, text("uvicorn\n"), false},
		"in pip_args":         {args("gunicorn"), nil, text("Django\n"), false},
		"by pip_args":         {args("-r", "server.txt"), nil, text("Django\n", "server.txt", "gunicorn\n"), false},
		"a group by pip_args": {args("--group", "serve"), nil, text("Django\n"), false},
		"by a variable":       {plain, []string{"PIP_REQUIREMENT=/x"}, text("Django\n"), false},
		"project with it":     {pyproject, nil, map[string]string{"pyproject.toml": "[project]\nname = \"x\"\ndependencies = [\"gunicorn\"]\n"}, false},
		"dynamic project":     {pyproject, nil, map[string]string{"pyproject.toml": "[project]\nname = \"x\"\ndynamic = [\"dependencies\"]\n"}, false},
		"locked along": {pyproject, nil, map[string]string{
			"pyproject.toml": "[project]\nname = \"x\"\ndependencies = [\"server\"]\n",
			"uv.lock":        "version = 1\n[[package]]\nname = \"server\"\nversion = \"1\"\n[[package]]\nname = \"gunicorn\"\nversion = \"1\"\n"}, false},
	} {
		files := maps.Clone(c.files)
		missing, sure := listing(t, c.b, c.env, files).gunicornMissing(nil)
		if (missing != nil) != c.missing || sure != c.missing {
			t.Errorf("%s: %v, sure %v, want missing %v", name, missing, sure, c.missing)
		}
	}
	j := listing(t, with(func(b *config.Build) { b.SystemSitePackages = true }), nil, text("Django\n"))
	if missing, _ := j.gunicornMissing([]string{"gunicorn-20.1.0.dist-info"}); missing != nil {
		t.Errorf("the interpreter's own gunicorn does not count: %v", missing)
	}
	if missing, _ := j.gunicornMissing(nil); missing == nil {
		t.Error("no gunicorn anywhere is not told")
	}
	// A release that has it shows that something brings it along.
	j = listing(t, plain, nil, text("company\n"))
	venv := t.TempDir()
	must(t, writeEnvironmentRecord(venv, environmentRecord{Complete: true, Gunicorn: true}))
	j.all = []Release{{Venv: venv}}
	if missing, sure := j.gunicornMissing(nil); missing == nil || sure {
		t.Errorf("%v, sure %v: want an unsure one", missing, sure)
	}
}
