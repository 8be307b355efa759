package machine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"testing"
)

// Step handles every declared event, and the test world carries out every effect: each has its own
// case there.
func TestEveryEventAndEffectIsHandled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ declared, method, file, function string }{
		{"event.go", "event", "step.go", "happened"},
		{"effect.go", "effect", "world_test.go", "carryOut"},
	} {
		all := receivers(t, c.declared, c.method)
		known := cases(t, c.file, c.function)
		if len(all) < 10 {
			t.Fatalf("%s: found only %v", c.declared, all)
		}
		for _, name := range all {
			if !slices.Contains(known, name) {
				t.Errorf("%s: %s of %s has no case", c.file, c.function, name)
			}
		}
		for _, name := range typesOf(t, c.declared) {
			if !slices.Contains(all, name) {
				t.Errorf("%s: %s is declared as an %s, but has no such method", c.declared, name, c.method)
			}
		}
	}
}

// Step panics on an event it does not know.
func TestUnknownEventIsABug(t *testing.T) {
	t.Parallel()
	type unheardOf struct{ Event }
	defer func() {
		if recover() == nil {
			t.Error("Step accepts an event it does not know")
		}
	}()
	Step(State{}, unheardOf{}, epoch)
}

// A State is compared and kept by value: the few things it refers to are listed here, and
// TestInvariantsHoldInEveryHistory checks that they are never changed.
func TestStateRefersToLittle(t *testing.T) {
	t.Parallel()
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Struct:
			if typ.PkgPath() == "time" {
				return
			}
			for i := range typ.NumField() {
				walk(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		case reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func, reflect.UnsafePointer:
			switch path {
			case "State.Bad", "State.Ending", "State.Policy.Processes", "State.Serving.Beside", "State.Candidate.Beside", "State.Processes":
			default:
				t.Errorf("%s: keep in invariants_test.go must copy it", path)
			}
		}
	}
	walk("State", reflect.TypeFor[State]())
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// receivers lists the types of a file that have the method.
func receivers(t *testing.T, file, method string) (names []string) {
	for _, d := range parse(t, file).Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == method {
			names = append(names, f.Recv.List[0].Type.(*ast.Ident).Name)
		}
	}
	return names
}

// typesOf lists the structs that a file declares in groups: its events or effects.
func typesOf(t *testing.T, file string) (names []string) {
	for _, d := range parse(t, file).Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE || !g.Lparen.IsValid() {
			continue
		}
		for _, s := range g.Specs {
			names = append(names, s.(*ast.TypeSpec).Name.Name)
		}
	}
	return names
}

// cases lists the types that the first type switch of a function names.
func cases(t *testing.T, file, function string) (names []string) {
	for _, d := range parse(t, file).Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.CaseClause); ok {
				for _, e := range c.List {
					if id, ok := e.(*ast.Ident); ok {
						names = append(names, id.Name)
					}
				}
			}
			return true
		})
	}
	return names
}
