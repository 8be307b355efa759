package supervisor

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/medctrl/medctrl-supervisor/"

// mayImport is who may import whom of our packages. A package that is not here
// may not be imported by anybody and fails the test until it is. supervisor/oldkernel is
// for tests only.
var mayImport = map[string][]string{
	"cmd/medctrl-supervisor": {"cmd/cli", "supervisor/process"},
	"cmd/medctrl-pages":      {"cmd/cli"},
	"cmd/cli":                {"cmd/cli/show", "config", "supervisor", "supervisor/control"},
	"cmd/cli/show":           {"supervisor/control"},
	"config":                 {},
	"build":                  {"config"},
	"supervisor": {"build", "config", "supervisor/machine", "supervisor/process", "supervisor/listener",
		"supervisor/health", "supervisor/state", "supervisor/journal", "supervisor/control", "supervisor/front", "supervisor/dashboard"},
	"supervisor/machine":   {},
	"supervisor/process":   {"supervisor/oldkernel"},
	"supervisor/listener":  {"supervisor/oldkernel"},
	"supervisor/health":    {},
	"supervisor/state":     {},
	"supervisor/journal":   {},
	"supervisor/control":   {},
	"supervisor/front":     {},
	"supervisor/dashboard": {},
	"supervisor/oldkernel": {},
	"supervisor/e2e":       {"supervisor/oldkernel"},
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	root := ".."
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "run") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("package %s has no place in the design: name whom it may import", dir)
			return filepath.SkipDir
		}
		seen[dir] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			ours, is := strings.CutPrefix(name, module)
			if is && strings.HasPrefix(ours, "internal/") && !strings.HasSuffix(path, "_test.go") {
				t.Errorf("%s imports %s, which is for tests", path, ours)
			}
			if is && ours != dir && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the design forbids", path, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range mayImport {
		if !seen[dir] {
			t.Errorf("package %s is in the design but not in the tree", dir)
		}
	}
}
