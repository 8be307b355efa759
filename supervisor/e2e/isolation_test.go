package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// intruder tries to read the files and folders, and to connect to the sockets, that it is given line by
// line, and prints what it could.
const intruder = `
import os, socket, sys
for path in sys.stdin.read().splitlines():
    try:
        if path.endswith(".sock") or path.endswith(".next"):
            socket.socket(socket.AF_UNIX).connect(path)
        elif os.path.isdir(path):
            os.listdir(path)
        else:
            open(path, "rb").read(1)
        print(path)
    except PermissionError:
        pass
    except OSError as e:
        print(path, e)
`

// TestUserOfABuildReadsNothingOfAnotherAndDoesNotConnect has two builds as the README's example does:
// users of their own, and a group for who may connect. What earlier versions left open is closed at the
// start.
func TestUserOfABuildReadsNothingOfAnotherAndDoesNotConnect(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may run builds as other users")
	}
	w := NewWorld(t,
		Entry("one", `user = "nobody"`, `socket_group = "mail"`),
		Entry("two", `user = "daemon"`, `socket_group = "mail"`, `env_file = "two.env"`, `migrate = true`))
	for _, name := range []string{"mail", "nogroup", "daemon"} {
		if _, err := user.LookupGroup(name); err != nil {
			t.Skip(err)
		}
	}
	settings := readAll(w.Settings("one"))
	for path, text := range map[string]string{w.Settings("two"): settings + "\nPASSWORD = 'of two'\n", filepath.Join(w.Dir, "two.env"): "SECRET=of two\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, mode := range map[string]fs.FileMode{w.Dir: 0o755, w.Settings("two"): 0o640} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	w.Serve("one")
	pid := w.WaitState("two", "running").Pid
	if err := os.WriteFile(w.Data("two", "secret"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(w.Data("two", "secret"), 1, 1); err != nil {
		t.Fatal(err)
	}
	if found := w.intrude("daemon", "daemon", nil); len(found) < 10 {
		t.Fatalf("the build's own user reads only %q: the attack tries nothing", found)
	}
	for _, attempt := range []string{"as it was made", "after a start on what an earlier version left open"} {
		if found := w.intrude("nobody", "nogroup", nil); len(found) > 0 {
			t.Errorf("%s: the user of one gets at what is two's: %q", attempt, found)
		}
		// Who is in socket_group connects, and does nothing else.
		if found := w.intrude("nobody", "nogroup", []string{"mail"}); len(found) != 1 || found[0] != w.Socket("two") {
			t.Errorf("%s: who may connect gets at %q", attempt, found)
		}
		w.Signal(syscall.SIGKILL)
		w.WaitEnd(calm)
		for _, path := range []string{"", "releases", "venvs", "current/.", "run"} {
			if err := os.Chmod(filepath.Join(w.Root, "two", path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		w.Start()
		if after := w.WaitState("two", "running").Pid; after != pid {
			t.Errorf("pid %d serves after a start, want %d", after, pid)
		}
	}
	w.Stop()
}

// intrude returns what of build two, and of the supervisor, a user gets at: files, folders and the socket.
func (w *World) intrude(name, group string, groups []string) []string {
	w.t.Helper()
	var all []string
	for _, dir := range []string{filepath.Join(w.Root, "two"), filepath.Join(w.Root, ".supervisor"), filepath.Join(w.Dir, "two.env"), w.Settings("two")} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && (d.IsDir() || d.Type().IsRegular() || path == w.Socket("two")) {
				all = append(all, path)
			}
			return nil // what is gone by now
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	id := func(name string) uint32 {
		g, err := user.LookupGroup(name)
		if err != nil {
			w.t.Fatal(err)
		}
		n, err := strconv.Atoi(g.Gid)
		if err != nil {
			w.t.Fatal(err)
		}
		return uint32(n)
	}
	u, err := user.Lookup(name)
	if err != nil {
		w.t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		w.t.Fatal(err)
	}
	as := &syscall.Credential{Uid: uint32(uid), Gid: id(group)}
	for _, one := range groups {
		as.Groups = append(as.Groups, id(one))
	}
	cmd := exec.Command("/usr/bin/python3", "-I", "-c", intruder)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdin, cmd.Stderr = "/", &syscall.SysProcAttr{Credential: as}, strings.NewReader(strings.Join(all, "\n")), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Fields(string(out))
}
