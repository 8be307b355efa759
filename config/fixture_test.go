package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// site is a folder with everything that a valid builds.toml names: src with an application and
// settings for the builds one, two and three, and an interpreter.
type site struct {
	t   testing.TB
	dir string
}

func newSite(t testing.TB) site {
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
	s := site{t, dir}
	s.write("src/API/manage.py", "")
	s.write("src/requirements.txt", "gunicorn\n")
	for _, name := range []string{"one", "two", "three"} {
		s.write("src/API/api_settings/settings/deploy_"+name+".py", "")
	}
	s.write("bin/python3", "#!/bin/sh\n")
	if err := os.Chmod(s.path("bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s site) path(name string) string { return filepath.Join(s.dir, name) }

func (s site) write(name, text string) string {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// head is a valid beginning of a file; lines of [defaults] may follow.
const head = "root = \"run\"\n[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n"

// one is a valid file; lines of the build may follow.
const one = head + "[[build]]\nname = \"one\"\n"

// load writes a file and loads it.
func (s site) load(text string) (*Config, error) {
	s.t.Helper()
	return Load(s.write("builds.toml", text))
}

func (s site) good(text string) *Config {
	s.t.Helper()
	c, err := s.load(text)
	if err != nil {
		s.t.Fatalf("%s\nis refused:\n%v", text, err)
	}
	return c
}

// unmark removes the marks » from a text, and returns where they were.
func unmark(text string) (string, []place) {
	var at []place
	var plain strings.Builder
	line, col := 1, 1
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch r {
		case '»':
			at = append(at, place{line, col})
			text = text[n:]
			continue
		case '\n':
			line, col = line+1, 1
		case '\ufeff':
		default:
			col++
		}
		plain.WriteString(text[:n])
		text = text[n:]
	}
	return plain.String(), at
}

// bad expects one error at each », in that order, with these words in them.
func (s site) bad(text string, words ...string) {
	s.t.Helper()
	text, at := unmark(text)
	_, err := s.load(text)
	s.wrong(text, err, at, words...)
}

func (s site) wrong(text string, err error, at []place, words ...string) {
	s.t.Helper()
	var errs Errors
	if !errors.As(err, &errs) {
		s.t.Fatalf("%s\nreturns %v, want Errors", text, err)
	}
	if len(errs) != len(at) || len(at) != len(words) {
		s.t.Fatalf("%s\nhas %d errors, want %d, of which %d with words:\n%v", text, len(errs), len(at), len(words), err)
	}
	for i, e := range errs {
		if (place{e.Line, e.Col}) != at[i] || !strings.Contains(e.Msg, words[i]) {
			s.t.Errorf("%s\nsays     %d:%d %s\nwant %d:%d …%s…", text, e.Line, e.Col, e.Msg, at[i].line, at[i].col, words[i])
		}
		if strings.ContainsAny(e.Error(), "\r\n") {
			s.t.Errorf("error of more than one line: %q", e.Error())
		}
	}
}
