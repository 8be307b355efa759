package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const including = "[supervisor]\ninclude = [\"builds.d/*.toml\"]\n"

// files loads builds.toml with a text, beside others that are written first.
func (s site) files(text string, others map[string]string) (*Config, error) {
	s.t.Helper()
	for name, text := range others {
		s.write(name, text)
	}
	return s.load(text)
}

func names(c *Config) (all []string) {
	for _, b := range c.Builds {
		all = append(all, b.Name)
	}
	return all
}

func TestIncludedFilesHaveMoreBuildsWithTheSameDefaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("builds.d/env", "A=1\n")
	c, err := s.files(one+"location = \"/one\"\n"+including+"[defaults.health]\npath = \"/up\"\n", map[string]string{
		"builds.d/20.toml":     "build = [{ name = \"three\", workers = 7 }]\n",
		"builds.d/10.toml":     "\ufeff[[build]]\nname = \"two\"\nenv_file = \"env\"\nsource = \"../src\"\nhealth.host = \"two\"\n",
		"builds.d/.draft.toml": "no TOML",
		"builds.d/10.toml~":    "no TOML",
		"builds.d/README":      "no TOML",
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names(c), []string{"one", "two", "three"}) {
		t.Errorf("builds %q", names(c))
	}
	two, _ := c.Build("two")
	if two.Source != s.path("src") || two.EnvFile != s.path("builds.d/env") || two.Python != s.path("bin/python3") || two.Health.Path != "/up" || two.Health.Host != "two" {
		t.Errorf("%+v", two)
	}
	if three, _ := c.Build("three"); three.Source != s.path("src") || three.Workers != 7 {
		t.Errorf("%+v", three)
	}
	var paths []string
	for _, f := range c.Included {
		paths = append(paths, f.Path)
	}
	if !slices.Equal(paths, []string{s.path("builds.d/10.toml"), s.path("builds.d/20.toml")}) || !slices.Equal(c.Include, []string{s.path("builds.d/*.toml")}) {
		t.Errorf("included %q by %q", paths, c.Include)
	}
	s.write("builds.d/20.toml", "build = [{ name = \"three\", workers = 8 }]\n")
	then := s.good(one + "location = \"/one\"\n" + including + "[defaults.health]\npath = \"/up\"\n")
	if p := Diff(c, then); then.Sum == c.Sum || p.String() != "three: restart: workers\n" {
		t.Errorf("an edit of an included file is %q", p)
	}
}

func TestMistakesOfAllFilesAreReportedAtOnceWithTheirFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.files(one+"location = \"/one\"\nworkers = 0\n"+including, map[string]string{
		"builds.d/a.toml": "[[build]]\nname = \"two\"\nworker = 1\n[supervisor]\nlog_level = \"info\"\n",
		"builds.d/b.toml": "[[build]]\nname = \"one\"\nlocation = \"/one\"\n[[build]]\nname = \"two\"\nsource = \"nowhere\"\n",
		"builds.d/c.toml": "[[build]\nname = \"three\"\n",
		"builds.d/d.toml": "root = \"x\"\nbuilds = 1\n",
		"builds.d/e.toml": "\xff\n",
	})
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	got := strings.ReplaceAll(err.Error(), s.dir, "DIR")
	for _, want := range []string{
		"DIR/builds.toml:8:11: workers = 0: want a whole number from 1 to 64",
		`DIR/builds.d/a.toml:3:1: unknown key worker; did you mean "workers"?`,
		"DIR/builds.d/a.toml:4:1: supervisor does not belong here: in a file that builds.toml includes want nothing but [[build]]",
		`DIR/builds.d/b.toml:2:8: name = "one": the build in DIR/builds.toml:6 has it already`,
		`DIR/builds.d/b.toml:3:12: location = "/one": the build in DIR/builds.toml:7 has it already`,
		`DIR/builds.d/b.toml:5:8: name = "two": the build in DIR/builds.d/a.toml:2 has it already`,
		`DIR/builds.d/b.toml:6:10: source = "DIR/builds.d/nowhere": there is no such folder`,
		"DIR/builds.d/c.toml:1:",
		"DIR/builds.d/d.toml:1:1: root does not belong here",
		`DIR/builds.d/d.toml:2:1: builds does not belong here: in a file that builds.toml includes want nothing but [[build]]; did you mean "build"?`,
		"DIR/builds.d/e.toml:1:1: not UTF-8 text",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s\nin\n%s", want, got)
		}
	}
}

// A mistake in [defaults] is found by way of a build in another file.
func TestMistakeInDefaultsIsReportedWhereItStands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.files("root = \"run\"\n[defaults]\nsource = \"nowhere\"\npython = \"bin/python3\"\n"+including, map[string]string{
		"builds.d/a.toml": "[[build]]\nname = \"one\"\n",
	})
	if err == nil || strings.Contains(err.Error(), "builds.d") || !strings.Contains(err.Error(), "builds.toml:3:10: source = ") {
		t.Error(err)
	}
}

func TestWhatIsIncludedIsBoundedAndThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		include string
		prepare func(s site) error
		want    string // "": it is good
	}{
		"no match":            {`["builds.d/*.toml", "more*.toml"]`, nil, ""},
		"itself":              {`["*.toml", "builds.toml"]`, nil, ""},
		"twice":               {`["builds.d/*.toml", "builds.d/a.toml"]`, func(s site) error { s.write("builds.d/a.toml", "[[build]]\nname = \"two\"\n"); return nil }, ""},
		"absolute":            {`["DIR/x.toml"]`, func(s site) error { s.write("x.toml", ""); return nil }, ""},
		"a name":              {`["missing.toml"]`, nil, "builds.toml:8:11: include: there is no file DIR/missing.toml"},
		"a folder":            {`["src"]`, nil, "src:1:1: read the list of builds: open DIR/src: not a regular file but a folder"},
		"a folder's pattern":  {`["*/b.toml"]`, nil, `builds.toml:8:12: include[0] = "*/b.toml": want a pattern in the file's name alone`},
		"a bad pattern":       {`["a", "[b"]`, nil, `builds.toml:8:17: include[1] = "[b": want a path or a pattern`},
		"nothing":             {`[""]`, nil, "want a path or a pattern"},
		"a text":              {`"builds.d/*.toml"`, nil, `include = "builds.d/*.toml": want paths or patterns in quotes`},
		"a file for a folder": {`["builds.toml/*.toml"]`, nil, "builds.toml:8:11: include: "},
		"a named pipe":        {`["src/*.fifo"]`, func(s site) error { return syscall.Mkfifo(s.path("src/x.fifo"), 0o644) }, "src/x.fifo:1:1: read the list of builds: open DIR/src/x.fifo: not a regular file but a named pipe"},
		"a lost link":         {`["l*.toml"]`, func(s site) error { return os.Symlink("gone", s.path("l.toml")) }, "l.toml:1:1: read the list of builds: open DIR/l.toml: no such file"},
		"signs in the folder": {`["[x]/*.toml"]`, nil, `want a pattern in the file's name alone`},
		"a link":              {`["l*.toml"]`, func(s site) error { s.write("real", ""); return os.Symlink("real", s.path("l.toml")) }, ""},
		"a large file": {`["*.large"]`, func(s site) error { s.write("a.large", strings.Repeat("#", maxFile+1)); return nil },
			"a.large:1:1: larger than 1 MiB"},
		"many files": {`["many/*"]`, func(s site) error {
			for i := range mostIncluded + 1 {
				s.write(fmt.Sprintf("many/%d", i), "")
			}
			return nil
		}, "builds.toml:8:11: include: more than 1000 files are included"},
		"large files": {`["large/*"]`, func(s site) error {
			for i := range mostIncludedBytes/maxFile + 1 {
				s.write(fmt.Sprintf("large/%d", i), strings.Repeat("#", maxFile))
			}
			return nil
		}, "builds.toml:8:11: include: the files that are included have more than 8 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if c.prepare != nil {
				if err := c.prepare(s); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.load(one + "[supervisor]\ninclude = " + strings.ReplaceAll(c.include, "DIR", s.dir) + "\n")
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), s.dir, "DIR")
			}
			if c.want == "" && err != nil || !strings.Contains(got, c.want) {
				t.Errorf("%v, want %q", got, c.want)
			}
		})
	}
}

func TestFilesAreNamedAsTheFirstOneIs(t *testing.T) {
	s := newSite(t)
	if _, err := s.files(one+including, map[string]string{"builds.d/a.toml": "[[build]]\nnam = 1\n"}); err == nil {
		t.Fatal("nothing is wrong")
	}
	t.Chdir(filepath.Dir(s.dir))
	_, err := Load(filepath.Base(s.dir) + "/builds.toml")
	if want := filepath.Base(s.dir) + "/builds.d/a.toml:2:1: unknown key nam"; err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// What was applied needs no file any more.
func TestCopyOfManyFilesIsWholeWithoutThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := one + including
	c, err := s.files(text, map[string]string{"builds.d/a.toml": "[[build]]\nname = \"two\"\nsource = \"../src\"\nworkers = 5\n"})
	if err != nil {
		t.Fatal(err)
	}
	copied := c.Copy()
	if err := os.RemoveAll(s.path("builds.d")); err != nil {
		t.Fatal(err)
	}
	again, err := LoadText(s.path("builds.toml"), copied)
	if err != nil {
		t.Fatal(err)
	}
	if p := Diff(c, again); !p.Empty() || again.Sum != c.Sum || string(again.Copy()) != string(copied) {
		t.Errorf("differs by %q", p)
	}
	if alone := s.good(one); string(alone.Copy()) != one {
		t.Errorf("the copy of one file is %q", alone.Copy())
	}
	if _, err := LoadText(s.path("builds.toml"), []byte(`{"text": 1}`)); err == nil || !strings.Contains(err.Error(), "read the copy of ") {
		t.Error(err)
	}
	if len(copied) > MaxCopy {
		t.Error("it is larger than any")
	}
}

func TestIncludesAreKnownHoweverBadTheFileIs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("builds.toml", including+"rot = 1\n[[build]]\nname = \nx = 1\n")
	if got := Includes(path); !slices.Equal(got, []string{s.path("builds.d/*.toml")}) {
		t.Errorf("%q", got)
	}
	if got := Includes(s.path("nowhere")); got != nil {
		t.Errorf("%q", got)
	}
}

func TestNoBoxOpensWhatIsIncluded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("builds.d/a.toml", "[[build]]\nname = \"two\"\n")
	for line, want := range map[string]string{
		`read = ["builds.d/a.toml"]`: "would open " + s.path("builds.d/a.toml"),
		`write = ["builds.d"]`:       "would open " + s.path("builds.d"),
		`read = ["bin"]`:             "",
	} {
		c, err := s.load(one + "[build.sandbox]\nenabled = true\n" + line + "\n" + including)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", line, err)
		}
		if c != nil && !slices.Contains(c.Builds[0].Private, s.path("builds.d/a.toml")) {
			t.Errorf("within reach: %q", c.Builds[0].Private)
		}
	}
}

func TestRootIncludesNothingThatOthersCanChange(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others, or lose by it")
	}
	const stranger = 65001
	for name, c := range map[string]struct {
		spoil func(s site) error
		says  string
	}{
		"the file":          {func(s site) error { return os.Chown(s.path("builds.d/a.toml"), stranger, -1) }, "DIR/builds.d/a.toml:1:1: DIR/builds.d/a.toml: its owner, user 65001, may write it"},
		"the folder":        {func(s site) error { return os.Chown(s.path("builds.d"), stranger, -1) }, "DIR/builds.d: its owner, user 65001, may replace what is in it"},
		"the empty folder":  {func(s site) error { return emptied(s, stranger) }, `DIR/builds.toml:8:11: include = "DIR/builds.d": DIR/builds.d: its owner, user 65001, may replace what is in it`},
		"where it leads to": {func(s site) error { return linked(s, stranger) }, "DIR/builds.d/a.toml:1:1: DIR/elsewhere: its owner, user 65001, may replace what is in it"},
	} {
		s := newSite(t)
		s.write("builds.d/a.toml", "secret = \"words\"\n")
		if err := c.spoil(s); err != nil {
			t.Fatal(err)
		}
		_, err := s.load(one + including)
		if err == nil {
			t.Errorf("%s: nothing is wrong", name)
			continue
		}
		got := strings.ReplaceAll(err.Error(), s.dir, "DIR")
		if !strings.Contains(got, c.says) || strings.Contains(got, "secret") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// emptied gives the empty folder of what is included away.
func emptied(s site, to int) error {
	if err := os.Remove(s.path("builds.d/a.toml")); err != nil {
		return err
	}
	return os.Chown(s.path("builds.d"), to, -1)
}

// linked puts a link to somebody's folder in the place of an included file.
func linked(s site, to int) error {
	s.write("elsewhere/a.toml", "secret = \"words\"\n")
	if err := os.Chown(s.path("elsewhere"), to, -1); err != nil {
		return err
	}
	if err := os.Remove(s.path("builds.d/a.toml")); err != nil {
		return err
	}
	return os.Symlink("../elsewhere/a.toml", s.path("builds.d/a.toml"))
}
