package config

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// The build's user may write its env_file, and so put a link to another build's in its place, which root
// can read.
func TestEnvFileThatItsUserMayExchangeIsReadAsThatUser(t *testing.T) {
	t.Parallel()
	if _, err := user.Lookup("nobody"); os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, and a user nobody: ", err)
	}
	const nobody = 65534
	secret := func(path string, mode os.FileMode) error {
		return errors.Join(os.WriteFile(path, []byte("TWOS_PASSWORD=x\n"), 0o600), os.Chmod(path, mode))
	}
	for name, c := range map[string]struct {
		owner int // of the folder
		make  func(dir, path string) error
		read  bool
	}{
		"root's alone in a folder of root's": {0, func(_, path string) error { return secret(path, 0o600) }, true},
		"a link of root's": {0, func(dir, path string) error {
			return errors.Join(secret(dir+"/two.env", 0o600), os.Symlink("two.env", path))
		}, true},
		"a link of theirs to another's": {nobody, func(dir, path string) error {
			return errors.Join(secret(filepath.Dir(dir)+"/two.env", 0o600), os.Symlink("../two.env", path))
		}, false},
		"a link of theirs into a closed folder": {nobody, func(dir, path string) error {
			closed := filepath.Dir(dir) + "/closed"
			return errors.Join(os.Mkdir(closed, 0o700), secret(closed+"/two.env", 0o644), os.Symlink("../closed/two.env", path))
		}, false},
		"a file of root's that they have moved there": {nobody, func(_, path string) error { return secret(path, 0o600) }, false},
		"their own": {nobody, func(_, path string) error { return errors.Join(secret(path, 0o600), os.Chown(path, nobody, -1)) }, true},
	} {
		top := t.TempDir()
		dir := filepath.Join(top, "folder")
		path := filepath.Join(dir, "one.env")
		err := errors.Join(os.Chmod(filepath.Dir(top), 0o755), os.Mkdir(dir, 0o755), c.make(dir, path), os.Chown(dir, c.owner, -1))
		if err != nil {
			t.Fatal(err)
		}
		env, err := Environ(Build{Name: "one", User: "nobody", EnvFile: path}, nil)
		switch said := strings.Join(env, " "); {
		case c.read && (err != nil || !strings.Contains(said, "TWOS_PASSWORD=x")):
			t.Errorf("%s: %q, %v", name, said, err)
		case !c.read && (err == nil || strings.Contains(err.Error(), "TWOS") || !strings.Contains(err.Error(), "may not read it, and root does not read it for them")):
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}
