package supervisor

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/medctrl/medctrl-supervisor/"

// room is a row of the table in docs/ARCHITECTURE.md.
type room struct {
	tests     bool // imported by tests alone
	mayImport []string
}

// rooms reads that table.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([a-z0-9/-]+)`")
	all := map[string]room{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !quoted.MatchString(cells[1]) {
			continue
		}
		r := room{tests: strings.Contains(cells[2], "*tests*")}
		for _, name := range quoted.FindAllStringSubmatch(cells[3], -1) {
			r.mayImport = append(r.mayImport, name[1])
		}
		all[quoted.FindStringSubmatch(cells[1])[1]] = r
	}
	if len(all) < 20 {
		t.Fatalf("docs/ARCHITECTURE.md lists %d rooms", len(all))
	}
	return all
}

// alsoByTests is what the tests of a package may import in addition to packages for tests.
var alsoByTests = map[string][]string{
	"build":                 {"supervisor/process"}, // the Runner that starts its steps in the program
	"cmd/cli":               {"supervisor/world"},   // what a binary that is asked to take over prints
	"config/importer":       {"config"},             // whose check accepts what is made
	"supervisor/kubernetes": {"config/cron"},        // when a schedule is due
	"supervisor":            {"supervisor/process"}, // the exec step, and whether a process is there
	"supervisor/process":    {"supervisor/sandbox"}, // what the boxes of children are made of
}

func TestImportsAreThoseOfTheArchitecture(t *testing.T) {
	t.Parallel()
	all, seen := rooms(t), map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != ".." || d.Name() == "testdata" || d.Name() == "run") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		own, known := all[dir]
		if !known {
			t.Errorf("package %s is not in docs/ARCHITECTURE.md: say there what it is for and what it may import", dir)
			return filepath.SkipDir
		}
		seen[dir] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		test := own.tests || strings.HasSuffix(path, "_test.go")
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			ours, is := strings.CutPrefix(name, module)
			if !is || ours == dir || slices.Contains(own.mayImport, ours) ||
				test && (all[ours].tests || own.tests || slices.Contains(alsoByTests[dir], ours)) {
				continue
			}
			t.Errorf("%s imports %s, which docs/ARCHITECTURE.md does not permit", path, ours)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range all {
		if !seen[dir] {
			t.Errorf("docs/ARCHITECTURE.md lists package %s, which does not exist", dir)
		}
	}
}
