package inputs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestFileThatIsExchangedIsAskedForItsOwnRights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may read what the build's user may not")
	}
	app, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	path := filepath.Join(app, "file")
	must(t, os.WriteFile(path, nil, 0o600))
	r := Reader{As: config.Identity{UID: 65001, GID: 65001}}
	root, err := os.OpenRoot(app)
	must(t, err)
	defer root.Close()
	if _, err := CopyFile(t.Context(), r.opener(within(root)), "file", to, r); err == nil {
		t.Error("copied")
	}
	if _, err := os.Lstat(to); err == nil {
		t.Error("there is a copy")
	}
	must(t, os.Chmod(path, 0o604))
	if _, err := CopyFile(t.Context(), r.opener(within(root)), "file", to, r); err != nil {
		t.Error(err)
	}
}

func TestAccessListDecidesWhoReads(t *testing.T) {
	t.Parallel()
	list := func(entries ...[3]uint32) []byte {
		text := []byte{2, 0, 0, 0}
		for _, e := range entries {
			text = binary.LittleEndian.AppendUint16(text, uint16(e[0]))
			text = binary.LittleEndian.AppendUint16(text, uint16(e[1]))
			text = binary.LittleEndian.AppendUint32(text, e[2])
		}
		return text
	}
	as := config.Identity{UID: 7, GID: 8, Groups: []uint32{9}}
	for name, c := range map[string]struct {
		list []byte
		want bool
	}{
		"the user is named":             {list([3]uint32{aclUser, 4, 7}, [3]uint32{aclMask, 7, 0}), true},
		"another is named":              {list([3]uint32{aclUser, 4, 6}, [3]uint32{aclMask, 7, 0}, [3]uint32{aclOther, 0, 0}), false},
		"masked":                        {list([3]uint32{aclUser, 4, 7}, [3]uint32{aclMask, 0, 0}, [3]uint32{aclOther, 4, 0}), false},
		"a group is named":              {list([3]uint32{aclGroupObj, 0, 0}, [3]uint32{aclGroup, 4, 9}, [3]uint32{aclMask, 4, 0}), true},
		"the file's group has no right": {list([3]uint32{aclGroupObj, 0, 0}, [3]uint32{aclMask, 4, 0}, [3]uint32{aclOther, 4, 0}), false},
		"everybody":                     {list([3]uint32{aclGroup, 0, 5}, [3]uint32{aclOther, 4, 0}), true},
		"cut off":                       {[]byte{2, 0, 0, 0, 1}, false},
	} {
		group := 5
		if strings.HasPrefix(name, "the file's group") {
			group = 8
		}
		if got := listed(c.list, group, as, config.Read); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// As the kernel keeps it.
	if os.Geteuid() != 0 {
		return
	}
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, nil, 0o640))
	kept := list([3]uint32{1, 6, ^uint32(0)}, [3]uint32{aclUser, 4, 7}, [3]uint32{aclGroupObj, 0, ^uint32(0)}, [3]uint32{aclMask, 4, ^uint32(0)}, [3]uint32{aclOther, 0, ^uint32(0)})
	if err := syscall.Setxattr(path, aclName, kept, 0); err != nil {
		t.Skip("this file system has no access lists: ", err)
	}
	for uid, want := range map[int]bool{7: true, 6: false} {
		f, err := Reader{As: config.Identity{UID: uid, GID: 8}}.opener(os.OpenFile)(path, os.O_RDONLY, 0)
		if (err == nil) != want {
			t.Errorf("user %d: %v", uid, err)
		}
		if err == nil {
			f.Close()
		}
	}
}
