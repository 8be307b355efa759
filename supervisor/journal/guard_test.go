package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// Nobody's: a user's number that nothing else uses.
const stranger = 65001

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has what others could be after")
	}
}

func TestLogThatIsNotOursAloneIsNeitherWrittenNorRotated(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asRoot bool
		put    func(path string) error
		says   string
	}{
		"link": {false, func(path string) error {
			return errors.Join(os.WriteFile(path+".target", nil, 0o600), os.Symlink(path+".target", path))
		}, "is a link, and links are not followed here; move it away"},
		"second name": {false, func(path string) error {
			return errors.Join(os.WriteFile(path+".target", nil, 0o600), os.Link(path+".target", path))
		}, "is a second name of another file; move it away"},
		"stranger's": {true, func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, stranger, 0))
		}, "belongs to user 65001, not to us: chown it, or move it away"},
	} {
		if c.asRoot && os.Geteuid() != 0 {
			continue
		}
		path := filepath.Join(t.TempDir(), "a.log")
		if err := c.put(path); err != nil {
			t.Fatal(err)
		}
		if f, err := Append(path, custody.Custody{}); err == nil || !strings.Contains(err.Error(), path+" "+c.says) {
			f.Close()
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(path, make([]byte, 20_000), 0o600); err != nil {
			t.Fatal(err)
		}
		if how, err := newRotation(path, Policy{MaxBytes: 10_000}).run(); err == nil || how != notDue {
			t.Errorf("%s: rotated, %v", name, err)
		}
		if text, err := os.ReadFile(path); len(text) != 20_000 || err != nil {
			t.Errorf("%s: %d bytes are left, %v", name, len(text), err)
		}
	}
}

// Whoever can exchange the folder chooses what root writes to.
func TestRootMakesNoLogWhereAStrangerCouldExchangeTheFolder(t *testing.T) {
	t.Parallel()
	asRoot(t)
	for name, c := range map[string]struct {
		spoil func(dir string) error
		who   custody.Custody
		says  string
	}{
		"theirs":           {func(dir string) error { return os.Chown(dir, stranger, 0) }, custody.Custody{}, "its owner, user 65001, may replace what is in it"},
		"everybody's":      {func(dir string) error { return os.Chmod(dir, 0o777) }, custody.Custody{}, "everybody may replace what is in it"},
		"the build's":      {func(dir string) error { return errors.Join(os.Chown(dir, 0, 33), os.Chmod(dir, 0o775)) }, custody.Custody{Strangers: []int{33}}, "may replace what is in it"},
		"one above theirs": {func(dir string) error { return os.Chown(filepath.Dir(dir), stranger, 0) }, custody.Custody{}, "its owner, user 65001, may replace what is in it"},
	} {
		path := filepath.Join(t.TempDir(), "above", "logs", "a.log")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		add(t, path, strings.Repeat("line\n", 4000))
		if err := c.spoil(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if f, err := Append(path, c.who); err == nil || !strings.Contains(err.Error(), c.says) {
			f.Close()
			t.Errorf("%s: %v", name, err)
		}
		if _, err := newRotation(path, Policy{MaxBytes: 10_000, Custody: c.who}).run(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: rotated, %v", name, err)
		}
		if _, err := os.Lstat(path + ".1"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "logs", "a.log")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	add(t, path, "in a folder like /tmp\n")
}
