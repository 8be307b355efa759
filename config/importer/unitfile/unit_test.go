package unitfile

import (
	"slices"
	"strings"
	"testing"
)

func TestUnitIsReadAsSystemdDoes(t *testing.T) {
	t.Parallel()
	options, notes, err := Parse("[Unit]\nDescription=x\n[Service]\nExecStart=a \\\n# a comment between them\n  b\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\nnonsense\n")
	if err != nil {
		t.Fatal(err)
	}
	u := File{Name: "app@.service", Options: options}
	if got := u.All("Service", "Environment"); !slices.Equal(got, []string{"B=2"}) {
		t.Errorf("an empty value begins a list anew: %q", got)
	}
	if got := strings.Fields(u.Last("Service", "ExecStart")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the continued line is %q", got)
	}
	if got := u.Last("Unit", "Description"); got != "x" || !u.IsTemplate() || InstanceOf("app@one.service") != "one" {
		t.Errorf("description %q, template %v, instance %q", got, u.IsTemplate(), InstanceOf("app@one.service"))
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "«nonsense»") {
		t.Errorf("what is not understood: %q", notes)
	}
}

func TestWordsAreSplitAsSystemdDoes(t *testing.T) {
	t.Parallel()
	got, err := SplitWords(`a 'b c' "d\x41" e\ f \q`)
	if want := []string{"a", "b c", "dA", "e f", `\q`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := SplitWords(`a "b`); err == nil {
		t.Error("a quote that is not closed is no error")
	}
}

func TestSpecifiersAreFilledIn(t *testing.T) {
	t.Parallel()
	s := Specifiers{Name: "app@.service", Instance: "one", Home: "/home/x", User: "x"}
	if got, err := s.Fill("%h/%i %n %p %u 100%%"); err != nil || got != "/home/x/one app@one.service app x 100%" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Fill("%b"); err == nil || !strings.Contains(err.Error(), "%b") {
		t.Errorf("what depends on the machine: %v", err)
	}
}

func TestVariablesOfACommandAreFilledIn(t *testing.T) {
	t.Parallel()
	set := map[string]string{"ARGS": "a b", "A": "1 2"}
	get := func(name string) (string, bool) { value, ok := set[name]; return value, ok }
	filled, wanted := FillVariables([]string{"run", "$ARGS", "${A}-x", "$$", "$NONE"}, get)
	if want := []string{"run", "a", "b", "1 2-x", "$"}; !slices.Equal(filled, want) || !slices.Equal(wanted, []string{"NONE"}) {
		t.Errorf("%q, wanted %q, want %q", filled, wanted, want)
	}
}
