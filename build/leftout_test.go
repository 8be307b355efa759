package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNothingOfTheApplicationIsLeftOutButTheListInTheDocumentation(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.Migrate = false
	in := []string{
		"static/node_modules/lib/lib.css", "vendored/blob.pyc", "build/lib.js", "dist/a.whl", "db.sqlite3", "blob.swp", "swap.swo",
		".env", ".gitignore", ".github/workflow.yml", "a~b", "venv/bin/x", "x.egg-info/PKG-INFO", "#a#", "git", "data.orig", "empty/.keep",
	}
	out := []string{
		".git/HEAD", "sub/.git", ".hg/store", ".svn/entries", "app/__pycache__/views.cpython-39.pyc", "static/__pycache__/x",
		"app/.views.py.swp", ".x.swo", ".x.swx", "app/.#views.py", "notes.txt~",
	}
	for _, rel := range append(in, out...) {
		p.write(t, "API/"+rel, "text of "+rel)
	}
	app := p.made(t).App(p.Build)
	for _, rel := range in {
		if got := read(t, filepath.Join(app, rel)); got != "text of "+rel {
			t.Errorf("%s holds %q in the release", rel, got)
		}
	}
	for _, rel := range out {
		if got := read(t, filepath.Join(app, rel)); got != "" {
			t.Errorf("%s is in the release", rel)
		}
	}
	log, err := readLog(p.root, p.Name)
	must(t, err)
	docs, err := os.ReadFile("../docs/configuration.md")
	must(t, err)
	_, line, _ := strings.Cut(string(log), "left out of the release: ")
	line, _, _ = strings.Cut(line, "\n")
	for _, rel := range []string{".git", ".hg", ".svn", "__pycache__ (and 1 more of that name)", "app/.views.py.swp", ".x.swo", ".x.swx", "app/.#views.py", "notes.txt~"} {
		contains(t, line, rel)
	}
	for _, name := range []string{"`.git`", "`.hg`", "`.svn`", "`__pycache__`", "`.NAME.swp`", "`.NAME.swo`", "`.NAME.swx`", "`.#NAME`", "`NAME~`"} {
		contains(t, string(docs), name)
	}
}

func TestListOfWhatIsLeftOutIsBounded(t *testing.T) {
	t.Parallel()
	var l leftOut
	for i := range 1000 {
		l.add(fmt.Sprintf("%d~", i))
	}
	if text := l.String(); len(text) > 1000 || !strings.HasSuffix(text, ", and 950 more\n") {
		t.Error(text)
	}
	if text := (&leftOut{}).String(); text != "" {
		t.Errorf("of nothing: %q", text)
	}
}
