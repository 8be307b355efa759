package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEverythingThatPipReadsMakesAnotherEnvironment(t *testing.T) {
	t.Parallel()
	home := func(p *project) string { return filepath.Join(filepath.Dir(p.root), "home") }
	writeHome := func(t *testing.T, p *project, name, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(home(p), name)), 0o755))
		must(t, os.WriteFile(filepath.Join(home(p), name), []byte(text), 0o644))
	}
	type change func(t *testing.T, p *project, version string)
	env := func(name, before string) change {
		return func(_ *testing.T, p *project, version string) { p.Env[name] = before + version }
	}
	file := func(name, text string) change {
		return func(t *testing.T, p *project, version string) { p.write(t, name, text+version+"\n") }
	}
	for name, c := range map[string]struct {
		requirements string
		args         []string
		env          map[string]string
		change       change
		unwatched    bool // as the file itself is
	}{
		"constraints in pip_args":    {args: []string{"-c", "limits.txt"}, change: file("limits.txt", "demo==")},
		"constraints, joined":        {args: []string{"--constraint=limits.txt"}, change: file("limits.txt", "demo==")},
		"constraints, short":         {args: []string{"-Uclimits.txt"}, change: file("limits.txt", "demo==")},
		"constraints of constraints": {args: []string{"-c", "more/limits.txt"}, change: file("limits.txt", "demo==")},
		"build constraints":          {args: []string{"--build-constraint", "limits.txt"}, change: file("limits.txt", "demo==")},
		"requirements in pip_args":   {args: []string{"-r", "limits.txt"}, change: file("limits.txt", "demo==")},
		"a wheel in pip_args":        {args: []string{"./demo.whl"}, change: file("demo.whl", "")},
		"a wheel in requirements":    {requirements: "wheels/demo.whl\n", change: file("wheels/demo.whl", "")},
		"a wheel by its name":        {requirements: "demo.whl\n", change: file("demo.whl", "")},
		"a wheel by an address":      {requirements: "demo @ file:{source}/demo.tar.gz#sha256=x\n", change: file("demo.tar.gz", "")},
		"a certificate":              {args: []string{"--cert", "ca.pem"}, change: file("ca.pem", "")},
		"a list of links":            {requirements: "-f links.html\n", change: file("links.html", "")},
		"a group of pyproject.toml":  {args: []string{"--group", "web"}, change: file("pyproject.toml", "")},
		"a variable of env":          {requirements: "demo==${VERSION}\n", change: env("VERSION", "")},
		"a variable in an option":    {requirements: "--index-url https://${TOKEN}@index/\n", change: env("TOKEN", "")},
		"a variable in constraints":  {args: []string{"-c", "more/variable.txt"}, change: env("VERSION", "")},
		"pip's settings in env":      {change: env("PIP_INDEX_URL", "https://index/")},
		"uv's settings in env":       {change: env("UV_INDEX_URL", "https://index/")},
		"constraints by env":         {env: map[string]string{"PIP_CONSTRAINT": "limits.txt"}, change: file("limits.txt", "demo==")},
		"several constraints by env": {env: map[string]string{"PIP_CONSTRAINT": "more/limits.txt {source}/limits.txt"}, change: file("limits.txt", "demo==")},
		"requirements by env":        {env: map[string]string{"PIP_REQUIREMENT": "limits.txt"}, change: file("limits.txt", "demo==")},
		"a variable of env_file": {requirements: "demo==${VERSION}\n", change: func(t *testing.T, p *project, version string) {
			p.EnvFile = filepath.Join(p.Source, "env")
			p.write(t, "env", "VERSION="+version)
		}},
		"a file of the build's own data": {requirements: "-r ${MEDCTRL_DATA}/limits.txt\n", change: func(t *testing.T, p *project, version string) {
			must(t, os.MkdirAll(p.data(), 0o755))
			must(t, os.WriteFile(filepath.Join(p.data(), "limits.txt"), []byte("demo=="+version+"\n"), 0o644))
		}},
		"pip's settings in env_file": {change: func(t *testing.T, p *project, version string) {
			p.EnvFile = filepath.Join(p.Source, "env")
			p.write(t, "env", "PIP_NO_BINARY="+version)
		}},
		"pip's settings in a file": {change: func(t *testing.T, p *project, version string) {
			writeHome(t, p, ".config/pip/pip.conf", "[global]\nindex-url = https://index/"+version+"\n")
		}},
		"its old file": {change: func(t *testing.T, p *project, version string) {
			writeHome(t, p, ".pip/pip.conf", "[install]\nno-binary = "+version+"\n")
		}},
		"a file by PIP_CONFIG_FILE":    {env: map[string]string{"PIP_CONFIG_FILE": "{source}/pip.conf"}, change: file("pip.conf", "[global]\nretries = ")},
		"constraints by a settings":    {env: map[string]string{"PIP_CONFIG_FILE": "{source}/conf"}, change: file("limits.txt", "demo==")},
		"the requirements' own option": {change: file("requirements.txt", "--extra-index-url https://index/")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			here := strings.NewReplacer("{source}", p.Source).Replace
			p.Env = map[string]string{"HOME": home(p)}
			for name, value := range c.env {
				p.Env[name] = here(value)
			}
			p.write(t, "more/limits.txt", "-c ../limits.txt\n")
			p.write(t, "more/variable.txt", "demo==${VERSION}\n")
			p.write(t, "conf", "[global]\nretries = 1\n[install]\nconstraint =\n    "+p.Source+"/more/limits.txt\n    "+p.Source+"/limits.txt\n")
			p.write(t, "limits.txt", "")
			p.write(t, "requirements.txt", here(c.requirements))
			p.PipArgs = c.args
			prepared := func(version string) *job {
				c.change(t, p, version)
				j, err := p.m.prepare(t.Context(), p.request())
				must(t, err)
				return j
			}
			before := prepared("1")
			watched := Watch(p.root, p.Build, os.Environ())
			after := prepared("2")
			if before.venvID == after.venvID {
				t.Error("the environment is the same")
			}
			if Watch(p.root, p.Build, os.Environ()).Hash == watched.Hash {
				t.Errorf("nobody would notice: watched are %q", watched.Files)
			}
			if again := prepared("1"); again.venvID != before.venvID {
				t.Error("with what it was before it is not the environment that it was before")
			}
		})
	}
}

func TestWhatPipDoesNotReadMakesNoOtherEnvironment(t *testing.T) {
	t.Parallel()
	p := bareProject(t, "")
	p.Env = map[string]string{"HOME": t.TempDir()}
	p.PipArgs = []string{"--log", "pip.log", "--report=report.json"}
	p.write(t, "requirements.txt", "# ${COLOUR} -r nothing.txt\ndemo\n")
	prepared := func() string {
		t.Helper()
		j, err := p.m.prepare(t.Context(), p.request())
		must(t, err)
		return j.venvID + Watch(p.root, p.Build, os.Environ()).Hash
	}
	before := prepared()
	p.Env["COLOUR"] = "red"
	p.write(t, "pip.log", "what pip wrote")
	p.write(t, "report.json", "what pip wrote")
	p.write(t, "demo", "a file that is named like a package")
	if prepared() != before {
		t.Error("the environment is another")
	}
}
