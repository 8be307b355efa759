package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestHashIsOfWhatTheWatchedFilesSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := config.Build{Name: "one", Source: dir, AppDir: "API", Requirements: "requirements.txt", SettingsDir: "settings", EnvFile: filepath.Join(dir, "env")}
	write := func(path, text string) func() error {
		return func() error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	if err := os.MkdirAll(filepath.Dir(b.SettingsFile()), 0o700); err != nil {
		t.Fatal(err)
	}
	included := filepath.Join(dir, "base.txt")
	seen := map[string]string{}
	for _, c := range []struct {
		name   string
		change func() error
		same   bool
	}{
		{name: "nothing there", change: func() error { return nil }},
		{name: "settings", change: write(b.SettingsFile(), "DEBUG = False\n")},
		{name: "requirements", change: write(b.RequirementsFile(), "-r base.txt\n")},
		{name: "included requirements", change: write(included, "Django==3.2\n")},
		{name: "env_file", change: write(b.EnvFile, "SECRET=x\n")},
		{name: "other text of the same length", change: write(b.EnvFile, "SECRET=y\n")},
		{name: "touched", change: func() error { return os.Chtimes(included, time.Now(), time.Now().Add(time.Hour)) }, same: true},
		{name: "written as it was", change: write(b.SettingsFile(), "DEBUG = False\n"), same: true},
		{name: "env_file gone again", change: func() error { return os.Remove(b.EnvFile) }, same: true},
		// Nobody writes to it, so whoever opened it would wait for ever.
		{name: "a pipe", change: func() error { return syscall.Mkfifo(b.EnvFile, 0o600) }},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		w := Watch(dir, b, nil)
		before, known := seen[w.Hash]
		if known != c.same {
			t.Errorf("%s: the hash is that of %q", c.name, before)
		}
		seen[w.Hash] = c.name
	}
	// Of the build's own files: pip's settings on this machine are watched as well.
	own := func() []string {
		return slices.DeleteFunc(Watch(dir, b, nil).Files, func(path string) bool { return !strings.HasPrefix(path, b.Source) })
	}
	if files := own(); !slices.Equal(files, []string{b.SettingsFile(), b.RequirementsFile(), included, b.EnvFile}) {
		t.Errorf("watched: %q", files)
	}
	b.EnvFile = ""
	if files := own(); len(files) != 3 {
		t.Errorf("watched without an env_file: %q", files)
	}
}
