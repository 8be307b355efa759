package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// placed serves a place until the test ends.
func placed(t *testing.T, f *Front, addr string, ln net.Listener) *Place {
	t.Helper()
	p := f.At(addr, ln)
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.Serve()
	}()
	t.Cleanup(func() {
		p.Close()
		<-over
	})
	return p
}

// listen makes a TCP listener at a port of its own.
func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// get asks the place at addr and returns the status that comes.
func get(t *testing.T, addr, path string) <-chan int {
	t.Helper()
	status := make(chan int, 1)
	go func() {
		defer close(status)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
		resp, err := client.Get("http://" + addr + path)
		if err != nil {
			t.Errorf("get %s: %v", path, err)
			return
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Errorf("read %s: %v", path, err)
		}
		status <- resp.StatusCode
	}()
	return status
}

func TestPlaceServesOnTheListenerItIsGiven(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	p := placed(t, New(hclog.NewNullLogger(), ""), "front:80", ln)
	if p.Address() != "front:80" {
		t.Errorf("address %q", p.Address())
	}
	if status := <-get(t, ln.Addr().String(), "/"); status != http.StatusNotFound {
		t.Errorf("status %d without a build", status)
	}
	file, err := p.File()
	if err != nil || file == nil {
		t.Fatalf("no descriptor for the program in our place: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// logs is where a log goes that is waited for.
type logs chan string

func (l logs) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestPlaceTakesAnAddressOnceItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		said := make(logs, 10)
		p := New(hclog.New(&hclog.LoggerOptions{Output: said}), "").At(ln.Addr().String(), nil)
		over := make(chan struct{})
		go func() {
			defer close(over)
			p.Serve()
		}()
		<-time.After(3*placeRetry + 1)
		if line := <-said; !strings.Contains(line, "front cannot serve") || len(said) != 0 {
			t.Errorf("told %d times more than once: %s", len(said), line)
		}
		if file, err := p.File(); file != nil || err != nil {
			t.Errorf("it has a socket: %v, %v", file, err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		if line := <-said; !strings.Contains(line, "front is listening") {
			t.Error(line)
		}
		p.Close()
		<-over
		if file, err := p.File(); file != nil || err != nil {
			t.Errorf("closed, and the socket is left: %v, %v", file, err)
		}
	})
}

func TestPlaceTellsOfTheSocketThatItMakes(t *testing.T) {
	t.Parallel()
	free := listen(t)
	addr := free.Addr().String()
	free.Close()
	p := New(hclog.NewNullLogger(), "").At(addr, nil)
	if p.Is(func(uint64) bool { return true }) {
		t.Error("it has a socket before it serves")
	}
	told := make(chan uint64, 1)
	p.Opened = func(socket *os.File) {
		info, err := socket.Stat()
		if err != nil {
			t.Error(err)
			return
		}
		told <- info.Sys().(*syscall.Stat_t).Ino
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.Serve()
	}()
	inode := <-told
	if is := func(i uint64) bool { return i == inode }; !p.Is(is) || p.Is(func(i uint64) bool { return !is(i) }) {
		t.Error("it is another socket")
	}
	p.Close()
	<-over
}

func TestHaltedPlaceEndsWhatIsUnderWayAndClientsWait(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}, 2), make(chan struct{}, 2)
	f := New(hclog.NewNullLogger(), "")
	f.SetRoutes([]Route{{Build: "one", Location: "/one", Socket: serveBuild(t, func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	})}})
	ln := listen(t)
	p := placed(t, f, "", ln)
	underWay := get(t, ln.Addr().String(), "/one/")
	<-entered

	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	goOn, err := p.Halt(impatient)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("halted with a request under way: %v", err)
	}
	leave <- struct{}{}
	if status := <-underWay; status != http.StatusOK {
		t.Errorf("the request that was under way: %d", status)
	}
	goOn()
	goOn() // twice is once

	again, err := p.Halt(t.Context())
	if err != nil {
		t.Error(err)
	}
	waits := get(t, ln.Addr().String(), "/one/")
	queued, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("nobody can wait at a halted place: %v", err)
	}
	queued.Close() // nothing was said
	select {
	case <-entered:
		t.Error("a halted place has accepted somebody")
	default:
	}
	leave <- struct{}{}
	again()
	if status := <-waits; status != http.StatusOK {
		t.Errorf("the request that waited: %d", status)
	}
}

func TestPlaceThatIsClosedWhileHaltedEnds(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	p := New(hclog.NewNullLogger(), "").At("", ln)
	goOn, err := p.Halt(t.Context()) // before it serves
	if err != nil {
		t.Fatal(err)
	}
	defer goOn()
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.Serve()
	}()
	p.Close()
	<-over
}

func TestPlaceNeedsATCPListener(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("unix", socketDir(t)+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := New(hclog.NewNullLogger(), "").At("", ln)
	if _, err := p.File(); err == nil {
		t.Error("the descriptor of a unix socket was handed over")
	}
	if err := p.serveOnce(); err == nil {
		t.Error("a unix socket was served")
	}
}
