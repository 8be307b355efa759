package process

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// makesNoDevices is a Landlock ruleset under which all is allowed but to make block devices, or nil
// where the kernel has none.
func makesNoDevices(t *testing.T) *os.File {
	t.Helper()
	handled := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK)
	fd, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&handled)), unsafe.Sizeof(handled), 0)
	if errno != 0 {
		t.Logf("no rulesets here: %v", errno)
		return nil
	}
	f := os.NewFile(fd, "ruleset")
	t.Cleanup(func() { f.Close() })
	return f
}

// An exec step has no other way to say what went wrong than a step and an error number: each must be
// the right one, as the message that people read is made of them.
func TestExecStepSaysWhatCouldNotBeDone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ruleset := makesNoDevices(t)
	allow := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	// All that it can do, up to a program that is not there.
	all := order{
		Path: []byte("/nowhere/program"), Argv: toBytes([]string{"program"}), Dir: []byte(dir), Umask: 0o027, NoNewPrivs: true, NoCapabilities: true, Listen: true,
		OOM: []byte("500"), Cookie: 1 << 61, Rlimits: []Rlimit{{unix.RLIMIT_CORE, 0, 0}}, Filter: allow, Cgroup: []byte("/nowhere/cgroup"),
	}
	but := func(change func(*order)) order {
		o := all
		change(&o)
		return o
	}
	becomes := struct {
		at    step
		errno syscall.Errno
	}{stepExec, unix.ENOENT}
	if os.Geteuid() != 0 {
		becomes.at, becomes.errno = stepGroups, unix.EPERM
	}
	for name, c := range map[string]struct {
		order any
		args  []string
		box   *os.File
		at    step
		errno syscall.Errno // 0: whatever the kernel says
	}{
		"program is not there": {all, nil, nil, stepExec, unix.ENOENT},
		"called by hand":       {all, []string{"--help"}, nil, stepSetup, unix.EINVAL},
		"order is none":        {"what is this", nil, nil, stepSetup, unix.EINVAL},
		"its limits' cgroup":   {but(func(o *order) { o.Groups = toBytes([]string{dir + "/cgroup"}) }), nil, nil, stepLimits, unix.ENOENT},
		"a limit":              {but(func(o *order) { o.Rlimits = []Rlimit{{unix.RLIMIT_CORE, 2, 1}} }), nil, nil, stepRlimits, unix.EINVAL},
		"its folder":           {but(func(o *order) { o.Dir = []byte(dir + "/nowhere") }), nil, nil, stepDir, unix.ENOENT},
		"a terminal":           {but(func(o *order) { o.Terminal = true }), nil, nil, stepTerminal, unix.ENOTTY},
		"a filter":             {but(func(o *order) { o.Filter = []unix.SockFilter{{Code: 0xffff}} }), nil, nil, stepFilter, unix.EINVAL},
		"no sandbox":           {but(func(o *order) { o.Boxed = true }), nil, null, stepBox, 0},
		"a sandbox":            {but(func(o *order) { o.Boxed, o.Reopen = true, true }), nil, ruleset, stepExec, unix.ENOENT},
		"ourselves":            {but(func(o *order) { o.User = &Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())} }), nil, nil, becomes.at, becomes.errno},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "a sandbox" && c.box == nil {
				t.Skip("the kernel has no Landlock")
			}
			at, errno := stepped(t, c.order, c.args, null, log, c.box)
			if at != c.at || errno != c.errno && c.errno != 0 || errno == 0 {
				t.Errorf("step %d, %v, want step %d, %v", at, errno, c.at, c.errno)
			}
		})
	}
}

// stepped runs an exec step that fails, and returns what it says.
func stepped(t *testing.T, o any, args []string, null, out, box *os.File) (step, syscall.Errno) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("order", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	given := os.NewFile(uintptr(fd), "order")
	defer given.Close()
	if _, err := given.WriteAt(text, 0); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if box == nil {
		box = null
	}
	cmd := exec.Command(self, append([]string{"exec-step"}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{null, null, null, given, w, box} // from 3 on; see orderFD
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var answer [8]byte
	_, err = io.ReadFull(r, answer[:])
	cmd.Wait() // its exit code is what is checked next
	if code := cmd.ProcessState.ExitCode(); err != nil || code != 253 {
		t.Fatalf("exit %d, reply %v", code, err)
	}
	return step(binary.NativeEndian.Uint32(answer[:])), syscall.Errno(binary.NativeEndian.Uint32(answer[4:]))
}
