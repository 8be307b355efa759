package custody

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	stranger = 65001
	friend   = 65002
)

// asRoot skips where we cannot give files away.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
}

// place is folders and a file that nobody else can change.
func place(t *testing.T) (dir, file string) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(top, "dir")
	file = filepath.Join(dir, "below", "file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestFileThatNobodyElseCanChangeHasNoFinding(t *testing.T) {
	t.Parallel()
	_, file := place(t)
	if found := (Custody{}).Of(file); len(found) != 0 {
		t.Errorf("%v", found)
	}
	if err := (Custody{}).Grave(file + "/missing"); err != nil {
		t.Error(err)
	}
}

func TestWhoeverCouldReplaceAFileIsFound(t *testing.T) {
	t.Parallel()
	asRoot(t)
	give := func(path string, uid, gid int, mode fs.FileMode) func(t *testing.T, dir, file string) {
		return func(t *testing.T, dir, file string) {
			at := strings.NewReplacer("DIR", dir, "FILE", file).Replace(path)
			if err := os.Lchown(at, uid, gid); err != nil {
				t.Fatal(err)
			}
			if mode != 0 {
				chmod(t, at, mode)
			}
		}
	}
	for name, c := range map[string]struct {
		make  func(t *testing.T, dir, file string)
		in    Custody
		at    string // of the finding; "": there is none
		grave bool
		says  string
	}{
		"owner of the file":            {give("FILE", stranger, 0, 0), Custody{}, "FILE", true, "its owner, user 65001, may write it, and so act as root: chown root FILE"},
		"owner of a folder above":      {give("DIR", stranger, 0, 0), Custody{}, "DIR", true, "may replace what is in it, and so act as root: chown root DIR"},
		"owner who may":                {give("DIR", friend, 0, 0), Custody{UIDs: []int{friend}}, "", false, ""},
		"everybody, the file":          {give("FILE", 0, 0, 0o666), Custody{}, "FILE", true, "everybody may write it, and so act as root: chmod o-w FILE"},
		"everybody, a folder above":    {give("DIR", 0, 0, 0o777), Custody{}, "DIR", true, "everybody may replace what is in it, and so act as root: chmod o-w DIR"},
		"everybody, with a sticky bit": {give("DIR", 0, 0, 0o777|fs.ModeSticky), Custody{}, "", false, ""},
		"owner of a sticky folder":     {give("DIR", stranger, 0, 0o777|fs.ModeSticky), Custody{}, "DIR", true, "its owner"},
		"a group of people":            {give("DIR", 0, stranger, 0o775), Custody{}, "DIR", true, "the group 65001 may replace what is in it, and so act as root: chmod g-w DIR"},
		"a group of the system":        {give("DIR", 0, 4, 0o775), Custody{}, "DIR", false, "the group adm"},
		"the same with strangers in":   {give("DIR", 0, 4, 0o775), Custody{Strangers: []int{4}}, "DIR", true, "the group adm"},
		"a group that may":             {give("DIR", 0, friend, 0o775), Custody{GIDs: []int{friend}}, "", false, ""},
		"root's group":                 {give("DIR", 0, 0, 0o775), Custody{}, "", false, ""},
		"a group that may only read":   {give("DIR", 0, stranger, 0o750), Custody{}, "", false, ""},
	} {
		dir, file := place(t)
		c.make(t, dir, file)
		put := strings.NewReplacer("DIR", dir, "FILE", file)
		found := c.in.Of(file)
		if c.at == "" {
			if len(found) != 0 {
				t.Errorf("%s: %v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Path != put.Replace(c.at) || found[0].Grave != c.grave || !strings.Contains(found[0].String(), put.Replace(c.says)) {
			t.Errorf("%s: %+v, want %q", name, found, put.Replace(c.says))
		}
		if err := c.in.Grave(file); (err != nil) != c.grave {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An access list shows in the group's bits, as far as they are its mask (acl(5)).
func TestAccessListThatLetsOthersWriteIsFound(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir, file := place(t)
	if err := os.Chown(dir, 0, stranger); err != nil {
		t.Fatal(err)
	}
	// version 2; owner rwx, user 65001 rwx, group r-x, mask rwx, others r-x
	acl := []byte{2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe9, 0xfd, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255}
	if err := unix.Setxattr(dir, "system.posix_acl_access", acl, 0); err != nil {
		t.Skip("no access lists here: ", err)
	}
	if found := (Custody{}).Of(file); len(found) != 1 || !found[0].Grave {
		t.Errorf("%v", found)
	}
}

func TestLinksAreFollowedToWhatCouldBeReplaced(t *testing.T) {
	t.Parallel()
	asRoot(t)
	dir, file := place(t)
	elsewhere, _ := place(t)
	if err := os.Symlink(filepath.Dir(file), filepath.Join(elsewhere, "link")); err != nil {
		t.Fatal(err)
	}
	by := filepath.Join(elsewhere, "link", "file")
	if found := (Custody{}).Of(by); len(found) != 0 {
		t.Errorf("%v", found)
	}
	chmod(t, dir, 0o777)
	if found := (Custody{}).Of(by); len(found) != 1 || found[0].Path != dir {
		t.Errorf("behind a link: %v", found)
	}
	chmod(t, dir, 0o755)
	chmod(t, elsewhere, 0o777|fs.ModeSticky)
	if err := os.Lchown(filepath.Join(elsewhere, "link"), stranger, 0); err != nil {
		t.Fatal(err)
	}
	found := (Custody{}).Of(by)
	if len(found) != 1 || found[0].Path != filepath.Join(elsewhere, "link") || !strings.HasPrefix(found[0].Fix, "chown -h root ") {
		t.Errorf("a link of a stranger's: %v", found)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	_ = (Custody{}).Of(loop) // it ends
}

func TestCommandThatRepairsIsPastedSafely(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/medctrl/builds.toml":    "/etc/medctrl/builds.toml",
		"/tmp/a b":                    "'/tmp/a b'",
		"/tmp/x;touch /tmp/y":         "'/tmp/x;touch /tmp/y'",
		"/tmp/$(touch y)`touch z`'\"": `'/tmp/$(touch y)` + "`touch z`" + `'"'"'"'`,
		"-rf":                         "'-rf'",
		"":                            "''",
	} {
		if got := ShellWord(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
		if out, err := exec.Command("sh", "-c", "printf %s "+ShellWord(path)).Output(); err == nil && string(out) != path && path != "-rf" {
			t.Errorf("%q: a shell reads %q", path, out)
		}
	}
}
