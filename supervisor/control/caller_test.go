package control

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestGroupMayReadAndNobodyElse(t *testing.T) {
	t.Parallel()
	var readers atomic.Int64
	a := access{own: 100, readers: &readers}
	readers.Store(NoGroup)
	for _, try := range []struct {
		caller        Caller
		readers       int64
		reads, writes bool
	}{
		{Caller{UID: 0, Groups: []int{0}}, NoGroup, true, true},
		{Caller{UID: 100, Groups: []int{100}}, NoGroup, true, true},
		{Caller{UID: 7, Groups: []int{100}}, NoGroup, false, false},
		{Caller{UID: 7, Groups: []int{7, 50}}, 50, true, false},
		{Caller{UID: 7, Groups: []int{50}}, 50, true, false},
		{Caller{UID: 7, Groups: []int{7, 51}}, 50, false, false},
		{Caller{UID: 7, Groups: nil}, 0, false, false},
	} {
		readers.Store(try.readers)
		if err := a.mayRead(try.caller); (err == nil) != try.reads {
			t.Errorf("%+v reads, group %d: %v", try.caller, try.readers, err)
		}
		if err := a.mayWrite(try.caller); (err == nil) != try.writes {
			t.Errorf("%+v writes, group %d: %v", try.caller, try.readers, err)
		}
	}
}

func TestCallerIsWhoTheKernelSaysConnected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := callerOf(conn)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]int{os.Getegid()}, groups...); c.UID != os.Geteuid() || !slices.Equal(c.Groups, want) {
		t.Errorf("caller %+v, want user %d with groups %v", c, os.Geteuid(), want)
	}
	if want := fmt.Sprintf("(uid %d)", os.Geteuid()); !strings.Contains(c.String(), want) {
		t.Errorf("named %q, want %q in it", c, want)
	}
	if _, err := callerOf(struct{ net.Conn }{conn}); err == nil {
		t.Error("what is no unix socket has a caller")
	}
}

// asClient makes this program a client of the control socket that it names.
const asClient = "MEDCTRL_TEST_CLIENT"

// TestClientOfAnotherUser is what TestMembersOfTheGroupMayLook runs as other users.
func TestClientOfAnotherUser(t *testing.T) {
	path := os.Getenv(asClient)
	if path == "" {
		t.Skip("is run by TestMembersOfTheGroupMayLook")
	}
	c := Client{Socket: path}
	_, err := c.Status(t.Context())
	fmt.Println("status:", err)
	_, err = c.Act(t.Context(), "development", "stop", nil, nil)
	fmt.Println("stop:", err)
}

func TestMembersOfTheGroupMayLook(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	const group, stranger = 65061, 65062
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil { // the test's, not the one that is looked at
		t.Fatal(err)
	}
	program = filepath.Join(dir, "client")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c")
	ln, err := Listen(path, group)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{feed: NewFeed(nil)}
	t.Cleanup(serveOn(t, ln, f))
	as := func(cred syscall.Credential) string {
		t.Helper()
		cmd := exec.Command(program, "-test.run", "^TestClientOfAnotherUser$", "-test.v")
		cmd.Env, cmd.Dir = []string{asClient + "=" + path}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &cred}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("client: %v: %s", err, out)
		}
		return string(out)
	}
	for what, cred := range map[string]syscall.Credential{
		"primary group":       {Uid: stranger, Gid: group},
		"supplementary group": {Uid: stranger, Gid: stranger, Groups: []uint32{stranger, group}},
	} {
		said := as(cred)
		if !strings.Contains(said, "status: <nil>") || !strings.Contains(said, "stop: uid 65062 may not do this") && !strings.Contains(said, "(uid 65062) may not do this") {
			t.Errorf("%s: %s", what, said)
		}
	}
	said := as(syscall.Credential{Uid: stranger, Gid: stranger})
	if strings.Contains(said, "<nil>") || !strings.Contains(said, "permission denied") {
		t.Errorf("stranger: %s", said)
	}
	// Whoever loosens the modes lets nobody in.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	said = as(syscall.Credential{Uid: stranger, Gid: stranger})
	if strings.Contains(said, "<nil>") || !strings.Contains(said, "may not look: only root") {
		t.Errorf("stranger, with a loosened mode: %s", said)
	}
	// A group that is taken back loses its right at once, also where it may connect still.
	ln.SetReaders(NoGroup)
	said = as(syscall.Credential{Uid: stranger, Gid: group})
	if strings.Contains(said, "<nil>") || !strings.Contains(said, "may not look") {
		t.Errorf("member of the group from before: %s", said)
	}
	if err := ln.Restore(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if len(f.acted) != 0 {
		t.Errorf("acted: %v", f.acted)
	}
}

func TestLoginOfNobodyIsNone(t *testing.T) {
	t.Parallel()
	if got := login(-1, 0); got != "" {
		t.Errorf("login of a process that does not exist: %q", got)
	}
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	uid, err := strconv.Atoi(me.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if got := login(os.Getpid(), uid); got == me.Username {
		t.Errorf("%q logged in as themselves", got)
	}
}
