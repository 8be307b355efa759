package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// outside is what a process in a box tries to reach.
type outside struct {
	Secret, Elsewhere string // a file, and a folder to write in
	Own, Other        string // folders that it may write in
	Pid               int    // of a process of its own user
	Abstract          string // address of a socket
	Open, Closed      int    // TCP ports that are listened on; only one may be used
}

// printAttempts is a program that tries all of it, and prints what became of each attempt.
func printAttempts(args []string) error {
	var o outside
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	call := func(nr uintptr, args ...uintptr) error {
		args = append(args, make([]uintptr, 6)...)
		if _, _, e := syscall.Syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]); e != 0 {
			return e
		}
		return nil
	}
	open := func(path string, flags int) error {
		f, err := os.OpenFile(path, flags, 0o600)
		if err == nil {
			f.Close()
		}
		return err
	}
	dial := func(network, address string) error {
		c, err := net.Dial(network, address)
		if err == nil {
			c.Close()
		}
		return err
	}
	local := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	socket := func(family, kind, protocol int) error {
		fd, err := unix.Socket(family, kind, protocol)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	var one [16]uint64
	room := uintptr(unsafe.Pointer(&one))
	root, err := unix.BytePtrFromString("/")
	if err != nil {
		return err
	}
	slash := uintptr(unsafe.Pointer(root))
	proc := "/proc/" + strconv.Itoa(o.Pid)
	tried := map[string]error{
		"read a file outside":              open(o.Secret, os.O_RDONLY),
		"read what only root may":          open("/etc/shadow", os.O_RDONLY),
		"write outside":                    open(filepath.Join(o.Elsewhere, "new"), os.O_CREATE|os.O_WRONLY),
		"list a folder outside":            open(o.Elsewhere, os.O_RDONLY),
		"read another's environment":       open(proc+"/environ", os.O_RDONLY),
		"make a device":                    unix.Mknod(filepath.Join(o.Own, "device"), unix.S_IFCHR|0o600, 1<<8|3),
		"shorten the log":                  unix.Ftruncate(1, 0),
		"open the log to shorten it":       open("/proc/self/fd/1", os.O_WRONLY|os.O_TRUNC),
		"cut the log's beginning off":      unix.Fallocate(1, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
		"read the log":                     open("/proc/self/fd/1", os.O_RDONLY),
		"signal a process outside":         unix.Kill(o.Pid, 0),
		"limit a process outside":          call(unix.SYS_PRLIMIT64, uintptr(o.Pid), unix.RLIMIT_CPU, 0, room),
		"trace a process outside":          call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(o.Pid)),
		"read another's memory":            call(unix.SYS_PROCESS_VM_READV, uintptr(o.Pid), room, 1, room, 1),
		"take a descriptor":                call(unix.SYS_PIDFD_GETFD, 0),
		"mount":                            unix.Mount("none", o.Own, "tmpfs", 0, ""),
		"unmount":                          unix.Unmount("/proc", 0),
		"change the root":                  call(unix.SYS_CHROOT, slash),
		"load a module":                    call(unix.SYS_FINIT_MODULE, 0),
		"load a kernel":                    call(unix.SYS_KEXEC_LOAD, 0),
		"use keys":                         call(unix.SYS_KEYCTL, 0),
		"load a bpf program":               call(unix.SYS_BPF, 0, room, 48),
		"watch events":                     call(unix.SYS_PERF_EVENT_OPEN, room),
		"handle page faults":               call(unix.SYS_USERFAULTFD, 0),
		"open by handle":                   call(unix.SYS_OPEN_BY_HANDLE_AT, 0, room),
		"make a user namespace":            call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"fork into a user namespace":       call(unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_FS|uintptr(unix.SIGCHLD)),
		"use io_uring":                     call(unix.SYS_IO_URING_SETUP, 1, room),
		"type into the terminal":           call(unix.SYS_IOCTL, 0, unix.TIOCSTI, room),
		"connect to an abstract socket":    dial("unix", o.Abstract),
		"connect to a port":                dial("tcp", local(o.Closed)),
		"listen on a port":                 func() error { _, err := net.Listen("tcp4", "127.0.0.1:0"); return err }(),
		"go around by MPTCP":               socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
		"connect to a port that is listed": dial("tcp", local(o.Open)),
		"read the system":                  open("/etc/hosts", os.O_RDONLY),
		"write in its folder":              os.WriteFile(filepath.Join(o.Own, "a"), []byte("a"), 0o600),
		"shorten a file of its own":        os.Truncate(filepath.Join(o.Own, "a"), 0),
		"move a file between its folders":  os.Rename(filepath.Join(o.Own, "a"), filepath.Join(o.Other, "a")),
		"share memory":                     func() error { f, err := os.CreateTemp("/dev/shm", "box-test"); os.Remove(f.Name()); return err }(),
		"write to the log":                 func() error { _, err := os.Stdout.WriteString("said\n"); return err }(),
		"open the log to append":           open("/dev/stdout", os.O_WRONLY|os.O_APPEND),
		"run a program":                    exec.Command("/bin/sh", "-c", "true | true").Run(),
		"throw away":                       os.WriteFile("/dev/null", []byte("x"), 0),
	}
	said := map[string]string{"uid": strconv.Itoa(os.Getuid())}
	caps, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&caps, &data[0]); err != nil {
		return err
	}
	said["may look into all processes"] = strconv.FormatBool(data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0 || data[1].Effective&(1<<(unix.CAP_PERFMON-32)) != 0)
	for what, err := range tried {
		var errno syscall.Errno
		switch {
		case err == nil:
			said[what] = "done"
		case errors.As(err, &errno):
			said[what] = unix.ErrnoName(errno)
		default:
			said[what] = err.Error()
		}
	}
	text, err := json.Marshal(said)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.Own, "said"), text, 0o600)
}

// boxOf makes a box in which this test's program runs. It skips the test where the kernel has none.
func boxOf(t testing.TB, p sandbox.Policy) *Box {
	t.Helper()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.Read = append(p.Read, program)
	ruleset, err := p.Ruleset()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ruleset.Close() })
	return &Box{Ruleset: ruleset, Filter: sandbox.Filter(p.Connect != nil || p.Bind != nil), Reopen: p.Log != ""}
}

// TestBoxKeepsAProcessFromAllThatIsNotItsOwn has a program try it, as root where we are and as
// somebody else.
func TestBoxKeepsAProcessFromAllThatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	users := map[string]*Credential{"own user": nil}
	if os.Geteuid() == 0 {
		users["other user"] = &Credential{UID: 65001, GID: 65001}
	}
	for name, user := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWay(t, func(t *testing.T, tb *Table) { testAttempts(t, tb, user, true) })
		})
	}
}

// Without the box the same attempts succeed: it is what refuses them.
func TestWithoutABoxTheAttemptsSucceed(t *testing.T) {
	t.Parallel()
	testAttempts(t, newTable(t), nil, false)
}

func testAttempts(t *testing.T, tb *Table, user *Credential, boxed bool) {
	kernel, err := sandbox.Here()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "box")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	o := outside{Secret: filepath.Join(dir, "secret"), Elsewhere: filepath.Join(dir, "elsewhere"),
		Own: filepath.Join(dir, "own"), Other: filepath.Join(dir, "other")}
	log := filepath.Join(dir, "log")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(o.Secret, []byte("secret"), 0o644), os.WriteFile(log, []byte(strings.Repeat("before\n", 2000)), 0o640),
		os.Mkdir(o.Elsewhere, 0o700), os.Mkdir(o.Own, 0o700), os.Mkdir(o.Other, 0o700))
	if err == nil && user != nil {
		uid, gid := int(user.UID), int(user.GID)
		err = errors.Join(os.Chown(o.Elsewhere, uid, gid), os.Chown(o.Own, uid, gid), os.Chown(o.Other, uid, gid), os.Chown(o.Secret, uid, gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	listen := func(network, address string) net.Listener {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	o.Open, o.Closed = port(listen("tcp4", "127.0.0.1:0")), port(listen("tcp4", "127.0.0.1:0"))
	o.Abstract = listen("unix", "@box-test-"+strconv.Itoa(o.Open)).Addr().String()
	neighbour := sh(t, "exec sleep 1000000")
	neighbour.User, neighbour.Dir = user, "/"
	o.Pid = spawn(t, tb, neighbour).Pid()

	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	s := sh(t, "")
	s.Argv, s.User, s.Dir, s.Stdout = []string{program, "attempts", string(text)}, user, "/", output
	// The program may lie where only we get to it.
	for at := filepath.Dir(program); user != nil && strings.HasPrefix(at, os.TempDir()+"/"); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !boxed {
		testUnboxed(t, tb, s, o)
		return
	}
	s.Box = boxOf(t, sandbox.Policy{
		Write: []string{o.Own, o.Other}, Log: fmt.Sprintf("/proc/self/fd/%d", output.Fd()),
		AsRoot: user == nil && os.Geteuid() == 0, Connect: &[]uint16{uint16(o.Open)}, Bind: &[]uint16{},
	})
	if e := spawn(t, tb, s).wait(); !e.Clean() {
		t.Fatal(e, lines(t, log))
	}
	said := o.said(t)
	uid := os.Getuid()
	if user != nil {
		uid = int(user.UID)
	}
	want := map[string]string{
		"uid":                 strconv.Itoa(uid),
		"read a file outside": "EACCES", "read what only root may": "EACCES", "write outside": "EACCES", "list a folder outside": "EACCES",
		"read another's environment": "EACCES", "make a device": "EACCES", "read the log": "EACCES",
		"shorten the log": "EACCES", "open the log to shorten it": "EACCES", "cut the log's beginning off": "ENOTSUP", // the same as EOPNOTSUPP
		"signal a process outside": "EPERM", "limit a process outside": "EPERM", "trace a process outside": "EPERM", "read another's memory": "EPERM", "take a descriptor": "EPERM",
		"mount": "EPERM", "unmount": "EPERM", "change the root": "EPERM", "load a module": "EPERM", "load a kernel": "EPERM",
		"use keys": "EPERM", "load a bpf program": "EPERM", "watch events": "EPERM", "handle page faults": "EPERM", "open by handle": "EPERM",
		"make a user namespace": "EPERM", "fork into a user namespace": "EPERM", "use io_uring": "ENOSYS", "type into the terminal": "EPERM",
		"connect to an abstract socket": "EPERM", "connect to a port": "EACCES", "listen on a port": "EACCES", "go around by MPTCP": "EPROTONOSUPPORT",
		"connect to a port that is listed": "done", "read the system": "done", "write in its folder": "done", "shorten a file of its own": "done",
		"move a file between its folders": "done", "share memory": "done", "write to the log": "done", "open the log to append": "done",
		"run a program": "done", "throw away": "done",
	}
	if user != nil {
		want["open the log to append"] = "EACCES" // by its mode
	}
	if said["may look into all processes"] == "true" { // a capability leads around Landlock there
		delete(want, "read another's environment")
	}
	lacks := func(what string, attempts ...string) {
		for _, lack := range kernel.Lacks() {
			if strings.HasPrefix(lack, what) {
				for _, attempt := range attempts {
					delete(want, attempt)
				}
			}
		}
	}
	lacks("shortening", "shorten the log")
	lacks("TCP", "connect to a port", "listen on a port")
	lacks("signals", "signal a process outside", "connect to an abstract socket")
	for what, w := range want {
		if said[what] != w {
			t.Errorf("%s: %s, want %s", what, said[what], w)
		}
	}
	// A program that is measured says so itself where its measurements are lost.
	measured := func(line string) bool { return testing.CoverMode() != "" && strings.Contains(line, "GOCOVERDIR") }
	if got := slices.DeleteFunc(lines(t, log), measured); got[0] != "before" || len(got) != 2001 || got[2000] != "said" {
		t.Errorf("the log has %d lines, the first %q, the last %q", len(got), got[0], got[len(got)-1])
	}
}

// said is what became of the attempts.
func (o outside) said(t *testing.T) map[string]string {
	t.Helper()
	said := map[string]string{}
	data, err := os.ReadFile(filepath.Join(o.Own, "said"))
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func testUnboxed(t *testing.T, tb *Table, s Spec, o outside) {
	if e := spawn(t, tb, s).wait(); !e.Clean() {
		t.Fatal(e)
	}
	said := o.said(t)
	for _, what := range []string{
		"read a file outside", "write outside", "list a folder outside", "read another's environment", "shorten the log", "open the log to shorten it",
		"signal a process outside", "limit a process outside", "connect to an abstract socket", "connect to a port", "listen on a port", "run a program",
	} {
		if said[what] != "done" {
			t.Errorf("%s: %s", what, said[what])
		}
	}
}

func TestStartInABoxThatCannotBeMadeSaysSo(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, "true")
		s.Box = &Box{}
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "its box has no ruleset") {
			t.Errorf("a box without a ruleset: %v", err)
		}
		null, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		s.Box = &Box{Ruleset: null}
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "enter its sandbox") {
			t.Errorf("a ruleset that is none: %v", err)
		}
		s.Box = boxOf(t, sandbox.Policy{})
		s.Box.Filter = []unix.SockFilter{{Code: 0xffff}}
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "refuse it system calls") {
			t.Errorf("a filter that is none: %v", err)
		}
		log, err := os.OpenFile(filepath.Join(t.TempDir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		s.Box = boxOf(t, sandbox.Policy{})
		s.Box.Reopen, s.Stdout = true, log
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), "open its log in the sandbox: permission denied") {
			t.Errorf("a log outside of the box: %v", err)
		}
	})
}

// TestNoLandlockIsSaid on a kernel without it.
func TestNoLandlockIsSaid(t *testing.T) {
	t.Parallel()
	if os.Getenv(onOldKernel) != "" {
		if _, err := sandbox.Here(); err == nil || !strings.Contains(err.Error(), "Linux 5.13") {
			t.Errorf("says %v", err)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestNoLandlockIsSaid$")
	cmd.Env = append(os.Environ(), onOldKernel+"=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := oldkernel.Start(cmd, oldkernel.Landlock); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
