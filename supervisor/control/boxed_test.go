package control

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// A process with no_new_privs and a seccomp filter more than we have is one in a box.
func TestProcessInASandboxMayNotCommandUs(t *testing.T) {
	t.Parallel()
	const name = "^TestProcessInASandboxMayNotCommandUs$"
	if path := os.Getenv("TEST_CONTROL_SOCKET"); path != "" { // a client
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		said := make([]byte, 4096)
		n, err := conn.Read(said)
		if os.Getenv("TEST_CONTROL_SERVED") != "" {
			if string(said[:n]) != "served" {
				t.Errorf("a process outside of a sandbox is told %q, %v", said[:n], err)
			}
			return
		}
		if err != nil || !strings.HasPrefix(string(said[:n]), "HTTP/1.1 403 ") || !strings.Contains(string(said[:n]), "in a sandbox") {
			t.Errorf("a process in a sandbox is told %q, %v", said[:n], err)
		}
		return
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("no filters here")
	}
	dir, err := os.MkdirTemp("", "c") // short: a socket's path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ln, err := Listen(filepath.Join(dir, "control.sock"), NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("served")) // the client says whether it arrived
			conn.Close()
		}
	}()
	ours, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := []string{ours, "-test.run", name}
	for _, c := range []struct {
		argv   []string
		filter bool
		served string
	}{
		{append([]string{"setpriv", "--no-new-privs"}, client...), true, ""},
		{client, false, "yes"}, // whoever comes after one in a sandbox
		{client, true, "yes"},  // a container's filter is no box
	} {
		if c.filter && c.served != "" && os.Geteuid() != 0 {
			continue // others need no_new_privs for a filter
		}
		var said bytes.Buffer
		cmd := exec.Command(c.argv[0], c.argv[1:]...)
		cmd.Stdout, cmd.Stderr = &said, &said
		cmd.Env = append(os.Environ(), "TEST_CONTROL_SOCKET="+filepath.Join(dir, "control.sock"), "TEST_CONTROL_SERVED="+c.served, "GORACE=atexit_sleep_ms=0")
		start := cmd.Start
		if c.filter { // any will do
			start = func() error { return oldkernel.Start(cmd, oldkernel.Inotify) }
		}
		if err := start(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q, filter %v: %v\n%s", c.argv, c.filter, err, &said)
		}
	}
}

// The runtime sends signals to its own threads, and one at that moment says nothing of the client.
func TestClientHasNotEndedBecauseOfASignal(t *testing.T) {
	t.Parallel()
	client, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		t.Skipf("this kernel has no pidfd_open(2): %v", err)
	}
	defer unix.Close(client)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	var signals sync.WaitGroup
	defer signals.Wait()
	defer close(done)
	thread := unix.Gettid()
	signals.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := unix.Tgkill(unix.Getpid(), thread, unix.SIGURG); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for n := range 30_000 {
		if hasEnded(client) {
			t.Fatalf("we have ended, when asked for the %dth time", n)
		}
	}
}
