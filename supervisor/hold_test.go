package supervisor

import (
	"context"
	"testing"
	"testing/synctest"
)

// The supervisor that begins has closed the gate when an upgrade closes it too: the end of the beginning must let nobody through.
func TestGateStaysShutForWhoClosedItLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g gate
		a := &actor{}
		openFirst := g.close()
		in := make(chan bool)
		go func() { in <- g.enter(t.Context(), a) }()
		openLast := g.close()
		openFirst()
		synctest.Wait()
		select {
		case <-in:
			t.Fatal("the gate is open")
		default:
		}
		openLast()
		if !<-in || !g.inside(a) {
			t.Error("the gate is still shut")
		}
		g.leave(a)
	})
}

func TestWhoGivesUpDoesNotWaitAtTheGate(t *testing.T) {
	t.Parallel()
	var g gate
	defer g.close()()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := (&actor{}); g.enter(ctx, a) || g.inside(a) {
		t.Error("went through a gate that is shut")
	}
}
