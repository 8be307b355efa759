package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// frontRetry is how long the front waits for an address that is taken.
const frontRetry = 3 * time.Second

// frontDrain is how long requests in flight may take when the front moves or
// stops.
const frontDrain = 30 * time.Second

// frontRun is the front at one address. Its socket outlasts what is served on
// it: while nothing is, clients wait in its queue.
type frontRun struct {
	addr string
	end  context.CancelFunc // closes the socket too

	mu     sync.Mutex
	ln     net.Listener       // nil: not open yet
	stop   context.CancelFunc // of what is served now; nil: nothing
	idle   chan struct{}      // closed when no request of that is under way any more
	halted chan struct{}      // not nil: nothing is to be served until it is closed
}

// placeFront moves the embedded front to an address; "" ends it. The caller
// holds mu.
func (s *Supervisor) placeFront(addr string) {
	if s.moveFront != nil {
		s.moveFront.end()
		s.moveFront = nil
	}
	if addr == "" {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &frontRun{addr: addr, end: cancel}
	if s.handed != nil {
		run.ln = s.handed.takeFront(addr, s.log)
	}
	s.moveFront = run
	s.task(func() { s.serveFront(ctx, run) })
}

// serveFront serves run until ctx ends. An address that is taken is tried
// again: what Nginx serves must not suffer from it.
func (s *Supervisor) serveFront(ctx context.Context, run *frontRun) {
	defer run.close()
	said := ""
	for {
		err := run.open(ctx)
		if err == nil {
			err = s.serveOnce(ctx, run)
		}
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue // it was paused
		}
		if err.Error() != said {
			said = err.Error()
			s.log.Error("front cannot serve, it is tried again", "address", run.addr, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(frontRetry):
		}
	}
}

// open makes the socket, where it is not there.
func (r *frontRun) open(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		return nil
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.addr)
	r.ln = ln
	return err
}

func (r *frontRun) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln != nil {
		r.ln.Close() // nothing was written to it
		r.ln = nil
	}
}

// serveOnce serves until ctx ends or it is halted, and where it is, waits until
// that is over.
func (s *Supervisor) serveOnce(ctx context.Context, run *frontRun) error {
	served, stop := context.WithCancel(ctx)
	defer stop()
	idle := make(chan struct{})
	run.mu.Lock()
	if halted := run.halted; halted != nil {
		run.mu.Unlock()
		select {
		case <-halted:
		case <-ctx.Done():
		}
		return nil
	}
	ln, err := duplicate(run.ln)
	if err != nil {
		run.mu.Unlock()
		return err
	}
	run.stop, run.idle = stop, idle
	run.mu.Unlock()
	s.log.Info("front listens", "address", ln.Addr().String())
	err = s.front.Serve(served, ln, frontDrain)
	run.mu.Lock()
	run.stop = nil
	run.mu.Unlock()
	close(idle)
	if served.Err() == nil { // the socket broke
		run.close()
		return err
	}
	if err != nil {
		s.log.Warn("requests under way did not end in time", "error", err)
	}
	return nil
}

// duplicate makes a listener whose end leaves ln open.
func duplicate(ln net.Listener) (net.Listener, error) {
	f, err := fileOf(ln)
	if err != nil {
		return nil, err
	}
	defer f.Close() // net.FileListener has its own
	return net.FileListener(f)
}

func fileOf(ln net.Listener) (*os.File, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("front listens on a %T", ln)
	}
	return tcp.File()
}

// halt lets the requests under way end, and takes no others until the answered
// goOn is called: clients wait in the queue. The error is ctx's, before all have
// ended.
func (r *frontRun) halt(ctx context.Context) (goOn func(), err error) {
	halted := make(chan struct{})
	r.mu.Lock()
	r.halted = halted
	stop, idle := r.stop, r.idle
	r.mu.Unlock()
	goOn = sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.halted = nil
		close(halted)
	})
	if stop == nil {
		return goOn, nil
	}
	stop()
	select {
	case <-idle:
		return goOn, nil
	case <-ctx.Done():
		return goOn, ctx.Err()
	}
}

// keep answers a descriptor of the socket for the program that is executed in
// our place; nil where there is none. The caller closes it.
func (r *frontRun) keep() (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ln == nil {
		return nil, nil
	}
	return fileOf(r.ln)
}
