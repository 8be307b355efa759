package supervisor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The sizes beyond which a part of the program is too much for who reads it.
const (
	mostLines  = 2700 // of this package, without its tests
	mostFields = 20   // of a struct
)

// facts are structs that may be as large as they are: lists of facts, which do nothing.
var facts = map[string]bool{
	"config.Build": true, "control.BuildStatus": true, "machine.State": true, "process.Spec": true, "state.Record": true,
}

func TestNothingGrowsBeyondWhatOneReads(t *testing.T) {
	t.Parallel()
	all, lines := rooms(t), 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		if room, known := all[dir]; err != nil || !known || room.tests {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if dir == "supervisor" {
			lines += strings.Count(string(text), "\n")
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if is, ok := spec.Type.(*ast.StructType); ok {
					name := file.Name.Name + "." + spec.Name.Name
					if n := fields(is); n > mostFields && !facts[name] {
						t.Errorf("%s in %s has %d fields, at most %d are good to read: group what belongs together", name, path, n, mostFields)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines > mostLines {
		t.Errorf("package supervisor has %d lines, at most %d are good to read: give what has a duty of its own a package", lines, mostLines)
	}
}

// fields counts the fields of a struct, those that are embedded as one.
func fields(s *ast.StructType) (n int) {
	for _, f := range s.Fields.List {
		n += max(len(f.Names), 1)
	}
	return n
}
