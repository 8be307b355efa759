package control

import (
	"bufio"
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
	f.feed.Add(Event{Time: at, Build: "development", Event: "0"})
	f.feed.Add(Event{Build: "development", Event: "1"})
	var got []string
	if err := c.Events(t.Context(), false, func(e Event) error { got = append(got, e.Event); return nil }); err != nil || !slices.Equal(got, []string{"0", "1"}) {
		t.Fatalf("past: %q, %v", got, err)
	}
	enough := errors.New("enough")
	got = nil
	follows := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := c.Events(t.Context(), true, func(e Event) error {
			if e.Event == "0" && e.Time.Format(time.RFC3339Nano) != "2026-11-23T09:00:00.123Z" {
				t.Errorf("time %v", e.Time)
			}
			got = append(got, e.Event)
			switch len(got) {
			case 2:
				close(follows)
			case 50:
				return enough
			}
			return nil
		})
		if err != enough {
			t.Errorf("Events: %v", err)
		}
	})
	<-follows
	for i := 2; i < 50; i++ {
		f.feed.Add(Event{Event: fmt.Sprint(i)})
	}
	wg.Wait()
	for i, e := range got {
		if e != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, e)
		}
	}
}

// Nothing waits for a follower: Add returns even if nobody reads. A follower that missed events is
// told so when it reads again.
func TestSlowFollowersBlockNothingAndAreToldWhatTheyMissed(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	f.feed.Add(Event{Event: "first"})
	const slow = 50
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
	in := bufio.NewReader(conns[0])
	for line := ""; !strings.Contains(line, "first"); { // it is following
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 * FeedKept { // far more than a socket holds
		f.feed.Add(Event{Event: "e", Reason: strings.Repeat("x", 1000)})
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status in the meantime: %v", err)
	}
	conns[0].SetDeadline(time.Now().Add(20 * time.Second))
	text, err := io.ReadAll(in)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "event: dropped") {
		t.Errorf("the dropped follower was not told: it read %d bytes, at the end %q", len(text), text[max(0, len(text)-200):])
	}
}

func TestDroppedFollowerIsToldByTheClient(t *testing.T) {
	t.Parallel()
	f, c := start(t)
	f.feed.Add(Event{Event: "first"})
	follows, release, got := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		once := sync.OnceFunc(func() { close(follows) })
		got <- c.Events(context.Background(), true, func(Event) error { once(); <-release; return nil })
	}()
	<-follows
	for range 4 * FeedKept {
		f.feed.Add(Event{Event: "e", Reason: strings.Repeat("x", 1000)})
	}
	close(release)
	if err := <-got; err == nil || !strings.Contains(err.Error(), "too slow") {
		t.Errorf("Events: %v", err)
	}
}

func TestFeedHoldsTheLastEvents(t *testing.T) {
	t.Parallel()
	var past []byte
	for i := range 3 * FeedKept {
		past = fmt.Appendf(past, "{\"build\": \"a\", \"pid\": %d}\n", i)
	}
	f := NewFeed(append(past, `{"build": "a", "pi`...))
	if of := f.Of("a", 2); len(of) != 2 || of[1].Pid != 3*FeedKept-1 {
		t.Fatalf("of earlier ones %v", of)
	}
	f = NewFeed(past)
	for i := range 5 * FeedKept {
		added := FeedKept + i
		if i%37 == 0 { // only sometimes: it encodes all kept events as JSON
			texts, n, missed, _ := f.after(0)
			if missed != 0 || len(texts) < FeedKept || len(texts) > FeedKept+FeedKept/10 || n != added {
				t.Fatalf("after %d more: %d held of %d, %d missed", i, len(texts), n, missed)
			}
		}
		f.Add(Event{Build: "b", Pid: i})
		if of := f.Of("b", 3); of[len(of)-1].Pid != i || len(of) != min(i+1, 3) {
			t.Fatalf("the last of b after %d: %v", i, of)
		}
		texts, _, missed, more := f.after(added)
		if len(texts) != 1 || missed != 0 || !strings.Contains(string(texts[0]), fmt.Sprintf(`"pid":%d,`, i)) {
			t.Fatalf("after %d: %s, %d missed", added, texts, missed)
		}
		select {
		case <-more:
			t.Fatal("woken by nothing")
		default:
		}
	}
	if _, _, missed, _ := f.after(1); missed < 4*FeedKept {
		t.Errorf("%d missed", missed)
	}
}
