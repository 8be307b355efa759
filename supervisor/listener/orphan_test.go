package listener

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	acts := map[string]func([]string) error{"supervise": actSupervise, "serve": actServe, "move": actMove, "image": actImage, "recover": actRecover}
	if len(os.Args) > 1 && acts[os.Args[1]] != nil {
		if err := acts[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// actSupervise stands in for a supervisor that is going to be killed: it makes a listener and a
// child that serves on it.
func actSupervise(args []string) error {
	l, err := Bind(args[0], keep)
	if err != nil {
		return err
	}
	child := exec.Command(args[1], args[2:]...)
	child.ExtraFiles = []*os.File{l.File()}
	child.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	// What acceptSoon may leave behind when it is killed in the middle.
	if err := unix.SetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1}); err != nil {
		return err
	}
	fmt.Println(l.Inode(), child.Process.Pid)
	select {}
}

// actServe does as gunicorn does: the listener gets another number and becomes non-blocking.
func actServe([]string) error {
	const fd = 17
	if err := unix.Dup3(3, fd, 0); err != nil {
		return err
	}
	unix.Close(3)
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
			return err
		}
		c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			continue
		}
		// The client may have gone.
		_, _ = unix.Write(c, []byte("served"))
		unix.Close(c)
	}
}

// actMove gives its listener another number again and again, as a server does when it starts.
func actMove([]string) error {
	for from, to := 3, 801; ; {
		if err := unix.Dup3(from, to, 0); err != nil {
			return err
		}
		unix.Close(from)
		from, to = to, 801+802-to
		_, _ = unix.Poll(nil, 1) // a millisecond
	}
}

// orphaned makes a listener at path whose supervisor was killed and whose child serves on.
func orphaned(t testing.TB, path string, argv ...string) (inode uint64, child int) {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{"/proc/self/exe", "serve"}
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"supervise", path}, argv...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = fmt.Fscan(bufio.NewReader(out), &inode, &child)
	cmd.Process.Kill() // kill -9; it runs until then
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(-child, unix.SIGKILL) }) // its group is its own
	return inode, child
}

// served reports whether the child serves a client.
func served(t testing.TB, path string) bool {
	t.Helper()
	answer, err := io.ReadAll(dial(t, path))
	if err != nil {
		t.Error(err)
	}
	return string(answer) == "served"
}

func end(t testing.TB, pid int) {
	t.Helper()
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has ended", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// shortAndLong runs a test in a folder whose path a socket address holds, and in one that is too long
// for that.
func shortAndLong(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	for name, sub := range map[string]string{"": "", "long path": strings.Repeat("long", 40)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(short(t), sub)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			test(t, dir)
		})
	}
}
