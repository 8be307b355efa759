package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// examples returns the contents of all files under dir with that ending.
func examples(f *testing.F, dir, ending string) []string {
	f.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ending) {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, string(text))
		return err
	})
	if err != nil || len(all) == 0 {
		f.Fatal("no examples of ", ending, ": ", err)
	}
	return all
}

// tomlInDocs matches the files shown in the documentation.
var tomlInDocs = regexp.MustCompile("(?s)```toml\n(.*?)```")

// Any text is loaded or refused. Each mistake is at a place that the file has, in order, and
// reported once; a loaded text loads again with the same result; every key that the library reads
// has a position.
func FuzzLoad(f *testing.F) {
	for _, text := range examples(f, "../examples", ".toml") {
		f.Add(text)
	}
	for _, page := range examples(f, "../docs", ".md") {
		for _, m := range tomlInDocs.FindAllStringSubmatch(page, -1) {
			f.Add(m[1])
			f.Add(one + m[1])
		}
	}
	for _, text := range []string{
		"", head, one, "\ufeff" + one, strings.ReplaceAll(one, "\n", "\r\n"), one + "health.path = '/x'\n[build.health]\n", "build = [{name='one'}, 3]\n" + head,
		one + "env = { A = \"\"\"x\ny\"\"\" }\ncommand = ['{python}',\n # c\n \"{x}\"]\ngunicorn_args = [\"-b\", \"--pi\"]\n[build.limits]\nmemory = 1\n",
		"[supervisor]\nlog_level = \"x\"\nfront = ':80'\n" + one, "x = [[[[{a.b={c=[]}}]]]]", "[[build]]\nname=1979-05-27T07:32:00Z\n[build.\"é\".'x']",
		one + "timeout = \"\\u00e9\"\numask = \"0000\"\nworkers = 0x7fffffffffffffff\nthreads = inf",
	} {
		f.Add(text)
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "/") {
			// Some of the machine's paths must not be used in a test: /dev, /proc, other people's
			// folders.
			text = strings.ReplaceAll(text, "\"/", "\"./")
		}
		path := filepath.Join(s.dir, "fuzz.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		again, err2 := Load(path)
		if !reflect.DeepEqual(c, again) || !reflect.DeepEqual(err, err2) {
			t.Fatalf("%q loads as\n%+v, %v and then as\n%+v, %v", text, c, err, again, err2)
		}
		if read := decode(withoutBOM([]byte(text))); len(read.wrong) == 0 {
			allFound(t, string(withoutBOM([]byte(text))), read.file, read.at)
		}
		root, rootErr := RootOf(path)
		var errs Errors
		switch {
		case err == nil:
			if rootErr != nil || root != c.Root {
				t.Errorf("root of %q is %s, %v; loaded it is %s", text, root, rootErr, c.Root)
			}
			if p := Diff(c, again); !p.Empty() {
				t.Errorf("%q differs from itself: %v", text, p)
			}
		case !errors.As(err, &errs) || len(errs) == 0:
			t.Errorf("%q is refused with %v", text, err)
		}
		inFile(t, strings.TrimPrefix(text, "\ufeff"), errs)
		for i, e := range errs {
			if e.Msg == "" || e.File != path || strings.ContainsAny(e.Error(), "\n\r") {
				t.Errorf("error of %q: %q", text, e.Error())
			}
			if i > 0 && (e == errs[i-1] || e.Line < errs[i-1].Line) {
				t.Errorf("errors of %q are not in order:\n%v", text, err)
			}
		}
	})
}

// From any text, what is read can be an environment, and each mistake has a place in the file.
func FuzzEnvFile(f *testing.F) {
	for _, text := range []string{
		"", "A=1\n", "# c\nexport A='x y'\r\nB=\"a\\\"b\"\n; d\n", "A=\nLISTEN_FDS=1", "A='x", "A=x\\", "=", "\x00", "A=\x00", "export", "\ufeffA=1",
	} {
		f.Add([]byte(text))
	}
	line := regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*: `)
	f.Fuzz(func(t *testing.T, text []byte) {
		env, errs := parseEnv(text)
		for name, value := range env {
			if !envName.MatchString(name) || variable(name) != "" || strings.Contains(value, "\x00") {
				t.Errorf("%q sets %q to %q", text, name, value)
			}
		}
		if n := strings.Count(string(text), "\n") + 1; len(errs)+len(env) > n {
			t.Errorf("%q has %d variables and %d errors", text, len(env), len(errs))
		}
		for _, err := range errs {
			if !line.MatchString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("error of %q: %q", text, err)
			}
		}
	})
}

// In any text, each placeholder that is found begins at the reported place, right after a quote.
func FuzzSettings(f *testing.F) {
	for _, text := range examples(f, "../examples", ".py") {
		f.Add(text)
	}
	for _, name := range placeholders {
		f.Add("# é\nX = {'NAME': '" + name + "', \"\"\"" + name + "\"\"\": environ[\"" + name + "\"]} # '" + name + "'\n")
	}
	f.Add("A = ('random ' # x\n'secret key')\nB = \"\"\"\\\nDATABASE_HOST\"\"\"")
	f.Add("'\\")
	f.Add("'''a\\'''b''''")
	f.Fuzz(func(t *testing.T, text string) {
		rows := strings.Split(text, "\n")
		for _, e := range CheckSettingsText("f.py", text) {
			if e.Line < 1 || e.Line > len(rows) || e.Col < 2 || e.Col > 1+len([]rune(rows[e.Line-1])) {
				t.Fatalf("%q: %d:%d is not in the file", text, e.Line, e.Col)
			}
			row := []rune(rows[e.Line-1])
			if quote := row[e.Col-2]; quote != '\'' && quote != '"' {
				t.Errorf("%q: at %d:%d of %q no text begins", text, e.Line, e.Col, string(row))
			}
		}
	})
}
