package sdnotify

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Store is the service manager's store of descriptors (FDSTORE=1 of sd_notify(3)): what is in it
// stays open while the service is restarted, and comes back to the next start (Take). A service
// manager has one only where it was told to (FileDescriptorStoreMax= of systemd.service(5)), and
// does not say so: a descriptor that it does not want is dropped. Its methods may be called from
// several goroutines; the zero Store stores nothing.
type Store struct {
	log     hclog.Logger
	to      *net.UnixAddr // nil: there is no service manager
	told    bool          // by the service manager that it has a store
	mu      sync.Mutex
	failing bool
}

// Stored is a descriptor that came back from the store, with the name it was stored under. Name is
// "" where the service manager gave none.
type Stored struct {
	Name string
	FD   int
}

// NewStore returns the store that environ, which has the form of os.Environ, leads to.
func NewStore(environ []string, log hclog.Logger) *Store {
	s := &Store{log: log}
	for _, entry := range environ {
		switch name, value, _ := strings.Cut(entry, "="); name {
		case "NOTIFY_SOCKET":
			if value != "" {
				s.to = &net.UnixAddr{Name: value, Net: "unixgram"}
			}
		case "FDSTORE": // from systemd 254 on: how many descriptors it takes
			n, err := strconv.Atoi(value)
			s.told = err == nil && n > 0
		}
	}
	return s
}

// Wanted reports whether there is a service manager.
func (s *Store) Wanted() bool { return s.to != nil }

// Told reports whether the service manager has said that it has a store.
func (s *Store) Told() bool { return s.to != nil && s.told }

// Keep stores a descriptor under a name, in which only letters, digits, points and underscores may
// be, and reports whether the service manager was told. A descriptor of the same socket that is in
// the store already stays there alone.
func (s *Store) Keep(name string, fd int) bool {
	return s.tell("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fd))
}

// Drop removes the descriptors of that name from the store.
func (s *Store) Drop(name string) { s.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil) }

// tell sends one datagram. That it fails is logged once, until it works again.
func (s *Store) tell(text string, rights []byte) bool {
	if s.to == nil {
		return false
	}
	err := s.send(text, rights)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.failing {
		what, name, _ := strings.Cut(text, "\n")
		s.log.Warn("service manager cannot be told, a restart may lose clients", "state", what, "name", name, "error", err)
	}
	s.failing = err != nil
	return err == nil
}

func (s *Store) send(text string, rights []byte) error {
	conn, err := net.DialUnix(s.to.Net, nil, s.to)
	if err != nil {
		return err
	}
	defer conn.Close() // what was written has been sent
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	raw, err := conn.SyscallConn() // WriteMsgUnix refuses a socket that is connected
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(to uintptr) bool {
		failed = unix.Sendmsg(int(to), []byte(text), rights, nil, unix.MSG_NOSIGNAL)
		return failed != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("sendmsg", failed)
}

// firstFD is the first descriptor that a service manager passes (sd_listen_fds(3)).
const firstFD = 3

// Take returns the descriptors that the service manager passed to this process, which are the
// caller's from then on and reach no program that is executed, and environ, which has the form of
// os.Environ, without what says so. Descriptors that were meant for another process are left alone.
func Take(environ []string) (passed []Stored, rest []string) {
	asked := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		asked[name] = value
	}
	rest = slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "LISTEN_FDS" || name == "LISTEN_PID" || name == "LISTEN_FDNAMES" || name == "LISTEN_PIDFDID"
	})
	n, err := strconv.ParseUint(asked["LISTEN_FDS"], 10, 16)
	if err != nil || asked["LISTEN_PID"] != strconv.Itoa(os.Getpid()) {
		return nil, rest
	}
	var names []string
	if asked["LISTEN_FDNAMES"] != "" {
		names = strings.Split(asked["LISTEN_FDNAMES"], ":")
	}
	for i := range int(n) {
		fd := firstFD + i
		// What was passed came through an exec. The rest is Go's own or ours, where more was promised
		// than passed: to close that would end us.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		unix.CloseOnExec(fd)
		one := Stored{FD: fd}
		if i < len(names) {
			one.Name = names[i]
		}
		passed = append(passed, one)
	}
	return passed, rest
}
