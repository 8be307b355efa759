package public_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

const (
	path    = "gunicorn.sock"
	staging = "gunicorn.sock.next"
)

var errBroken = errors.New("broken")

// owner is who has a Name: it keeps the sockets' folder, and runs tasks until end is called.
type owner struct {
	*public.Name
	folder  fakesocket.Folder
	guarded bool
	ctx     context.Context
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	o := &owner{}
	o.ctx, o.stop = context.WithCancel(t.Context())
	o.Name = public.New(public.Options{
		Path: path,
		Log:  hclog.NewNullLogger(),
		Bind: func(path string) (public.Listener, error) {
			l, err := o.folder.Bind(path)
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		Remove: o.folder.Remove,
		Now:    time.Now,
		Guard:  func(on bool) { o.guarded = on },
		Task:   func(f func(ctx context.Context)) { o.tasks.Go(func() { f(o.ctx) }) },
	})
	return o
}

// end ends every task, as when the supervisor must end at once.
func (o *owner) end() {
	o.stop()
	o.tasks.Wait()
}

// opened returns the public socket, which it makes.
func (o *owner) opened(t *testing.T) *fakesocket.Listener {
	t.Helper()
	if err := o.Open(); err != nil {
		t.Fatal(err)
	}
	return fake(o.Socket())
}

func (o *owner) staged(t *testing.T) *public.Socket {
	t.Helper()
	s, err := o.Stage(staging)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// connect makes a client and lets everything that goes on come to rest.
func (o *owner) connect(t *testing.T) *fakesocket.Client {
	t.Helper()
	c, err := o.folder.Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c
}

func fake(s *public.Socket) *fakesocket.Listener { return s.Listener.(*fakesocket.Listener) }

// story runs f in a bubble with an owner of its own, and ends what that has begun.
func story(t *testing.T, f func(t *testing.T, o *owner)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t)
		defer o.end()
		f(t, o)
	})
}
