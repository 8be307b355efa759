package oldkernel

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "try" {
		for _, f := range All() {
			fmt.Printf("%s: %v\n", f, try(f))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// try uses a feature and returns the kernel's error, 0 if it does not refuse the feature as
// unknown.
func try(f Feature) unix.Errno {
	call := func(trap uintptr, a ...uintptr) unix.Errno {
		for len(a) < 6 {
			a = append(a, 0)
		}
		_, _, e := unix.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
		return e
	}
	// Wrong descriptors and addresses, so that nothing is done: only the refusal counts.
	const none = ^uintptr(0)
	switch f {
	case PidfdGetfd:
		return call(unix.SYS_PIDFD_GETFD, none, 0, 0)
	case CloneInto:
		return call(unix.SYS_CLONE3, 0, 0)
	case CloseRange:
		return call(unix.SYS_CLOSE_RANGE, 1<<20, 1<<20, 0)
	case PidfdNonblock:
		return call(unix.SYS_PIDFD_OPEN, uintptr(os.Getpid()), unix.PIDFD_NONBLOCK)
	case Landlock:
		return call(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	case PidfdSignalGroup:
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err != nil {
			return err.(unix.Errno)
		}
		return call(unix.SYS_PIDFD_SEND_SIGNAL, uintptr(fd), 0, 0, 1<<2)
	case PidfdExitStatus:
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err != nil {
			return err.(unix.Errno)
		}
		info := [8]uint64{1 << 3}
		return call(unix.SYS_IOCTL, uintptr(fd), 0xC040FF0B, uintptr(unsafe.Pointer(&info)))
	case SockDiag:
		return call(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG)
	case CollapseRange:
		return call(unix.SYS_FALLOCATE, none, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096)
	case TmpFile:
		_, err := unix.Openat(-1, "none", unix.O_TMPFILE|unix.O_RDWR, 0)
		return err.(unix.Errno)
	case Inotify:
		return call(unix.SYS_INOTIFY_INIT1, 0)
	}
	panic("a feature without a try")
}

// Whoever asks what holds for our process is told of its main thread.
func TestOurselvesAreNotOnAnOldKernel(t *testing.T) {
	t.Parallel()
	program, err := compile([]Feature{Inotify})
	if err != nil {
		t.Skip(err)
	}
	var on sync.Map
	for range 300 {
		err := onThreadOfItsOwn(func() error {
			on.Store(unix.Gettid(), true)
			return install(program)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, is := on.Load(unix.Getpid()); is {
		t.Error("a filter is on the main thread")
	}
}

func TestOnlyWhatIsNamedIsRefused(t *testing.T) {
	t.Parallel()
	answers := func(without ...Feature) []string {
		t.Helper()
		cmd := exec.Command("/proc/self/exe", "try")
		cmd.Stderr = os.Stderr
		// otherwise it sleeps for a second at its end
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
		var out strings.Builder
		cmd.Stdout = &out
		if err := Start(cmd, without...); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	all := answers()
	if len(all) != len(All()) {
		t.Fatalf("%q", all)
	}
	for _, f := range All() {
		want := fmt.Sprintf("%s: %v", f, f.rules()[0].err)
		if all[f] == want {
			t.Logf("this kernel lacks %s itself, or returns the same error for another reason", f)
		}
		for g, got := range answers(f) {
			if Feature(g) == f && got != want {
				t.Errorf("without %s: %s, want %s", f, got, want)
			}
			if Feature(g) != f && got != all[g] {
				t.Errorf("without %s: %s, want %s", f, got, all[g])
			}
		}
	}
	for f, got := range answers(All()...) {
		if want := fmt.Sprintf("%s: %v", Feature(f), Feature(f).rules()[0].err); got != want {
			t.Errorf("without any: %s, want %s", got, want)
		}
	}
	if err := Start(exec.Command("/bin/true"), features); err == nil {
		t.Error("Start accepts a feature that does not exist")
	}
}

func TestOurOwnKernelStaysAsItIs(t *testing.T) {
	t.Parallel()
	before := try(PidfdGetfd)
	cmd := exec.Command("/bin/true")
	if err := Start(cmd, PidfdGetfd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if after := try(PidfdGetfd); after != before {
		t.Errorf("pidfd_getfd returned %v and returns %v", before, after)
	}
}
