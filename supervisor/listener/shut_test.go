package listener

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// daphne shuts down what it was given, for all who hold it.
func TestSocketThatAServerHasShutDownIsToBeReplaced(t *testing.T) {
	t.Parallel()
	public := filepath.Join(short(t), "s")
	l, next := mustBind(t, public), mustBind(t, public+".next")
	if !l.Named() || l.Restore() != nil {
		t.Fatal("a good socket is taken to be shut down")
	}
	if err := unix.Shutdown(int(l.File().Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if l.Named() {
		t.Error("its name leads to clients' ruin")
	}
	if err := l.Restore(); !errors.As(err, new(errShut)) || !errors.Is(err, ErrNoSpare) {
		t.Errorf("restore: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.Drained(ctx); err != nil {
		t.Errorf("nobody waits: %v", err)
	}
	if n, err := l.Forward(ctx, next.Path()); n != 0 || err != nil {
		t.Errorf("%d clients are passed on: %v", n, err)
	}
}
