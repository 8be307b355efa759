package control

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// A process with no_new_privs and a seccomp filter more than we have is one in a box.
func TestProcessInASandboxMayNotCommandUs(t *testing.T) {
	t.Parallel()
	const name = "^TestProcessInASandboxMayNotCommandUs$"
	if os.Getenv("TEST_CONTROL_FILTER") != "" { // a process between: the filter may stay on its main thread
		ours, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		args := []string{ours, "-test.run", name}
		if os.Getenv("TEST_CONTROL_SERVED") == "" {
			args = append([]string{"setpriv", "--no-new-privs"}, args...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "TEST_CONTROL_FILTER=", "GORACE=atexit_sleep_ms=0")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := oldkernel.Start(cmd, oldkernel.Inotify); err != nil { // any filter will do
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		return
	}
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
	kinds := [][]string{
		{"TEST_CONTROL_FILTER=1"},
		{"TEST_CONTROL_SERVED=1"}, // whoever comes after one in a sandbox
	}
	if os.Geteuid() == 0 { // others need no_new_privs for a filter
		kinds = append(kinds, []string{"TEST_CONTROL_FILTER=1", "TEST_CONTROL_SERVED=1"}) // a container's filter is no box
	}
	for _, kind := range kinds {
		cmd := exec.Command("/proc/self/exe", "-test.run", name)
		cmd.Env = append(os.Environ(), append(kind, "TEST_CONTROL_SOCKET="+filepath.Join(dir, "control.sock"), "GORACE=atexit_sleep_ms=0")...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, text)
		}
	}
}
