package world

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
)

func send(t *testing.T, path, text string) {
	t.Helper()
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestProcessIsHeardOnASocketOfItsOwn(t *testing.T) {
	t.Parallel()
	own := config.Identity{UID: -1, GID: -1}
	temp := t.TempDir()
	path := filepath.Join(temp, notifyName)
	elsewhere := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil { // who may write there may have put it
		t.Fatal(err)
	}
	heard, err := hear(temp, own)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is %v, error %v", info.Mode(), err)
	}
	if _, err := os.Stat(elsewhere); err != nil {
		t.Error("what the link led to:", err)
	}
	if env := notifyEnv(temp); !slices.Contains(env, "NOTIFY_SOCKET="+path) {
		t.Errorf("it is told %q", env)
	}
	send(t, path, "READY=1")
	send(t, path, "WATCHDOG=1\nSTATUS=at work")
	for _, want := range []string{"READY=1", "WATCHDOG=1\nSTATUS=at work"} {
		if got, err := heard.Next(t.Context()); err != nil || string(got) != want {
			t.Errorf("heard %q, error %v, want %q", got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := heard.Next(ctx); err == nil {
		t.Errorf("after the end it hears %q", got)
	}
	if err := heard.Close(); err != nil {
		t.Fatal(err)
	}
	// A later supervisor makes it again in the same place.
	root := layout.Root(t.TempDir())
	l := actor.Leftover{Mark: "id/one/7"}
	if err := os.MkdirAll(tempOf(root, l.Mark), 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := (trees{root: root}).Hear(l, own)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	send(t, filepath.Join(tempOf(root, l.Mark), notifyName), "READY=1")
	if got, err := again.Next(t.Context()); err != nil || string(got) != "READY=1" {
		t.Errorf("heard %q, error %v", got, err)
	}
	if _, err := hear(filepath.Join(temp, "missing"), own); err == nil {
		t.Error("a socket in a folder that does not exist")
	}
}

func TestPrivateListenerTakesThePlaceOfWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run", "private-1.sock")
	for range 2 { // the second time there is one
		f, err := listenPrivately(path, config.Identity{UID: -1, GID: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("%v, error %v", info, err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenPrivately(filepath.Join(filepath.Dir(path), "file", "private-1.sock"), config.Identity{UID: -1, GID: -1}); err == nil {
		t.Error("a listener below a file")
	}
}
