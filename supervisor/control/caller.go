package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NoGroup is no group: only root and the supervisor's own user may connect.
const NoGroup = -1

// Caller is who sent a request, as the kernel recorded it when they connected (SO_PEERCRED and
// SO_PEERGROUPS, unix(7)).
type Caller struct {
	UID    int
	Groups []int  // all of them, the primary one first
	Login  string // who logged in, where that is another user than UID: behind sudo; or ""
}

// String names the caller for people: "alice (uid 1000)", "root (uid 0), logged in as alice".
func (c Caller) String() string {
	name := "uid " + strconv.Itoa(c.UID)
	if u, err := user.LookupId(strconv.Itoa(c.UID)); err == nil {
		name = u.Username + " (" + name + ")"
	}
	if c.Login != "" {
		name += ", logged in as " + c.Login
	}
	return name
}

// callerOf returns who is at the other end of a connection.
func callerOf(conn net.Conn) (Caller, error) {
	fail := func(err error) (Caller, error) { return Caller{}, fmt.Errorf("ask who connected: %w", err) }
	if h, ok := conn.(*handing); ok {
		conn = h.UnixConn
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return fail(fmt.Errorf("%T is not a unix socket", conn))
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return fail(err)
	}
	var cred *unix.Ucred
	var credErr error
	var groups []int
	err = raw.Control(func(fd uintptr) {
		if cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); credErr == nil {
			groups = append([]int{int(cred.Gid)}, peerGroups(int(fd))...)
		}
	})
	if err = errors.Join(err, os.NewSyscallError("getsockopt", credErr)); err != nil {
		return fail(err)
	}
	return Caller{UID: int(cred.Uid), Groups: groups, Login: login(int(cred.Pid), int(cred.Uid))}, nil
}

// maxGroups is the kernel's limit of supplementary groups, NGROUPS_MAX of linux/limits.h.
const maxGroups = 65536

// peerGroups returns the supplementary groups of who connected, none where the kernel cannot say
// (SO_PEERGROUPS, Linux 4.13).
func peerGroups(fd int) []int {
	for room := 64; room <= maxGroups; room *= 32 {
		ids := make([]uint32, room)
		size := uint32(len(ids) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&ids[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == unix.ERANGE {
			continue
		}
		if errno != 0 {
			return nil
		}
		groups := make([]int, size/4)
		for i := range groups {
			groups[i] = int(ids[i])
		}
		return groups
	}
	return nil
}

// login returns the user that a process descends from the login of, where that is not uid, as the
// kernel's audit keeps it (proc_pid_loginuid(5)); "" where nobody logged in, or it is not known. It
// is for people to read: the process may have ended by now, and its number be another's.
func login(pid, uid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", pid))
	if err != nil {
		return ""
	}
	id := strings.TrimSpace(string(text))
	if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == 1<<32-1 || int(n) == uid {
		return ""
	}
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// access says who may do what over the control socket.
type access struct {
	own     int           // our user, which may do everything, as root may
	readers *atomic.Int64 // group whose members may read, or NoGroup
}

// mayRead returns why a caller may not look, or nil.
func (a access) mayRead(c Caller) error {
	if a.mayWrite(c) == nil {
		return nil
	}
	if group := int(a.readers.Load()); group != NoGroup && slices.Contains(c.Groups, group) {
		return nil
	}
	return fmt.Errorf("%v may not look: only root, the supervisor's own user (uid %d) and members of control_group", c, a.own)
}

// mayWrite returns why a caller may not change anything, or nil.
func (a access) mayWrite(c Caller) error {
	if c.UID == 0 || c.UID == a.own {
		return nil
	}
	return fmt.Errorf("%v may not do this: only root and the supervisor's own user (uid %d)", c, a.own)
}

type connKey struct{}

// guard lets a request pass, with its caller as Who of its context, or refuses it.
func (a access) guard(ctx context.Context, write bool) (context.Context, error) {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return ctx, errors.New("only for clients of the control socket")
	}
	c, err := callerOf(conn)
	if err != nil {
		return ctx, err
	}
	if write {
		err = a.mayWrite(c)
	} else {
		err = a.mayRead(c)
	}
	return WithWho(ctx, c.String()), err
}

type whoKey struct{}

// WithWho returns a context of a request that the person who caused.
func WithWho(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, whoKey{}, who)
}

// Who names the person who caused a request; "" if nobody is known.
func Who(ctx context.Context) string {
	who, _ := ctx.Value(whoKey{}).(string)
	return who
}
