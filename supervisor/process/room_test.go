package process

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRoomForDescriptorsIsMadeAtOnce(t *testing.T) {
	t.Parallel()
	const n = 1500
	if err := MakeRoom(n); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.Atoi(string(regexp.MustCompile(`FDSize:\s+(\d+)`).FindSubmatch(status)[1]))
	if err != nil || size <= n {
		t.Errorf("the kernel has a table of %d descriptors (%v), want more than %d", size, err, n)
	}
	if _, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(n)); err == nil {
		t.Errorf("descriptor %d is left open", n)
	}
}

func TestRoomBeyondTheLimitIsAnError(t *testing.T) {
	t.Parallel()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := MakeRoom(int(limit.Max)); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("room for %d descriptors: %v, want EINVAL", limit.Max, err)
	}
}
