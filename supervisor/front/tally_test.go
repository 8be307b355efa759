package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// sumOf is how many requests of s were counted, and how many of them with their time.
func sumOf(s Served) (all, timed uint64) {
	for _, n := range s.Codes {
		all += n
	}
	for _, n := range s.Took {
		timed += n
	}
	return all, timed
}

func TestRequestsAreCountedByBuildAndClassAlone(t *testing.T) {
	t.Parallel()
	answers := map[string]int{"/1": 200, "/2": 204, "/3": 302, "/4": 404, "/5": 500, "/6": 999, "/7": 600}
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 10))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answers[r.URL.Path[:2]])
	})
	f, addr := serveFront(t, Route{Build: "a", Location: "/a", Socket: socket}, Route{Build: "b", Location: "/b", Socket: filepath.Join(socketDir(t), "none")})
	for path := range answers {
		ask(t, "GET", "http://"+addr+"/a"+path, nil)
	}
	for _, path := range []string{"/a/4?x=1", "/a/4/../../etc/passwd", "/nowhere"} { // nothing else makes a count of its own
		ask(t, "PROPFIND", "http://"+addr+path, nil)
	}
	ask(t, "POST", "http://"+addr+"/b/", strings.NewReader("x"))
	if resp, err := client.Get("http://" + addr + "/a/cut"); err == nil {
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("a response that broke off looks whole")
		}
		resp.Body.Close()
	}
	all := f.Served()
	a, b := all["a"], all["b"]
	if want := [...]uint64{2, 0, 3, 1, 3, 1, 0}; len(all) != 2 || a.Codes != want || a.Cut != 1 {
		t.Errorf("of %d builds, a: %v, %d cut, want %v", len(all), a.Codes, a.Cut, want)
	}
	if n, timed := sumOf(a); n != timed || a.Sum <= 0 {
		t.Errorf("%d requests, %d timed, %v in all", n, timed, a.Sum)
	}
	if b.Codes[5] != 1 || b.Cut != 0 || f.Failed("b") != 1 || f.Failed("a") != 1 {
		t.Errorf("b: %+v, failed %d and %d", b, f.Failed("a"), f.Failed("b"))
	}

	// A build that is still routed keeps its counts, one that is not loses them.
	f.SetRoutes([]Route{{Build: "a", Location: "/other", Socket: socket}})
	if all := f.Served(); len(all) != 1 || all["a"].Codes != a.Codes {
		t.Errorf("after the routes changed: %+v", all)
	}
}

func TestClientThatLeavesIsCountedAsGone(t *testing.T) {
	t.Parallel()
	came, end := make(chan struct{}), make(chan struct{})
	defer close(end)
	socket := serveBuild(t, func(http.ResponseWriter, *http.Request) {
		close(came)
		<-end
	})
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-came
		cancel()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/", nil)
	if resp, err := client.Do(r); err == nil {
		resp.Body.Close()
		t.Fatal("it was answered")
	}
	deadline := time.Now().Add(10 * time.Second)
	for f.Served()["a"].Codes[gone] == 0 && time.Now().Before(deadline) {
		if _, err := net.Dial("tcp", addr); errors.Is(err, net.ErrClosed) {
			break
		}
	}
	if s := f.Served()["a"]; s.Codes[gone] != 1 || s.Codes[5] != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTimeOfARequestIsItsBuildsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := New(hclog.NewNullLogger(), "")
		f.SetRoutes([]Route{{Build: "a", Location: "/"}})
		found, _, _ := f.table.Load().find("/")
		for took, at := range map[time.Duration]int{time.Millisecond: 0, 5 * time.Millisecond: 0, 6 * time.Millisecond: 1, 2 * time.Second: 8, time.Hour: len(waits)} {
			before := f.Served()["a"]
			to := &target{Route: found.Route, served: found.served}
			time.Sleep(time.Second) // the client sends
			to.passed = time.Now()
			time.Sleep(took)
			to.responded(200)
			to.responded(502) // the client takes, and it breaks off: it is one request
			now := f.Served()["a"]
			if now.Took[at] != before.Took[at]+1 || now.Codes[2] != before.Codes[2]+1 || now.Codes[5] != 0 || now.Sum-before.Sum != took {
				t.Errorf("%v: from %+v to %+v", took, before, now)
			}
		}
	})
}

// BenchmarkCounted is what counting costs a request.
func BenchmarkCounted(b *testing.B) {
	counts := &tally{}
	b.ReportAllocs()
	for b.Loop() {
		to := target{served: counts}
		to.passed = time.Now()
		to.responded(200)
	}
}
