package actor

import (
	"context"
	"testing"
)

func TestLifetimeHasAContextOnlyWhileSomethingRunsByIt(t *testing.T) {
	t.Parallel()
	var l lifetime
	first, leaveFirst := l.enter(t.Context())
	second, leaveSecond := l.enter(t.Context())
	if leaveFirst(); first.Err() != nil || second.Err() != nil {
		t.Error("it ended with the first of two that ran by it")
	}
	if leaveFirst(); second.Err() != nil {
		t.Error("who leaves twice counts twice")
	}
	if leaveSecond(); second.Err() == nil || l.ctx != nil {
		t.Error("a context is kept that nothing runs by")
	}
	if again, leave := l.enter(t.Context()); again.Err() != nil {
		t.Error("what begins later has ended already")
	} else {
		leave()
	}
}

func TestNothingBeginsAfterTheEndOfALifetime(t *testing.T) {
	t.Parallel()
	var l lifetime
	running, leave := l.enter(t.Context())
	if l.end(); running.Err() == nil {
		t.Error("what runs by it goes on")
	}
	leave()
	late, leave := l.enter(t.Context())
	defer leave()
	if late.Err() == nil {
		t.Error("something began after the end")
	}
}

func TestLifetimeEndsWithTheOneAboveIt(t *testing.T) {
	t.Parallel()
	var l lifetime
	above, end := context.WithCancel(t.Context())
	ctx, leave := l.enter(above)
	defer leave()
	if end(); ctx.Err() == nil {
		t.Error("it goes on")
	}
}
