package kubernetes

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is made into testdata")

// cases are what is exported in several tests.
var cases = map[string]struct {
	text   string
	change func(*Options)
}{
	"small": {small, func(*Options) {}},
	"large": {large, func(o *Options) { o.Hosts = []string{"www.example", "*.example.org"} }},
	"plain": {small, func(o *Options) { o.Plain, o.Replicas, o.Data, o.Namespace, o.Gateway = true, 1, "", "default", "web" }},
	"nginx": {strings.Replace(large, "strip_prefix = false\n", "", 1), func(o *Options) { o.Ingress, o.StepsIn, o.Hosts = true, StepsInImage, []string{"www.example"} }},
}

// To write them anew: go test ./supervisor/kubernetes -run Golden -update
func TestGoldenExports(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files()
	for name, c := range cases {
		got := s.whole(s.export(c.text, c.change))
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not that of testdata (-update writes it):\n%s", name, firstDifference(got, string(want)))
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s has a secret's value", name)
		}
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return "got  " + a[i] + "\nwant " + strings.Join(b[min(i, len(b)):min(i+1, len(b))], "")
		}
	}
	return "it is shorter"
}
