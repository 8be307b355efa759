package control

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Who opens the control socket and says nothing keeps nobody from it, and uses few descriptors.
func TestSilentClientsOfTheControlSocketMakeRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p := printed{feed: NewFeed(nil)}
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, p, NewMetrics("test", nil), hclog.NewNullLogger()) }()
	var silent []net.Conn
	for range 3 * maxConns() {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /v1/sta")
		silent = append(silent, c)
	}
	if _, err := (Client{Socket: path}).Status(t.Context()); err != nil {
		t.Errorf("beside them: %v", err)
	}
	silent[0].SetReadDeadline(time.Now().Add(headerTimeout / 2))
	// It is reset where it has sent what nobody read (unix(7)).
	if _, err := silent[0].Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the first of them: %v", err)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
