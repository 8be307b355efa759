package sdnotify

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// gets returns what was told next, with the descriptor that came along; -1: none did.
func (m *manager) gets() (string, int) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	text, oob := make([]byte, 1000), make([]byte, 1000)
	n, oobn, _, _, err := m.conn.ReadMsgUnix(text, oob)
	if err != nil {
		m.t.Fatal(err)
	}
	fd := -1
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			m.t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			m.t.Fatal(fds, err)
		}
		fd = fds[0]
		m.t.Cleanup(func() { unix.Close(fd) })
	}
	return string(text[:n]), fd
}

func socket(t *testing.T) *os.File {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); ln.Close() })
	return f
}

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestWhatIsStoredIsTheProtocol(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	var log bytes.Buffer
	s := NewStore(m.environ(), logTo(&log))
	f := socket(t)
	if !s.Wanted() || s.Told() || !s.Keep("build.a.17", int(f.Fd())) {
		t.Errorf("it is not told: %s", &log)
	}
	s.Drop("build.a.17")
	if text, fd := m.gets(); text != "FDSTORE=1\nFDNAME=build.a.17" || inode(t, fd) != inode(t, int(f.Fd())) {
		t.Errorf("heard %q with descriptor %d", text, fd)
	}
	if text, fd := m.gets(); text != "FDSTOREREMOVE=1\nFDNAME=build.a.17" || fd >= 0 {
		t.Errorf("heard %q with descriptor %d", text, fd)
	}
	m.heardNothingMore()
}

func TestAStoreIsThereOnlyWhereTheServiceManagerSaysSo(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string][2]bool{ // wanted, told
		"":                                  {false, false},
		"FDSTORE=10":                        {false, false},
		"NOTIFY_SOCKET=":                    {false, false},
		"NOTIFY_SOCKET=/nowhere":            {true, false},
		"NOTIFY_SOCKET=/nowhere FDSTORE=0":  {true, false},
		"NOTIFY_SOCKET=/nowhere FDSTORE=x":  {true, false},
		"NOTIFY_SOCKET=/nowhere FDSTORE=10": {true, true},
	} {
		s := NewStore(strings.Fields(environ), hclog.NewNullLogger())
		if got := [2]bool{s.Wanted(), s.Told()}; got != want {
			t.Errorf("%q: wanted and told %v, want %v", environ, got, want)
		}
	}
	var none Store
	if none.Keep("a", 0) || none.Wanted() {
		t.Error("nobody stores something")
	}
}

func TestStoreThatCannotBeToldIsWarnedAboutOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := NewStore([]string{"NOTIFY_SOCKET=/nowhere"}, logTo(&log))
	for range 3 {
		if s.Keep("a", int(socket(t).Fd())) {
			t.Error("it was told")
		}
		s.Drop("a")
	}
	if n := strings.Count(log.String(), "cannot be told"); n != 1 {
		t.Errorf("%d warnings: %s", n, &log)
	}
}

// took is what this test's own program prints of what it takes.
const took = "MEDCTRL_TEST_TAKE"

func TestDescriptorsThatWerePassedAreTakenOnce(t *testing.T) {
	if os.Getenv(took) != "" {
		passed, rest := Take(os.Environ())
		for _, p := range passed {
			flags, err := unix.FcntlInt(uintptr(p.FD), unix.F_GETFD, 0)
			fmt.Printf("%s=%d cloexec %v %v,", p.Name, inode(t, p.FD), flags&unix.FD_CLOEXEC != 0, err)
		}
		again, _ := Take(rest)
		fmt.Printf("again %d, left %v\n", len(again), strings.Contains(strings.Join(rest, "\n"), "LISTEN_"))
		os.Exit(0)
	}
	t.Parallel()
	a, b := socket(t), socket(t)
	line := func(name string, f *os.File) string {
		return fmt.Sprintf("%s=%d cloexec true <nil>,", name, inode(t, int(f.Fd())))
	}
	const end = "again 0, left false\n"
	const closed = `; exec 5>&- 6>&- 7>&- 8>&- 9>&-` // what we were given ourselves
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ pid, environ, want string }{
		"with names":     {"$$", "LISTEN_FDS=2 LISTEN_FDNAMES=build.a.1:front", line("build.a.1", a) + line("front", b) + end},
		"more promised":  {"$$", "LISTEN_FDS=7 LISTEN_FDNAMES=one:two", line("one", a) + line("two", b) + end},
		"without names":  {"$$", "LISTEN_FDS=2", line("", a) + line("", b) + end},
		"with too few":   {"$$", "LISTEN_FDS=2 LISTEN_FDNAMES=one", line("one", a) + line("", b) + end},
		"for another":    {"1", "LISTEN_FDS=2 LISTEN_FDNAMES=a:b", end},
		"for nobody":     {"", "LISTEN_FDS=2", end},
		"not understood": {"$$", "LISTEN_FDS=-1", end},
		"none":           {"$$", "LISTEN_FDNAMES=a", end},
	} {
		cmd := exec.Command("sh", "-c", "export LISTEN_PID="+c.pid+closed+`; exec "$0" -test.run='^TestDescriptorsThatWerePassedAreTakenOnce$'`, self)
		cmd.Env = append(append(os.Environ(), took+"=1"), strings.Fields(c.environ)...)
		cmd.ExtraFiles = []*os.File{a, b}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%s: %v, %q, want %q", what, err, out, c.want)
		}
	}
}
