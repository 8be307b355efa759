package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEventsComeInOrderPastAndLive(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	at := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.FixedZone("CET", 3600))
	f.past = []Event{{Time: at, Build: "development", Event: "0"}, {Build: "development", Event: "1"}}
	var got []string
	if err := c.Events(t.Context(), false, func(e Event) error { got = append(got, e.Event); return nil }); err != nil || !slices.Equal(got, []string{"0", "1"}) {
		t.Fatalf("past: %q, %v", got, err)
	}
	enough := errors.New("enough")
	got = nil
	var wg sync.WaitGroup
	wg.Go(func() {
		err := c.Events(t.Context(), true, func(e Event) error {
			if e.Event == "0" && e.Time.Format(time.RFC3339Nano) != "2026-11-23T09:00:00.123Z" {
				t.Errorf("time %v", e.Time)
			}
			if got = append(got, e.Event); len(got) == 50 {
				return enough
			}
			return nil
		})
		if err != enough {
			t.Errorf("Events: %v", err)
		}
	})
	eventually(t, "it follows", func() bool { return f.following() == 1 })
	for i := 2; i < 50; i++ {
		f.send(t, Event{Event: fmt.Sprint(i)})
	}
	wg.Wait()
	for i, e := range got {
		if e != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, e)
		}
	}
	eventually(t, "a follower that has gone is forgotten", func() bool { return f.following() == 0 })
}

func TestSlowFollowersBlockNothingAndAreDroppedWithAWord(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	const slow = 200
	conns := make([]net.Conn, slow)
	for i := range conns {
		conn, err := net.Dial("unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		conns[i] = conn
	}
	eventually(t, "all follow", func() bool { return f.following() == slow })
	for range 4 * followerBuffer { // more than the buffers of sockets and followers hold
		if f.following() == 0 || t.Failed() {
			break
		}
		f.send(t, Event{Event: "e"})
	}
	if n := f.following(); n != 0 {
		t.Errorf("%d of them are still waited for", n)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status meanwhile: %v", err)
	}
	conns[0].SetDeadline(time.Now().Add(20 * time.Second))
	text, err := io.ReadAll(conns[0])
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "event: dropped") {
		t.Errorf("no word to the dropped one: it read %d bytes, at the end %q", len(text), text[max(0, len(text)-200):])
	}
}

func TestDroppedFollowerIsToldByTheClient(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	release, got := make(chan struct{}), make(chan error, 1)
	go func() {
		got <- c.Events(context.Background(), true, func(Event) error { <-release; return nil })
	}()
	eventually(t, "it follows", func() bool { return f.following() == 1 })
	for range 4 * followerBuffer {
		if f.following() == 0 {
			break
		}
		f.send(t, Event{Event: "e", Reason: strings.Repeat("x", 500)})
	}
	close(release)
	if err := <-got; err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("Events: %v", err)
	}
}
