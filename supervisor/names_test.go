package supervisor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The machine names states and events, control and its openapi.yaml publish them to clients, and
// the page knows some of them. None of these imports another, so their lists are compared here.
func TestStatesAndEventsHaveOneNameEverywhere(t *testing.T) {
	t.Parallel()
	machine, control := constants(t, "machine"), constants(t, "control")
	openapi := contents(t, "../docs/openapi.yaml")
	for _, list := range []struct {
		what, inMachine, inControl string
		inOpenAPI                  *regexp.Regexp
	}{
		{"states", "Phase", "State", regexp.MustCompile(`enum: \[(stopped, building[^\]]*)\]`)},
		{"events", "Event", "Event", regexp.MustCompile(`enum: \[(adopted[^\]]*)\]`)},
	} {
		want := startingWith(machine, list.inMachine)
		if len(want) < 8 {
			t.Fatalf("package machine has the %s %v", list.what, want)
		}
		if got := startingWith(control, list.inControl); !slices.Equal(got, want) {
			t.Errorf("%s of package control: %v\nof package machine: %v", list.what, got, want)
		}
		found := list.inOpenAPI.FindStringSubmatch(openapi)
		if found == nil {
			t.Fatalf("docs/openapi.yaml has no list of %s", list.what)
		}
		if got := slices.Sorted(slices.Values(strings.Split(found[1], ", "))); !slices.Equal(got, want) {
			t.Errorf("%s of docs/openapi.yaml: %v\nof package machine: %v", list.what, got, want)
		}
	}
}

func TestPageKnowsNoStateOrEventOfItsOwn(t *testing.T) {
	t.Parallel()
	names := constants(t, "control")
	page := ""
	for _, name := range []string{"app.js", "charts.js", "details.js", "logs.js", "words.js"} {
		page += contents(t, "dashboard/page/"+name)
	}
	known := map[string][]string{
		`b\.state [!=]== "([a-z_]+)"`:            startingWith(names, "State"),
		`const troubles = new Set\(\[([^\]]*)\]`: startingWith(names, "Event"),
	}
	for pattern, want := range known {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(page, -1)
		if len(found) == 0 {
			t.Errorf("the page has no %s", pattern)
		}
		for _, match := range found {
			for name := range strings.SplitSeq(match[1], ", ") {
				if !slices.Contains(want, strings.Trim(name, `"`)) {
					t.Errorf("the page knows %s, want one of %v", name, want)
				}
			}
		}
	}
}

// startingWith returns the values of the constants whose names begin with prefix, sorted.
func startingWith(all map[string]string, prefix string) []string {
	var values []string
	for name, value := range all {
		if strings.HasPrefix(name, prefix) {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	return values
}

// constants returns the string constants of a package below this folder.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := fs.Glob(os.DirFS(dir), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, value := range spec.Values {
					if text, ok := value.(*ast.BasicLit); ok && text.Kind == token.STRING {
						all[spec.Names[i].Name], err = strconv.Unquote(text.Value)
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	return all
}

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
