package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
)

// All builds share the front's origin, so none may decide for all of it.
func TestHeadersForTheWholeOriginAreNotABuildsToSend(t *testing.T) {
	t.Parallel()
	socket := serveRaw(t, func(_ int, _ string, c *net.UnixConn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nservice-worker-allowed: /\r\nService-Worker-Allowed: /other\r\nClear-Site-Data: \"*\"\r\n"+
			"Alt-Svc: h2=\":9\"\r\nNEL: {}\r\nStrict-Transport-Security: max-age=1\r\nSet-Cookie: a=1; Path=/\r\nX-Own: kept\r\nContent-Length: 2\r\n\r\nok")
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/a", Socket: socket})
	resp, text := ask(t, "GET", "http://"+addr+"/a/", nil)
	if resp.StatusCode != 200 || text != "ok" {
		t.Fatalf("%d %q", resp.StatusCode, text)
	}
	for _, name := range []string{"Service-Worker-Allowed", "Clear-Site-Data", "Alt-Svc", "NEL"} {
		if got := resp.Header.Values(name); len(got) > 0 {
			t.Errorf("%s: %q came through", name, got)
		}
	}
	for _, name := range []string{"Strict-Transport-Security", "Set-Cookie", "X-Own"} {
		if resp.Header.Get(name) == "" {
			t.Errorf("%s did not come through", name)
		}
	}
}

// A request whose end two parties could see at different places is refused, or is the last of its
// connection.
func TestRequestOfTwoLengthsEndsItsConnection(t *testing.T) {
	t.Parallel()
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %q %v", r.Method, r.URL.Path, text, r.Header.Values("X-Folded"))
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, c := range map[string]struct {
		request string
		status  int
		body    string
		closes  bool
	}{
		"both lengths":             {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, `POST /a "" []`, true},
		"both, the other order":    {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 38\r\n\r\n0\r\n\r\n", 200, `POST /a "" []`, true},
		"chunked alone":            {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200, `POST /a "x" []`, true},
		"two different lengths":    {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400, "", true},
		"a list of lengths":        {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 5\r\n\r\n", 400, "", true},
		"a length with a sign":     {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n", 400, "", true},
		"a negative length":        {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "", true},
		"the same length twice":    {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200, `POST /a "x" []`, false},
		"another coding":           {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "", true},
		"two codings":              {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "", true},
		"two codings, two lines":   {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501, "", true},
		"a space before the colon": {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "", true},
		"no name":                  {"GET /a HTTP/1.1\r\nHost: x\r\n: chunked\r\n\r\n", 400, "", true},
		"two hosts":                {"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "", true},
		"no host":                  {"GET /a HTTP/1.1\r\n\r\n", 400, "", true},
		"a null in a header":       {"GET /a HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400, "", true},
		"a bad size of a chunk":    {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 408, "", true},
		// It is one header for the build too, with a space (RFC 9112, 5.2).
		"a folded header":    {"GET /a HTTP/1.1\r\nHost: x\r\nX-Folded: one\r\n two\r\n\r\n", 200, `GET /a "" [one two]`, false},
		"a length in a fold": {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 1\r\n\r\nx", 200, `POST /a "x" []`, false},
		"a coding hidden in a fold": {"POST /a HTTP/1.1\r\nHost: x\r\nX-Folded: one\r\n Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx", 200,
			`POST /a "x" [one Transfer-Encoding: chunked]`, false},
	} {
		conn, r := dialed(t, addr)
		io.WriteString(conn, c.request+smuggled)
		resp, text := answer(t, r)
		if resp.StatusCode != c.status || c.body != "" && text != c.body || resp.Close != c.closes {
			t.Errorf("%s: %d %q, the last: %t", name, resp.StatusCode, text, resp.Close)
		}
		resp, err := http.ReadResponse(r, nil)
		if c.closes == (err == nil) {
			t.Errorf("%s: the request after it: %v, %v", name, resp, err)
		}
		conn.Close()
	}
}

// Who holds connections open costs others nothing, and no more than there is room for.
func TestManyHalfSentRequestsDoNotKeepOthersOut(t *testing.T) {
	t.Parallel()
	socket := serveBuild(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	f.Limit(bound.Limits{Total: 20, PerAddress: 10})
	const all = 300
	for i := range all {
		c, _ := dialed(t, addr)
		text := "GET / HTTP/1.1\r\nHo"
		if i%2 == 0 {
			text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
		}
		io.WriteString(c, text)
		if i%50 != 0 && i != all-1 { // the last is asked, so that all before it have been accepted
			continue
		}
		if resp, text := ask(t, "GET", "http://"+addr+"/", nil); resp.StatusCode != 200 || text != "ok" {
			t.Errorf("beside %d of them: %d %q", i+1, resp.StatusCode, text)
		}
		if n := f.open.Open(); n > 10 {
			t.Errorf("%d connections are open", n)
		}
	}
	if n := f.open.Counts(); n.Closed < 250 {
		t.Errorf("%+v", n)
	}
}

// Who comes when everything is at work is told so at once.
func TestNewcomerIsTold503WhereAllAreAtWork(t *testing.T) {
	t.Parallel()
	socket, came, let := hold(t)
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	f.Limit(bound.Limits{Total: 2, PerAddress: 2})
	got := []<-chan int{get(t, addr, "/"), get(t, addr, "/")}
	<-came
	<-came
	_, r := dialed(t, addr)
	if resp, _ := answer(t, r); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("%d", resp.StatusCode)
	}
	if s := f.Stats(); s.Refused != 1 || s.Requests != 3 {
		t.Errorf("%+v", s)
	}
	close(let)
	for _, status := range got {
		if code := <-status; code != 200 {
			t.Errorf("one that was at work: %d", code)
		}
	}
}

// A server's own handler is told of the end before requests are cut off, and bounded like the front.
func TestStreamsOfAServerEndWithIt(t *testing.T) {
	t.Parallel()
	streams := make(chan struct{})
	s := NewServer("page", hclog.NewNullLogger(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		http.NewResponseController(w).Flush()
		close(streams)
		<-r.Context().Done()
		io.WriteString(w, ", ended")
	}))
	ln := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln, time.Minute) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-streams
	stop()
	if _, text := answer(t, bufio.NewReader(c)); text != "begun, ended" {
		t.Errorf("the stream was %q", text)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
