package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestRemovedSocketNameComesBackByItself(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one").Pid
	named := inode(t, w.Socket("one"))
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	for what, take := range map[string]func() error{
		"removed": func() error { return os.Remove(w.Socket("one")) },
		"renamed": func() error { return os.Rename(w.Socket("one"), w.Socket("one")+".away") },
		"replaced": func() error {
			aside := w.Socket("one") + ".other"
			listenRaw(t, aside, 8, true)
			return os.Rename(aside, w.Socket("one"))
		},
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		Eventually(t, 10e9, "the name that was "+what, func() (bool, string) {
			_, err := Ask("unix", w.Socket("one"), "/")
			return err == nil, fmt.Sprint(err)
		})
		if now := inode(t, w.Socket("one")); now != named {
			t.Errorf("%s: the name leads to inode %d, want the same socket as before, %d", what, now, named)
		}
	}
	tr.GoOn(t, calm)
	r := tr.Stop()
	// Clients that came while there was no name found none. The probe, every 5 s here, would have
	// let hundreds find none.
	absent := r.By[Missing] + r.By[Refused]
	if r.Lost() != absent || absent > 30 {
		t.Errorf("%d found no socket, want a handful and no other loss: %v", absent, r)
	}
	if b := w.WaitState("one", "running"); b.Pid != first || b.Restarts != 0 {
		t.Errorf("status %+v, want nothing restarted because of a name", b)
	}
	t.Logf("a name that is removed, renamed, replaced: %d requests found none; %v", absent, r)
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

func TestSocketHasTheModeOfTheFileAfterEachExchange(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.SetBuilds(tiny(`socket_mode = "0600"`))
	w.Serve("one")
	for range 2 {
		info, err := os.Lstat(w.Socket("one"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("the public socket's mode is %v, want a socket's 0600", info.Mode())
		}
		w.MustCLI("restart", "one")
	}
}

func TestSocketAndProcessesBelongToTheBuildsUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may give files and processes away")
	}
	who, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	group, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip(err)
	}
	w := NewWorld(t, One(`user = "nobody"`, `group = "daemon"`, `socket_mode = "0660"`))
	if err := os.Chmod(w.Dir, 0o755); err != nil { // the user's processes work below it
		t.Fatal(err)
	}
	master := w.Serve("one").Pid
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	master = w.WaitPid("one", master).Pid
	w.MustCLI("restart", "one")
	master = w.WaitPid("one", master).Pid
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)

	info, err := os.Lstat(w.Socket("one"))
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if got := fmt.Sprint(st.Uid, " ", st.Gid); got != who.Uid+" "+group.Gid || info.Mode().Perm() != 0o660 {
		t.Errorf("the public socket belongs to %s with mode %v, want %s %s and 0660", got, info.Mode().Perm(), who.Uid, group.Gid)
	}
	for _, p := range Tree(master) {
		status := strings.Fields(readAll("/proc/" + strconv.Itoa(p.Pid) + "/status"))
		at := slices.Index(status, "Uid:")
		if at < 0 || !slices.Equal(status[at+1:at+5], []string{who.Uid, who.Uid, who.Uid, who.Uid}) {
			t.Errorf("%v runs as %v, want user %s", p, status, who.Uid)
		}
	}
}
