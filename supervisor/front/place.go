package front

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// placeRetry is how long a Place waits for an address that is taken.
const placeRetry = 3 * time.Second

// placeDrain is how long requests in flight may take when a Place is closed or halted.
const placeDrain = 30 * time.Second

// Place is a Server at one address. Its socket outlives the serving: while nothing serves, clients
// wait in its queue.
type Place struct {
	// Opened is called with each socket that the Place makes, which stays the Place's; nil: nobody
	// wants to know. It is set before Serve.
	Opened func(socket *os.File)

	server *Server
	addr   string
	life   context.Context
	close  context.CancelFunc

	mu     sync.Mutex
	ln     net.Listener       // nil: not open yet
	stop   context.CancelFunc // of what is served now; nil: nothing
	idle   chan struct{}      // closed when no request of that is under way any more
	halted chan struct{}      // not nil: nothing is to be served until it is closed
	wrong  error              // why nothing is served at the moment; nil: all is well
}

// At returns the place at addr ("host:port"). ln is an existing listener, which then belongs to the
// Place; if it is nil, the Place makes one.
func (s *Server) At(addr string, ln net.Listener) *Place {
	life, end := context.WithCancel(context.Background())
	return &Place{server: s, addr: addr, ln: ln, life: life, close: end}
}

// Trouble says why nothing is served at the moment, "" where that is not so. It is tried again.
func (p *Place) Trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrong == nil {
		return ""
	}
	return fmt.Sprintf("cannot serve, it is tried again every %v: %v", placeRetry, p.wrong)
}

// Address is the place's address.
func (p *Place) Address() string { return p.addr }

// Close ends Serve and closes the socket.
func (p *Place) Close() { p.close() }

// Serve serves until Close. An address that is taken is tried again: it must not affect what Nginx
// serves.
func (p *Place) Serve() {
	defer p.shut()
	said := ""
	for {
		err := p.open()
		if err == nil {
			err = p.serveOnce()
		}
		if p.life.Err() != nil {
			return
		}
		if err == nil {
			continue // it was halted
		}
		p.mu.Lock()
		p.wrong = err
		p.mu.Unlock()
		if err.Error() != said {
			said = err.Error()
			p.server.log.Error(p.server.name+" cannot serve, it will try again", "address", p.addr, "error", err)
		}
		select {
		case <-p.life.Done():
			return
		case <-time.After(placeRetry):
		}
	}
}

// open makes the socket if it is missing.
func (p *Place) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		return nil
	}
	ln, err := (&net.ListenConfig{}).Listen(p.life, "tcp", p.addr)
	p.ln = ln
	if err != nil || p.Opened == nil {
		return err
	}
	socket, err := fileOf(ln)
	if err != nil {
		p.server.log.Warn("nobody can be told of the socket", "address", p.addr, "error", err)
		return nil
	}
	defer socket.Close() // a duplicate
	p.Opened(socket)
	return nil
}

func (p *Place) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil {
		p.ln.Close() // nothing was written to it
		p.ln = nil
	}
}

// serveOnce serves until the Place is closed or halted; if it is halted, it waits until that is
// over.
func (p *Place) serveOnce() error {
	served, stop := context.WithCancel(p.life)
	defer stop()
	idle := make(chan struct{})
	p.mu.Lock()
	if halted := p.halted; halted != nil {
		p.mu.Unlock()
		select {
		case <-halted:
		case <-p.life.Done():
		}
		return nil
	}
	ln, err := duplicate(p.ln)
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.stop, p.idle, p.wrong = stop, idle, nil
	p.mu.Unlock()
	p.server.log.Info(p.server.name+" is listening", "address", ln.Addr().String())
	err = p.server.Serve(served, ln, placeDrain)
	p.mu.Lock()
	p.stop = nil
	p.mu.Unlock()
	close(idle)
	if served.Err() == nil { // the socket broke
		p.shut()
		return err
	}
	if err != nil {
		p.server.log.Warn("requests under way did not end in time", "error", err)
	}
	return nil
}

// duplicate makes a listener that can be closed while ln stays open.
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
		return nil, fmt.Errorf("HTTP is served on a %T", ln)
	}
	return tcp.File()
}

// Halt lets the requests under way end, and accepts no others until goOn is called: clients wait in
// the queue. The error is ctx's, before all have ended.
func (p *Place) Halt(ctx context.Context) (goOn func(), err error) {
	halted := make(chan struct{})
	p.mu.Lock()
	p.halted = halted
	stop, idle := p.stop, p.idle
	p.mu.Unlock()
	goOn = sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.halted = nil
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

// File returns a descriptor of the socket for the program that is executed in our place; nil if
// there is none. The caller closes it.
func (p *Place) File() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln == nil {
		return nil, nil
	}
	return fileOf(p.ln)
}

// Is reports whether what holds for the inode of the Place's socket; false if there is none.
func (p *Place) Is(what func(inode uint64) bool) bool {
	f, err := p.File()
	if err != nil || f == nil {
		return false
	}
	defer f.Close() // a duplicate
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && what(st.Ino)
}
