package importer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// place is a machine with the files of a test: the real one, with users, units and processors of the
// test's own.
type place struct {
	Here
	dir   string
	units []string
}

func (p place) Units(_ context.Context, pattern string) []string {
	return slices.DeleteFunc(slices.Clone(p.units), func(name string) bool {
		ok, err := filepath.Match(pattern, name)
		return !ok || err != nil
	})
}

func (place) Processors() int { return 4 }

var fileHead = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// laid puts the files of testdata/NAME.txt into a folder. /ROOT in them is this folder.
func laid(t testing.TB, name string) place {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return lay(t, string(text))
}

func lay(t testing.TB, text string) place {
	t.Helper()
	// Not t.TempDir: the test's name in it makes socket paths too long.
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	heads := fileHead.FindAllStringSubmatchIndex(text, -1)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		path := filepath.Join(dir, text[head[2]:head[3]])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text[head[1]:end], "/ROOT", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return place{dir: dir}
}

// named returns files of the place that match patterns.
func (p place) named(t testing.TB, patterns ...string) []File {
	t.Helper()
	var all []File
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(p.dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no file matches %s: %v", pattern, err)
		}
		for _, path := range found {
			all = append(all, File{Path: path})
		}
	}
	return all
}

// options are those of an import to etc/builds.toml of the place, held against the real check.
func (p place) options() Options {
	file := filepath.Join(p.dir, "etc/builds.toml")
	return Options{File: file, Root: filepath.Join(p.dir, "builds"), Check: func(text []byte) []Mistake {
		_, err := config.CheckText(file, text)
		var wrong config.Errors
		if err != nil && !errors.As(err, &wrong) {
			return []Mistake{{Msg: err.Error()}}
		}
		var all []Mistake
		for _, e := range wrong {
			all = append(all, Mistake{e.Line, e.Msg})
		}
		return all
	}}
}

// imported is what an import made, with /ROOT for the place's folder.
type imported struct {
	Result
	text  string
	cfg   *config.Config
	place place
}

// imports makes a builds.toml, which must be one that the check accepts.
func (p place) imports(t testing.TB, patterns ...string) imported {
	t.Helper()
	o := p.options()
	r := Import(t.Context(), p, p.named(t, patterns...), o)
	cfg, err := config.CheckText(o.File, r.TOML)
	if err != nil {
		t.Fatalf("the check refuses what was made: %v\n%s", err, r.TOML)
	}
	if len(cfg.Builds) != len(r.Taken) {
		t.Errorf("%d builds are said to be taken over, the file has %d\n%s", len(r.Taken), len(cfg.Builds), r.TOML)
	}
	return imported{r, strings.ReplaceAll(string(r.TOML), p.dir, "/ROOT"), cfg, p}
}

// said is the text of the comments, in one line.
func (i imported) said() string {
	var all []string
	for line := range strings.Lines(i.text) {
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			all = append(all, strings.Fields(rest)...)
		}
	}
	return strings.Join(all, " ")
}
