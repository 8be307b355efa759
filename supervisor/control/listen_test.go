package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestNobodyButTheOwnerReachesTheSocket(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for path, want := range map[string]os.FileMode{c.Socket: 0o600, filepath.Dir(c.Socket): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestLeftOverSocketIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	startAt(t, path, &fake{})()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestSocketInUseIsLeftAlone(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	if _, err := Listen(c.Socket, NoGroup); err == nil || !strings.Contains(err.Error(), "another supervisor") {
		t.Errorf("Listen: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the first one: %v", err)
	}
	file := filepath.Join(shortDir(t), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, NoGroup); err == nil {
		t.Error("listens on a file")
	}
	if text, _ := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file holds %q", text)
	}
}

func TestInheritedSocketAnswersWhoConnectedBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	before, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	f, err := before.File()
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := Client{Socket: path}.Status(t.Context())
		waiting <- err
	}()
	before.ln.Close() // as an exec does, the name stays
	after, err := Inherited(f, path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	stop := serveOn(t, after, &fake{})
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestUpgradeIsDoneWhenTheSuccessorAnswers(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	var said []string
	note := func(line string) { said = append(said, line) }
	if _, err := c.Upgrade(t.Context(), note); err == nil || err.Error() != "it does not accept the file" {
		t.Errorf("refused: %v", err)
	}
	if !slices.Equal(said, []string{"checking"}) {
		t.Errorf("progress %q", said)
	}
	f.hold = make(chan struct{})
	close(f.hold)
	if s, err := c.Upgrade(t.Context(), note); err != nil || s.Pid != 812 {
		t.Errorf("executed: %+v, %v", s, err)
	}
}

func TestCommandWhoseSupervisorIsReplacedIsCarriedOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action, upgraded string
		times            int // the command was asked for
	}{
		"after its first step":         {"rebuild", "said", 2},
		"before it":                    {"rebuild", "at once", 2},
		"a stop":                       {"stop", "at once", 2},
		"a rollback":                   {"rollback", "at once", 2},
		"a rollback that was done":     {"rollback", "done", 1}, // another one would go further back
		"none that was not cut off":    {"stop", "", 1},
		"of a rollback the first time": {"rollback", "said", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, cl := start(t)
			var said []string
			args := map[string]string{}
			if c.upgraded != "" {
				args["upgraded"] = c.upgraded
			}
			if _, err := cl.Act(t.Context(), "development", c.action, args, func(line string) { said = append(said, line) }); err != nil {
				t.Error(err)
			}
			if n := f.times(c.action); n != c.times {
				t.Errorf("it was asked for %d times, want %d", n, c.times)
			}
			carried := slices.ContainsFunc(said, func(line string) bool {
				return strings.Contains(line, "its successor goes on with "+c.action+" development")
			})
			if carried != (c.upgraded != "") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

func TestCommandWhoseSupervisorEndsForGoodSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Client{Socket: filepath.Join(t.TempDir(), "none")}
		err := c.carriedOn(t.Context(), "stop one", nil, func(bool) error { return fmt.Errorf("%w: EOF", ErrBrokeOff) })
		if !errors.Is(err, ErrBrokeOff) || !strings.Contains(err.Error(), "stop one: the supervisor ended before it was done") {
			t.Error(err)
		}
	})
}

func TestSuccessorsSocketIsNotRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	stop := startAt(t, path, &fake{})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	defer startAt(t, path, &fake{})()
	stop()
	if _, err := (Client{Socket: path}).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLongPathWorks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), strings.Repeat("d", 120), "control.sock")
	startAt(t, path, &fake{})()
}

func TestNoSupervisorSaysWhereItLooked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	deaf := path + "deaf"
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: deaf, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	for _, p := range []string{path, deaf, filepath.Join(path, "no", "folder")} {
		if _, err := (Client{Socket: p}).Status(t.Context()); !errors.Is(err, ErrNoSupervisor) || !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestServeEndsWhateverItsClientsDo(t *testing.T) {
	t.Parallel()
	f := &fake{feed: NewFeed([]byte(`{"event": "first"}`)), hold: make(chan struct{})}
	path := filepath.Join(shortDir(t), "c")
	stop := startAt(t, path, f)
	idle, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	ended := make(chan error, 2)
	c := Client{Socket: path}
	follows := make(chan struct{})
	go func() {
		ended <- c.Events(context.Background(), true, func(Event) error { close(follows); return nil })
	}()
	acting := make(chan struct{})
	go func() {
		_, err := c.Act(context.Background(), "development", "restart", nil, func(string) { close(acting) })
		ended <- err
	}()
	<-acting
	<-follows
	began := time.Now()
	stop()
	if took := time.Since(began); took > endTimeout+5*time.Second {
		t.Errorf("took %v", took)
	}
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a client took the end for success")
		}
	}
}
