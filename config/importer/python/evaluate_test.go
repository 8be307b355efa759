package python

import (
	"reflect"
	"strings"
	"testing"
)

func TestPlainExpressionsAreEvaluated(t *testing.T) {
	t.Parallel()
	env := map[string]string{"PORT": "8000"}
	for text, want := range map[string]any{
		`cpu_count() * 2 + 1`:               int64(9),
		`multiprocessing.cpu_count()`:       int64(4),
		`"a" 'b'`:                           "ab",
		`("x" + "y")`:                       "xy",
		`["x", "y"]`:                        []string{"x", "y"},
		`int(os.environ.get("PORT", "80"))`: int64(8000),
		`os.environ.get("OTHER", "80")`:     "80",
		`-7 // 2`:                           int64(-4),
		`n + 1`:                             int64(3),
		`max(n, 10)`:                        int64(10),
		`True`:                              true,
		`None`:                              nil,
		`open("/etc/shadow").read()`:        errNotPlain,
		`1 / 0`:                             errNotPlain,
		`7 // 0`:                            errNotPlain,
		`1000000 * 1000000 * 2`:             errNotPlain,
		strings.Repeat("(", 200):            errNotPlain,
	} {
		e := Evaluator{Vars: map[string]any{"n": int64(2)}, Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok }, Cpus: 4}
		got, err := e.Eval(text)
		if wrong, is := want.(error); is {
			if err != wrong {
				t.Errorf("%s: %v, %v", text, got, err)
			}
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v, want %#v", text, got, err, want)
		}
	}
}

func TestLogicalLinesAreFound(t *testing.T) {
	t.Parallel()
	got := Statements("a = 1  # one\nb = (2,\n  '#')\n\"\"\"text\nof two lines\"\"\"\nif a:\n    c = 3 + \\\n 4\n")
	want := []Statement{{Text: "a = 1", Line: 1}, {Text: "b = (2,   '#')", Line: 2}, {Text: "\"\"\"text\nof two lines\"\"\"", Line: 4}, {Text: "if a:", Line: 6}, {Text: "c = 3 +   4", Line: 7, Indented: true}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}
