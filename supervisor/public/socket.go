package public

import (
	"context"
	"errors"
	"time"
)

// Listener is a listening unix socket and the path it has. Its methods may be called from several
// goroutines.
type Listener interface {
	// Path is the last path the socket was given; Named reports whether it still leads there.
	Path() string
	Named() bool
	// Inode identifies the socket, as in /proc/PID/fd.
	Inode() uint64
	// Take gives the socket the path public in place of its own, atomically. The socket that had
	// that path keeps its queue. After an error the paths are as before.
	Take(public string) error
	// Restore puts back a path that was removed. The error wraps ErrLost if only a new socket can
	// help.
	Restore() error
	// Unlink removes the path, if it still leads to this socket.
	Unlink() error
	// Close closes our descriptors. Once no process holds the socket, the kernel resets the clients
	// in its queue.
	Close() error
	// Leave closes our descriptors, and leaves the paths and the queue to somebody else who holds
	// the socket.
	Leave() error
	// QueueLen returns how many clients wait to be accepted.
	QueueLen() (int, error)
	// Lengthen makes room in the queue again, where the server that has died had shortened it.
	Lengthen() error
	// Drained returns once the queue is empty; it accepts no client itself.
	Drained(ctx context.Context) error
	// Idle returns once no accepted client is connected any more. The error wraps
	// errors.ErrUnsupported where that cannot be seen.
	Idle(ctx context.Context) error
	// Forward passes the clients in the queue on to the socket at the path to, and returns how many
	// there were once the queue is empty.
	Forward(ctx context.Context, to string) (n int, err error)
	// Refuse accepts clients and answers 503 with Retry-After until ctx ends, and returns how many
	// there were, once all of them have their answer.
	Refuse(ctx context.Context, retryAfter func() time.Duration) (n int)
}

// ErrLost is wrapped by the error of Listener.Restore if a path cannot be put back.
var ErrLost = errors.New("this socket cannot have its path again")

// Socket is a listener and how many hold it: the public name is one holder, each generation that
// was given the socket is another.
type Socket struct {
	Listener
	holders int
	public  bool // had the public name once, so clients may be in its queue
	left    bool // is for the next supervisor, with who waits in its queue
}

// Hold adds a holder and returns s. Each holder calls Name.LetGo once.
func (s *Socket) Hold() *Socket {
	s.holders++
	return s
}

// WasPublic reports whether s has or had the public name, so that clients may wait in its queue.
func (s *Socket) WasPublic() bool { return s.public }
