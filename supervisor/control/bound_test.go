package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
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

// given is a listener that accepts what it is given.
type given chan net.Conn

func (g given) Accept() (net.Conn, error) {
	c, ok := <-g
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (given) Close() error   { return nil }
func (given) Addr() net.Addr { return &net.UnixAddr{} }

func TestWhoMayOnlyLookKeepsNobodyOutWhoCommands(t *testing.T) {
	conns := make(given, 10)
	l := &admitting{Listener: conns}
	l.lookers.Limit(bound.Limits{Total: 2})
	l.commanders.Limit(bound.Limits{Total: 1})
	pipe := func() net.Conn {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		return ours
	}
	for range 5 {
		conns <- pipe()
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	f := os.NewFile(uintptr(pair[0]), "pair")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conns <- &handing{UnixConn: c.(*net.UnixConn)}
	close(conns)
	for {
		if _, err := l.Accept(); err != nil {
			break
		}
	}
	if l.commanders.Open() != 1 || l.lookers.Open() > 2 {
		t.Errorf("%d who command and %d who look are admitted, want 1 and 2 at most", l.commanders.Open(), l.lookers.Open())
	}
}
