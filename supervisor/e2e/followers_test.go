package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crowd is many followers of events.
type crowd struct {
	reached chan time.Duration // delay of an exit event until it reached one of them
}

// Crowd lets n clients follow the events of a supervisor, and as many again connect and never read.
func (w *World) Crowd(n int) *crowd {
	w.t.Helper()
	c := &crowd{make(chan time.Duration, 100*n)}
	var all sync.WaitGroup
	w.t.Cleanup(all.Wait)
	connect := func() net.Conn {
		conn, err := net.Dial("unix", filepath.Join(w.Root, ".supervisor", "control.sock"))
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { conn.Close() })
		// an error shows in the response
		io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: supervisor\r\n\r\n")
		return conn
	}
	for range n {
		connect() // this one never reads
		conn := connect()
		in := bufio.NewReader(conn)
		if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			w.t.Fatalf("a follower is answered %q, %v", line, err)
		}
		begun := time.Now()
		all.Go(func() {
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				data, ok := strings.CutPrefix(line, "data: ")
				var e struct {
					Time  time.Time
					Event string
				}
				if ok && json.Unmarshal([]byte(data), &e) == nil && e.Event == "exited" && e.Time.After(begun) {
					c.reached <- time.Since(e.Time)
				}
			}
		})
	}
	return c
}

// Wait returns the delays of the next n deliveries, sorted.
func (c *crowd) Wait(t testing.TB, n int) []time.Duration {
	t.Helper()
	var all []time.Duration
	limit := time.After(patience)
	for len(all) < n {
		select {
		case d := <-c.reached:
			all = append(all, d)
		case <-limit:
			t.Fatalf("only %d of %d followers got the event", len(all), n)
		}
	}
	slices.Sort(all)
	return all
}

func TestFollowersOfEventsCostNoBuildAnything(t *testing.T) {
	t.Parallel()
	const followers = 100 // and as many that never read
	w := NewWorld(t, One())
	w.Serve("one")
	c := w.Crowd(followers)
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	old := w.KillMaster("one", syscall.SIGKILL)
	c.Wait(t, followers)
	w.WaitPid("one", old)
	w.WaitState("one", "running")
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	if _, err := w.Status(); err != nil {
		t.Error(err)
	}
}

// BenchmarkEvents measures how long the event of an exit takes to reach 200 followers.
func BenchmarkEvents(b *testing.B) {
	for _, followers := range []int{1, 200} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
			w := NewWorld(b, One(`restart_delay_max = "1s"`))
			w.Serve("one")
			c := w.Crowd(followers)
			var all []time.Duration
			for b.Loop() {
				old := w.KillMaster("one", syscall.SIGKILL)
				all = append(all, c.Wait(b, followers)...)
				w.WaitPid("one", old)
				w.WaitState("one", "running")
			}
			slices.Sort(all)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ms(all[len(all)/2]), "ms-median")
			b.ReportMetric(ms(all[len(all)-1]), "ms-slowest")
		})
	}
}
