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

// mayImport says which of our packages a package may import. One that is not here fails the test
// until it is. supervisor/oldkernel is for tests only.
var mayImport = map[string][]string{
	"cmd/medctrl-supervisor": {"supervisor", "supervisor/control", "supervisor/process", "config"},
	"config":                 {"config/layout"},
	"config/layout":          {},
	"config/watch":           {},
	"build":                  {"config", "config/layout"},
	"supervisor": {"build", "config", "config/layout", "config/watch", "supervisor/machine", "supervisor/process", "supervisor/listener",
		"supervisor/health", "supervisor/state", "supervisor/journal", "supervisor/control", "supervisor/front", "supervisor/dashboard",
		"supervisor/sdnotify", "supervisor/eventlog", "supervisor/killpoint", "supervisor/handover"},
	"supervisor/machine":   {},
	"supervisor/process":   {"supervisor/oldkernel"},
	"supervisor/listener":  {"supervisor/sockaddr", "supervisor/oldkernel"},
	"supervisor/handover":  {},
	"supervisor/health":    {"supervisor/sockaddr"},
	"supervisor/sdnotify":  {},
	"supervisor/sockaddr":  {},
	"supervisor/state":     {},
	"supervisor/journal":   {},
	"supervisor/control":   {"supervisor/sockaddr"},
	"supervisor/eventlog":  {},
	"supervisor/front":     {"supervisor/sockaddr"},
	"supervisor/dashboard": {},
	"supervisor/killpoint": {},
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
