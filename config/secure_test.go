package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secured is a site in a folder of its own, with everything that nobody else may change. It is given
// to spoil, and its file is loaded.
func secured(t *testing.T, spoil func(s site) error) (string, error) {
	t.Helper()
	s := newSite(t)
	if err := os.Chmod(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("env/one.env", "A=1\n")
	s.write("token/write", strings.Repeat("x", 32)+"\n")
	file := s.write("etc/builds.toml", `root = "../var/root"
[supervisor]
log_dir = "../var/log"
front = "127.0.0.1:8080"
dashboard = "127.0.0.1:8081"
dashboard_write = "../token/write"
[defaults]
source = "../src"
python = "../bin/python3"
[[build]]
name = "one"
env_file = "../env/one.env"
user = "nobody"
`)
	err := errors.Join(os.MkdirAll(s.path("var/log"), 0o755), os.MkdirAll(s.path("var/root"), 0o755), os.Chmod(s.path("token/write"), 0o600))
	if err == nil {
		err = spoil(s)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(file)
	if err == nil {
		return "", nil
	}
	return strings.ReplaceAll(err.Error(), s.dir, "DIR"), err
}

func TestRootGoesByNothingThatOthersCanChange(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others, or lose by it")
	}
	const stranger, nobody = 65001, 65534
	give := func(name string, uid int) func(site) error {
		return func(s site) error { return os.Chown(s.path(name), uid, -1) }
	}
	open := func(name string) func(site) error {
		return func(s site) error { return os.Chmod(s.path(name), 0o777) }
	}
	for name, c := range map[string]struct {
		spoil func(site) error
		says  string // "": it is good
	}{
		"nothing":                 {func(site) error { return nil }, ""},
		"the file":                {give("etc/builds.toml", stranger), "DIR/etc/builds.toml:1:1: DIR/etc/builds.toml: its owner, user 65001, may write it, and so act as root: chown root DIR/etc/builds.toml"},
		"the file's mode":         {func(s site) error { return os.Chmod(s.path("etc/builds.toml"), 0o666) }, "everybody may write it, and so act as root: chmod o-w DIR/etc/builds.toml"},
		"the folder of the file":  {open("etc"), "DIR/etc/builds.toml:1:1: DIR/etc: everybody may replace what is in it"},
		"root":                    {give("var/root", stranger), `DIR/etc/builds.toml:1:8: root = "DIR/var/root": DIR/var/root: its owner, user 65001, may replace what is in it`},
		"the folder above root":   {open("var"), "DIR/var: everybody may replace what is in it"},
		"log_dir":                 {give("var/log", stranger), `DIR/etc/builds.toml:3:11: log_dir = "DIR/var/log": DIR/var/log: its owner, user 65001`},
		"log_dir, to the build":   {give("var/log", nobody), "DIR/var/log: its owner, nobody,"},
		"the token":               {give("token/write", stranger), `DIR/etc/builds.toml:6:19: dashboard_write = "DIR/token/write": DIR/token/write: its owner`},
		"env_file":                {give("env/one.env", stranger), `DIR/etc/builds.toml:12:12: env_file = "DIR/env/one.env": DIR/env/one.env: its owner`},
		"env_file, to the build":  {give("env/one.env", nobody), ""},
		"all":                     {give(".", stranger), "DIR: its owner, user 65001"},
		"a source of a stranger":  {give("src", stranger), ""},
		"everybody's, but sticky": {func(s site) error { return os.Chmod(s.path("etc"), 0o777|os.ModeSticky) }, ""},
	} {
		got, err := secured(t, c.spoil)
		if c.says == "" && err != nil || !strings.Contains(got, c.says) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: %s, want %s", name, got, c.says)
		}
	}
}

func TestWhatWasAppliedGoesOnWhateverOthersCanChange(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := s.write("builds.toml", head+"[[build]]\nname = \"one\"\n")
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := LoadText(file, text)
	if err != nil {
		t.Fatal(err)
	}
	wrong, warnings := c.Exposed()
	if n := len(wrong) + len(warnings); n != 1 || (os.Geteuid() == 0) != (len(wrong) == 1) {
		t.Errorf("%v, warnings %v", wrong, warnings)
	}
}

func TestOthersWhoMayWriteAreNamedByWhoStartsTheSupervisor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others, or lose by it")
	}
	theirs := func(s site) error { return os.Chown(s.path("etc/builds.toml"), 65001, -1) }
	t.Setenv(TrustedUsers, "nobody,65001")
	if got, err := secured(t, theirs); err != nil {
		t.Error(got)
	}
	t.Setenv(TrustedUsers, "nobody,6500")
	if _, err := secured(t, theirs); err == nil {
		t.Error("another user is taken for them")
	}
}

func TestProgramThatOthersCanExchangeIsFound(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "bin", "program")
	if err := errors.Join(os.Mkdir(filepath.Dir(program), 0o755), os.WriteFile(program, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	if warning, err := (&Config{}).ExposedProgram(program); err != nil || warning != "" {
		t.Errorf("%v, %q", err, warning)
	}
	if err := os.Chmod(filepath.Dir(program), 0o777); err != nil {
		t.Fatal(err)
	}
	warning, wrong := (&Config{}).ExposedProgram(program)
	if wrong != nil {
		warning = wrong.Error()
	}
	if (wrong != nil) != (os.Geteuid() == 0) || !strings.Contains(warning, "the program "+program+" could be exchanged") || !strings.Contains(warning, "chmod o-w "+filepath.Dir(program)) {
		t.Errorf("%v, %q", wrong, warning)
	}
}
