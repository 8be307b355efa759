package world

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
)

// manager is a service manager with a store, of which each supervisor gets what is in it then.
type manager struct {
	t     *testing.T
	root  layout.Root
	path  string
	conn  *net.UnixConn
	store []sdnotify.Stored
	log   bytes.Buffer // of the last supervisor
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, root: layout.Root(filepath.Join(dir, "root")), path: filepath.Join(dir, "notify")}
	if err := os.Mkdir(string(m.root), 0o755); err != nil {
		t.Fatal(err)
	}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range m.store {
			unix.Close(s.FD)
		}
		m.conn.Close()
		os.RemoveAll(dir)
	})
	return m
}

// read does what it was told until now.
func (m *manager) read() {
	m.t.Helper()
	for text, oob := make([]byte, 1000), make([]byte, 1000); ; {
		m.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // it was sent before
		n, oobn, _, _, err := m.conn.ReadMsgUnix(text, oob)
		if err != nil {
			return
		}
		what, name, _ := strings.Cut(string(text[:n]), "\nFDNAME=")
		if what == "FDSTOREREMOVE=1" {
			m.store = slices.DeleteFunc(m.store, func(s sdnotify.Stored) bool { return s.Name == name && unix.Close(s.FD) == nil })
			continue
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || what != "FDSTORE=1" {
			m.t.Fatalf("told %q: %v", text[:n], err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			m.t.Fatal(err)
		}
		m.store = append(m.store, sdnotify.Stored{Name: name, FD: fds[0]})
	}
}

// names are those in the store, without the inodes.
func (m *manager) names() string {
	m.t.Helper()
	m.read()
	var names []string
	for _, s := range m.store {
		names = append(names, strings.TrimRight(s.Name, "0123456789"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// supervisor is the holder of a supervisor that the manager starts.
func (m *manager) supervisor() *holder {
	m.t.Helper()
	var passed []sdnotify.Stored
	for _, s := range m.store {
		fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			m.t.Fatal(err)
		}
		passed = append(passed, sdnotify.Stored{Name: s.Name, FD: fd})
	}
	m.log.Reset()
	log := hclog.New(&hclog.LoggerOptions{Output: &m.log, Level: hclog.Debug})
	return newHolder(m.root, sdnotify.NewStore([]string{"NOTIFY_SOCKET=" + m.path}, log), passed, log)
}

func (m *manager) bind(h *holder, path string) public.Listener {
	m.t.Helper()
	l, err := sockets{root: m.root, guard: listener.NewGuard(hclog.NewNullLogger()), holder: h}.Bind(path, &config.Build{Name: "a", SocketMode: 0o660})
	if err != nil {
		m.t.Fatal(err)
	}
	return l
}

func TestSocketsAreHeldForTheNextSupervisorAsLongAsTheyAreOpen(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	a, b := m.root.Build("a"), m.root.Build("b")
	first := m.supervisor()
	served, other, candidate := m.bind(first, a.Socket()), m.bind(first, b.Socket()), m.bind(first, a.Staging())
	if got := m.names(); got != "build.a. build.a. build.b." {
		t.Errorf("held are %s", got)
	}
	if err := candidate.Take(a.Socket()); err != nil {
		t.Fatal(err)
	}
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.names(); got != "build.a. build.b." {
		t.Errorf("held are %s", got)
	}
	for _, l := range []public.Listener{candidate, other} {
		if err := l.Leave(); err != nil {
			t.Fatal(err)
		}
	}
	second := m.supervisor()
	if got := second.builds(); len(got) != 2 {
		t.Errorf("held for builds %v", got)
	}
	back := second.take("a")
	if len(back) != 1 || back[0].Inode() != candidate.Inode() || back[0].Path() != a.Socket() || !back[0].Named() || len(second.take("a")) != 0 {
		t.Fatalf("back is %v", back)
	}
	second.drop() // nobody wants that of b
	if got := m.names(); got != "build.a." || !strings.Contains(m.log.String(), "no build wants it") {
		t.Errorf("held are %s; %s", got, &m.log)
	}
	if err := back[0].Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.names(); got != "" {
		t.Errorf("held are %s", got)
	}
}

func TestWhatIsNotOursIsClosedAndSaid(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	first := m.supervisor()
	l := m.bind(first, m.root.Build("a").Socket())
	defer l.Close()
	m.read()
	mine := m.store[0]
	claim := func(name string) {
		fd, err := unix.FcntlInt(uintptr(mine.FD), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		m.store = append(m.store, sdnotify.Stored{Name: name, FD: fd})
	}
	number := mine.Name[strings.LastIndexByte(mine.Name, '.')+1:]
	for _, name := range []string{"", "web.socket", "build", "build.a", "build.a.x", "build..1", "build.../etc.1", "build.b." + number, "build.a.1", mine.Name} {
		claim(name)
	}
	second := m.supervisor()
	back := append(second.take("a"), second.take("b")...)
	second.drop()
	if len(back) != 1 || back[0].Inode() != l.Inode() {
		t.Errorf("taken back are %v", back)
	}
	if n := strings.Count(m.log.String(), "descriptor that the service manager held is closed"); n != len(m.store)-1 {
		t.Errorf("%d of %d are refused: %s", n, len(m.store)-1, &m.log)
	}
	for _, l := range back {
		l.Leave()
	}
}

func TestFrontIsHeldAndComesBackWhereItListensStill(t *testing.T) {
	t.Parallel()
	for _, name := range []PlaceName{FrontPlace, DashboardPlace, MetricsPlace} {
		t.Run(string(name), func(t *testing.T) { placeIsHeld(t, name) })
	}
}

func placeIsHeld(t *testing.T, name PlaceName) {
	m := newManager(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first := m.supervisor()
	first.HoldPlace(name, f)
	first.HoldPlace(name, f) // in place of the one before
	if got := m.names(); got != string(name) {
		t.Errorf("held are %q", got)
	}
	addr := ln.Addr().String()
	back := m.supervisor().takePlace(name, addr)
	if back == nil || back.Addr().String() != addr {
		t.Fatalf("back is %v: %s", back, &m.log)
	}
	back.Close()
	if got := m.supervisor().takePlace(name, "127.0.0.1:1"); got != nil || m.names() != "" {
		t.Errorf("another address: %v, held are %q", got, m.names())
	}
	first.HoldPlace(name, f)
	m.read()
	second := m.supervisor()
	if other := map[PlaceName]PlaceName{FrontPlace: DashboardPlace, DashboardPlace: MetricsPlace, MetricsPlace: FrontPlace}[name]; second.takePlace(other, addr) != nil {
		t.Errorf("the socket of the %s went to the %s", name, other)
	}
	second.drop()
	if got := m.names(); got != "" || second.takePlace(name, addr) != nil {
		t.Errorf("there is no such place any more, and held are %q", got)
	}
}

// Our parent is no service manager, whatever it was told to hold.
func TestOnlyWhatIsReallyHeldCountsAsHeld(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	h := m.supervisor()
	l := m.bind(h, m.root.Build("a").Socket())
	defer l.Close()
	if h.Held()(l.Inode()) {
		t.Error("it is held, it says")
	}
	nobody := newHolder(m.root, &sdnotify.Store{}, nil, hclog.NewNullLogger())
	other := m.bind(nobody, m.root.Build("b").Socket())
	defer other.Close()
	if nobody.Held()(other.Inode()) || strings.Contains(m.names(), "build.b") {
		t.Error("something is held without a service manager")
	}
}
