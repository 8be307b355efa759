package config

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is a row of a table in the documentation.
type row struct{ names, defaults, cost string }

// tables reads the tables of docs/configuration.md whose first column is a key, by the heading
// above them.
func tables(t *testing.T) map[string][]row {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	all, heading, inside := map[string][]row{}, "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimLeft(line, "# ")
		}
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) < 5:
			inside = false
		case cells[1] == "key":
			inside = true
		case inside && cells[1] != "---":
			all[heading] = append(all[heading], row{cells[1], cells[2], cells[len(cells)-2]})
		}
	}
	return all
}

// each calls f with every key of a table, its default and its cost. If there is one default, it is
// that of all keys of its row.
func each(t *testing.T, rows []row, f func(name, standard, cost string)) {
	t.Helper()
	for _, r := range rows {
		names, defaults := strings.Split(r.names, ", "), strings.Split(r.defaults, ", ")
		if len(defaults) == 1 {
			defaults = slices.Repeat(defaults, len(names))
		}
		if len(names) != len(defaults) {
			t.Errorf("%q has the defaults %q", r.names, r.defaults)
			continue
		}
		for i, name := range names {
			f(name, strings.Trim(defaults[i], "`"), r.cost)
		}
	}
}

// written is a default as the documentation writes it.
func written(field any) string {
	switch f := field.(type) {
	case *string:
		if *f == "" {
			return "none"
		}
		return fmt.Sprintf("%q", *f)
	case *time.Duration:
		if *f > time.Minute {
			return fmt.Sprintf(`"%.0fm"`, f.Minutes())
		}
		return fmt.Sprintf(`"%.0fs"`, f.Seconds())
	case *os.FileMode:
		return fmt.Sprintf(`"%04o"`, *f)
	case *Restart:
		return fmt.Sprintf("%q", *f)
	case *Expect:
		return fmt.Sprintf(`"<%d"`, f.Max+1)
	case *[]string:
		return "[]"
	case *map[string]string:
		return "{}"
	case *bool:
		return fmt.Sprint(*f)
	case *migration:
		return fmt.Sprint(*f.on)
	case *int:
		return fmt.Sprint(*f)
	case *Ports:
		return "all"
	case *Size, *Cores, *Count:
		return "none" // their zero value, which the defaults have
	case *CoreSize:
		return fmt.Sprint(*f)
	}
	return "?"
}

func TestDocumentationHasEveryKeyWithItsDefaultAndCost(t *testing.T) {
	t.Parallel()
	base := defaultBuild()
	special := map[string]string{"source": "required", "command": "none", "after_swap": "none", "on_failure": "none", "on_recovery": "none", "before_migrate": "none", "after_migrate": "none"}
	docs := tables(t)
	compare := func(heading string, known []key, costs bool, besides ...string) {
		var seen []string
		each(t, docs[heading], func(name, standard, cost string) {
			seen = append(seen, name)
			i := slices.IndexFunc(known, func(k key) bool { return k.name == name })
			if i < 0 {
				if !slices.Contains(besides, name) {
					t.Errorf("%s: key %s is documented and unknown", heading, name)
				}
				return
			}
			want := special[name]
			if want == "" {
				want = written(known[i].field(&base))
			}
			if standard != want {
				t.Errorf("%s: the default of %s is documented as %s, is %s", heading, name, standard, want)
			}
			if costs && cost != known[i].cost.String() {
				t.Errorf("%s: an edit of %s is documented to cost a %s, costs a %v", heading, name, cost, known[i].cost)
			}
		})
		for _, k := range known {
			if !slices.Contains(seen, k.name) {
				t.Errorf("%s: key %s is not documented", heading, k.name)
			}
		}
	}
	compare("[[build]], and [defaults] for all of them", keys, true, "name")
	compare("[build.health]", healthKeys, false)
	compare("[build.hooks]", hookKeys, false)
	compare("[build.steps]", stepKeys, false)
	compare("[build.sandbox]", sandboxKeys, false)
	compare("[build.limits]", limitKeys, true)
	process := Process{Count: 1, Restart: RestartAlways, StopSignal: "TERM"}
	own := map[string]string{"name": "required", "command": "required", "graceful_timeout": "the build's", "env": "`{}`", "ready": "none"}
	var documented []string
	each(t, docs["[[build.process]]"], func(name, standard, _ string) {
		documented = append(documented, name)
		i := slices.IndexFunc(processTable, func(k ownKey[Process]) bool { return k.name == name })
		if i < 0 {
			t.Errorf("[[build.process]]: key %s is documented and unknown", name)
			return
		}
		if want := cmp.Or(own[name], written(processTable[i].field(&process))); standard != strings.Trim(want, "`") && standard != want {
			t.Errorf("[[build.process]]: the default of %s is documented as %s, is %s", name, standard, want)
		}
	})
	if !slices.Equal(documented, ownNames(processTable)) {
		t.Errorf("[[build.process]]: documented are %q, want %q", documented, ownNames(processTable))
	}
	var seen []string
	each(t, docs["[supervisor]"], func(name, standard, _ string) {
		seen = append(seen, name)
		if want := map[string]string{ // checked against the code by the test of the defaults
			"log_level": `"info"`, "log_format": `"text"`, "log_dir": "root/.supervisor/logs", "max_parallel_builds": "1", "front": "none", "dashboard": "none", "dashboard_read": "none", "dashboard_write": "none", "control_group": "none", "metrics": "none", "include": "[]", "front_proxies": "[]",
		}[name]; standard != want {
			t.Errorf("the default of %s is documented as %s, is %s", name, standard, want)
		}
	})
	if slices.Sort(seen); !slices.Equal(seen, slices.Sorted(slices.Values(supervisorKeys))) {
		t.Errorf("[supervisor] is documented to have %v, has %v", seen, supervisorKeys)
	}
}
