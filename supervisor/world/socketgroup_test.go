package world

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
)

func TestSocketIsOfItsGroupAndItsFolderOnlyLetsPass(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files to any group")
	}
	group, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip(err)
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		t.Fatal(err)
	}
	root := layout.Root(filepath.Join(t.TempDir(), "root"))
	if err := os.Mkdir(string(root), 0o755); err != nil {
		t.Fatal(err)
	}
	log := hclog.NewNullLogger()
	s := sockets{root: root, log: log, guard: listener.NewGuard(log), holder: newHolder(root, sdnotify.NewStore(nil, log), nil, log)}
	b := root.Build("a")
	for _, path := range []string{b.Socket(), b.Staging()} {
		l, err := s.Bind(path, &config.Build{Name: "a", SocketGroup: "daemon", SocketMode: 0o660})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); int(st.Gid) != gid || int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o660 {
			t.Errorf("%s belongs to %d:%d with mode %v", path, st.Uid, st.Gid, info.Mode())
		}
	}
	if info, err := os.Stat(b.Dir()); err != nil || info.Mode().Perm() != build.FolderMode {
		t.Errorf("the build's folder: %v %v", info, err)
	}
}
