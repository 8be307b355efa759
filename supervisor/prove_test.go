package supervisor

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
)

// A server that has to work off a queue before it comes to the probe is not a hung one.
func TestProbeBehindAQueueIsGivenMoreTimeEachTime(t *testing.T) {
	t.Parallel()
	const turn, timeout = 300 * time.Millisecond, 30 * time.Millisecond
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := listener.Bind(filepath.Join(dir, "s"), listener.Options{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ln, err := net.FileListener(l.File())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(turn) })}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(ln) // always an error, that of being closed
	}()
	defer func() {
		server.Close()
		<-served
	}()

	a := &actor{}
	a.health.Store(&config.Health{Path: "/", Host: "localhost", Expect: config.Expect{Min: 100, Max: 499}, Timeout: timeout, Failures: 3})
	for queued, limit := range map[bool]time.Duration{true: 20 * time.Second, false: 3 * turn} {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		err := a.awaitAnswer(ctx, &generation{sock: &socket{l: l}, queued: queued})
		cancel()
		if (err == nil) != queued {
			t.Errorf("behind a queue: %v; an answer after %v where a probe waits %v: %v", queued, turn, timeout, err)
		}
	}
}
