package inputs

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
	"the build's data":                "-r ${MEDCTRL_DATA}/../source/base.txt\n",
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
			p := newProject(t)
			p.Env = map[string]string{"BASE": "base"}
			writeIncluding(t, p, text)
			read := func() (*Reads, string) {
				r := InstallReads(p.Build, p.data(), []string{"BASE=base"})
				hash, err := r.Hash(t.Context(), NewHashes(), filepath.Dir(p.Source))
				must(t, err)
				return r, hash
			}
			before, hash := read()
			for _, name := range []string{"base.txt", "one.txt", "bé.txt"} {
				p.write(t, name, "demo2==2\n")
			}
			if len(before.Paths()) < 2 {
				t.Errorf("the included file is not named: %q", before.Paths())
			}
			if _, now := read(); now == hash {
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
	delete(more, "the build's data") // each build has a folder of its own, and pip is asked about all of them at once
	env := []string{"BASE=base", "MEDCTRL_BUILD=one", "VERSION=1.2", "EMPTY=", "LANG=C.UTF-8", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	var names, paths []string
	var ours []*Reads
	for name, text := range more {
		p := newProject(t)
		writeIncluding(t, p, text)
		names, paths, ours = append(names, name), append(paths, p.RequirementsFile()), append(ours, InstallReads(p.Build, p.data(), env))
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
func compareWithPip(t *testing.T, name string, said [2]json.RawMessage, r *Reads) {
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
	for _, f := range r.Files {
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
