package build

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16Text is a text as some editors save it.
func utf16Text(text string, mark, high, low int) string {
	out := []byte{0xff, 0xfe}
	if mark > 0 {
		out = []byte{0xfe, 0xff}
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b := []byte{byte(u), byte(u >> 8)}
		out = append(out, b[high], b[low])
	}
	return string(out)
}

// includingBase are requirements that include base.txt, each in another way.
var includingBase = map[string]string{
	"plain":                           "-r base.txt\n",
	"a long option":                   "--requirement base.txt\n",
	"with an equals sign":             "--requirement=base.txt\n",
	"the beginning of an option":      "--requirem base.txt\n",
	"without a space":                 "-rbase.txt\n",
	"constraints":                     "-c base.txt\n",
	"long constraints":                "--constraint=base.txt\n",
	"quoted":                          "-r 'base.txt'\n",
	"quoted twice":                    "--requirement=\"base.txt\"\n",
	"with a comment":                  "-r base.txt # more\n",
	"indented":                        "   -r   base.txt  \n",
	"another folder":                  "-r ./more/../base.txt\n",
	"a continued line":                "-r \\\nbase.txt\n",
	"continued twice":                 "-r \\\n\\\n  base.txt\n",
	"continued in a name":             "-r ba\\\nse.txt\n",
	"continued, then a comment":       "-r base.txt \\\n# comment\ndemo\n",
	"continued at the end":            "-r base.txt\\",
	"a variable":                      "-r ${BASE}.txt\n",
	"the build's name":                "-r ${MEDCTRL_BUILD}.txt\n",
	"the build's data":                "-r ${MEDCTRL_DATA}/../../../source/base.txt\n",
	"a byte order mark":               "\xef\xbb\xbf-r base.txt\n",
	"CRLF":                            "# comment\r\n-r base.txt\r\ndemo\r\n",
	"CR":                              "# comment\r-r base.txt\rdemo\r",
	"CRLF and a continued line":       "-r \\\r\nbase.txt\r\n",
	"a form feed":                     "demo\f-r base.txt\n",
	"UTF-16, little end first":        utf16Text("-r base.txt\n", 0, 0, 1),
	"UTF-16, big end first":           utf16Text("# é\r\n-r base.txt\r\n", 1, 1, 0),
	"UTF-32, big end first":           "\x00\x00\xfe\xff\x00\x00\x00-\x00\x00\x00r\x00\x00\x00b\x00\x00\x00a\x00\x00\x00s\x00\x00\x00e\x00\x00\x00.\x00\x00\x00t\x00\x00\x00x\x00\x00\x00t",
	"Latin 1 by its comment":          "# -*- coding: latin-1 -*-\n# \xe9t\xe9\n-r base.txt\n",
	"a name in Latin 1":               "# vim: set fileencoding=iso-8859-1 :\n-r b\xe9.txt\n",
	"a comment of PEP 263, line 2":    "#\n# coding=cp1252\n-r b\xe9.txt\n",
	"a name in UTF-8":                 "-r bé.txt\n",
	"after other options":             "--no-index\n--find-links wheels\n-r base.txt\n",
	"behind another option":           "--no-index -r base.txt\n",
	"only the first of two":           "-r base.txt -r nothing.txt\n",
	"by way of another":               "-r more/way.txt\n",
	"by way of constraints":           "-c more/way.txt\n",
	"a hash sign in a word":           "demo#1\n-r base.txt\n",
	"options of a requirement":        "demo --hash=sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\n-r base.txt\n",
	"an address with the scheme file": "-r file://{source}/base.txt\n",
}

func writeIncluding(t *testing.T, p *project, text string) {
	t.Helper()
	p.write(t, "requirements.txt", strings.ReplaceAll(text, "{source}", p.Source))
	p.write(t, "more/way.txt", "-r ../base.txt\n")
	for _, name := range []string{"base.txt", "one.txt", "bé.txt"} {
		p.write(t, name, "demo2==1\n")
	}
}

func TestEveryWayToIncludeRequirementsIsRead(t *testing.T) {
	t.Parallel()
	for name, text := range includingBase {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			p.Env = map[string]string{"BASE": "base"}
			writeIncluding(t, p, text)
			before, hash := Watch(p.root, p.Build, os.Environ()), p.identity(t)
			for _, name := range []string{"base.txt", "one.txt", "bé.txt"} {
				p.write(t, name, "demo2==2\n")
			}
			if Watch(p.root, p.Build, os.Environ()).Hash == before.Hash {
				t.Errorf("the included file is not watched: %q", before.Files)
			}
			if p.identity(t) == hash {
				t.Error("the included file does not count")
			}
		})
	}
}

// askPip prints what pip reads, and which requirements it finds.
const askPip = `
import json, sys
from pip._internal.req import req_file
try:
    from pip._internal.network.session import PipSession
except ImportError:
    from pip._internal.download import PipSession
original = req_file.get_file_content
def get_file_content(url, *args, **kwargs):
    read.append(url)
    return original(url, *args, **kwargs)
req_file.get_file_content = get_file_content
all = []
for path in sys.argv[1:]:
    read, found = [], []
    for r in req_file.parse_requirements(path, session=PipSession()):
        found.append([getattr(r, "requirement", None) or str(r.req), bool(getattr(r, "is_editable", False))])
    all.append([read, found])
print(json.dumps(all))
`

func TestRealPipReadsRequirementsAsWeDo(t *testing.T) {
	t.Parallel()
	needReal(t)
	pythons := []string{distribution}
	if other, err := exec.LookPath("python3"); err == nil && other != distribution {
		pythons = append(pythons, other)
	}
	more := map[string]string{
		"requirements": "demo ; python_version > '3' # why\n  demo[a,b] >= 1, < 2\n./libs/demo[x]\n-e ./libs/demo\n--editable=libs/demo\ndemo @ file:///srv/demo\n" +
			"demo==${VERSION}\ndemo==${EMPTY}${version}\nnot#comment\n\\\ndemo\\\n2\n # \\\ndemo3\n",
		"no line end": "demo",
		"nothing":     "",
		"blanks":      " \n\t\n\\\n\n",
	}
	for name, text := range includingBase {
		more[name] = text
	}
	env := []string{"BASE=base", "MEDCTRL_BUILD=one", "VERSION=1.2", "EMPTY=", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	var names, paths []string
	var ours []*reads
	for name, text := range more {
		p := bareProject(t, "")
		writeIncluding(t, p, text)
		names, paths, ours = append(names, name), append(paths, p.RequirementsFile()), append(ours, installReads(p.Build, folderOf(p.root, p.Name), env))
	}
	for _, python := range pythons {
		if err := exec.Command(python, "-c", "import pip").Run(); err != nil {
			continue // Debian has it in a package of its own
		}
		ask := exec.Command(python, append([]string{"-W", "ignore", "-c", askPip}, paths...)...)
		ask.Env, ask.Stderr = env, t.Output()
		out, err := ask.Output()
		must(t, err)
		var all [][2]json.RawMessage
		must(t, json.Unmarshal(out, &all))
		for i, r := range ours {
			compareWithPip(t, python+", "+names[i], all[i], r)
		}
	}
}

// compareWithPip compares what pip said for a file with what we made of it.
func compareWithPip(t *testing.T, name string, said [2]json.RawMessage, r *reads) {
	t.Helper()
	var files []string
	must(t, json.Unmarshal(said[0], &files))
	for i := range files {
		files[i] = pathOf(files[i], "/")
	}
	if want := r.requirements(); !slices.Equal(files, want) {
		t.Errorf("%s: pip reads %q, we %q", name, files, want)
	}
	var pips [][2]any
	must(t, json.Unmarshal(said[1], &pips))
	var found, ours []string
	for _, one := range pips {
		found = append(found, fmt.Sprint(one))
	}
	for _, f := range r.files {
		for _, line := range f.lines {
			l := readLine(expand(line.text, r.env))
			if e := l.value("--editable"); len(l.words) > 0 {
				ours = append(ours, fmt.Sprint([]any{l.words[0], false}))
			} else if e != "" {
				ours = append(ours, fmt.Sprint([]any{e, true}))
			}
		}
	}
	slices.Sort(found)
	slices.Sort(ours)
	if !slices.Equal(found, ours) {
		t.Errorf("%s: pip finds %q, we %q", name, found, ours)
	}
}

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

// Whatever a file of requirements holds, it is read to its end.
func FuzzRequirementsAreReadWhateverTheyHold(f *testing.F) {
	for _, text := range includingBase {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, line := range requirementLines(decode(data)) {
			l := readLine(expand(line.text, []string{"BASE=base"}))
			for _, word := range l.words {
				readLocal(word, "/source", true)
			}
			if line.number < 1 || strings.TrimSpace(line.text) == "" {
				t.Errorf("line %+v", line)
			}
		}
	})
}
