package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each of these files is somebody else's to make as large as they like.
func TestFileOfTerabytesIsAMistakeWithItsName(t *testing.T) {
	t.Parallel()
	huge := func(name string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte("A=1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 4<<40); err != nil {
			t.Skipf("this file system has no such files: %v", err)
		}
		return path
	}
	file := huge("builds.toml")
	if _, err := Load(file); err == nil || err.Error() != file+":1:1: larger than 1 MiB, which no list of builds is" {
		t.Errorf("builds.toml: %v", err)
	}
	env := huge("a.env")
	if _, err := Environ(Build{EnvFile: env}, nil); err == nil || !strings.Contains(err.Error(), env+": 4 TiB, at most 1 MiB are read") {
		t.Errorf("env_file: %v", err)
	}
	settings := huge("deploy_a.py")
	if errs := CheckSettings(Build{Name: "a", Source: filepath.Dir(settings)}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "4 TiB, at most 1 MiB are read") {
		t.Errorf("settings: %v", errs)
	}
}
