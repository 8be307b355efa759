package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who may do what, by the token that comes and those that there are.
func TestTokensSayWhatMayBeSeenAndDone(t *testing.T) {
	t.Parallel()
	const (
		nobody = ""
		public = "public "
		all    = "all "
	)
	for _, c := range []struct {
		has, given          string // "read", "write", "both" or nothing
		status, logs, stops int
		whose               string // of status
	}{
		{nobody, nobody, 200, 403, 403, public},
		{"read", nobody, 200, 401, 403, public},
		{"read", "read", 200, 200, 403, all},
		{"write", nobody, 200, 401, 401, public},
		{"write", "write", 200, 200, 200, all},
		{"both", nobody, 200, 401, 401, public},
		{"both", "read", 200, 200, 403, all},
		{"both", "write", 200, 200, 200, all},
		{"write", "read", 401, 401, 401, ""},
		{nobody, "write", 403, 403, 403, ""},
	} {
		var read, write string
		if c.has == "read" || c.has == "both" {
			read = reader
		}
		if c.has == "write" || c.has == "both" {
			write = writer
		}
		d := New(options(read, write))
		var headers []string
		if c.given != nobody {
			headers = append(headers, bearer(map[string]string{"read": reader, "write": writer}[c.given]))
		}
		json := append([]string{"Content-Type: application/json"}, headers...)
		for _, path := range []string{"/v1/status", "/v1/samples", "/v1/events?follow=0", "/v1/builds/one"} {
			if got := ask(d, "GET", path, headers...); got.Code != c.status || c.status == 200 && got.Body.String() != c.whose+"GET "+path {
				t.Errorf("%+v: GET %s: %d %s", c, path, got.Code, got.Body)
			}
		}
		if got := ask(d, "GET", "/v1/logs/one?build=1", headers...); got.Code != c.logs || c.logs == 200 && got.Body.String() != "all GET /v1/logs/one?build=1" {
			t.Errorf("%+v: logs: %d %s", c, got.Code, got.Body)
		}
		if got := ask(d, "POST", "/v1/builds/one/rollback?to=r", json...); got.Code != c.stops || c.stops == 200 && got.Body.String() != "all POST /v1/builds/one/rollback?to=r" {
			t.Errorf("%+v: rollback: %d %s", c, got.Code, got.Body)
		}
		if got := ask(d, "POST", "/v1/builds/one/deploy?wait=no", json...); got.Code != c.stops || c.stops == 200 && got.Body.String() != "all POST /v1/builds/one/deploy?wait=no" {
			t.Errorf("%+v: deploy: %d %s", c, got.Code, got.Body)
		}
	}
}

func TestOnlyWhatThePageNeedsIsServed(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"GET /v1/", "GET /v1/metrics", "GET /metrics", "GET /v1/logs", "GET /v1/builds/a/b", "GET /v1/logs/a/b", "POST /v1/reload",
		"POST /v1/upgrade", "POST /v1/builds/one/explode", "POST /v1/builds/one", "PUT /v1/builds/one/stop", "DELETE /v1/status", "GET /v1/status/x", "GET /nothing", "GET /page/app.js", "GET /v1/session/x"} {
		method, path, _ := strings.Cut(request, " ")
		if got := ask(with(), method, path, bearer(writer)); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", request, got.Code, got.Body)
		}
	}
	for _, path := range []string{"/", "/v1/session"} {
		if got := ask(with(), "PUT", path); got.Code != http.StatusMethodNotAllowed {
			t.Errorf("PUT %s: %d", path, got.Code)
		}
	}
}

// Another page can have a browser send a form, and whatever else needs no preflight.
func TestOtherPagesCannotAct(t *testing.T) {
	t.Parallel()
	const kind = "Content-Type: application/json"
	for name, c := range map[string]struct {
		headers []string
		code    int
	}{
		"the page":             {[]string{kind, "Sec-Fetch-Site: same-origin"}, 200},
		"an older browser":     {[]string{kind, "Origin: http://localhost:8081"}, 200},
		"a script":             {nil, 200},
		"another site":         {[]string{kind, "Sec-Fetch-Site: cross-site"}, 403},
		"another port":         {[]string{kind, "Sec-Fetch-Site: same-site"}, 403},
		"another origin":       {[]string{kind, "Origin: http://elsewhere.example"}, 403},
		"the front's origin":   {[]string{kind, "Origin: http://localhost:8080"}, 403},
		"a sandboxed frame":    {[]string{kind, "Origin: null"}, 403},
		"a form":               {[]string{"Content-Type: application/x-www-form-urlencoded"}, 415},
		"text":                 {[]string{"Content-Type: text/plain"}, 415},
		"a body without kind":  {[]string{"Body: {}"}, 415},
		"JSON with a charset":  {[]string{kind + "; charset=utf-8", "Body: {}"}, 200},
		"another one's name":   {[]string{kind, "Host: evil.example"}, 421},
		"a kind beside others": {[]string{"Content-Type: application/json, text/plain"}, 415},
	} {
		headers := append([]string{bearer(writer)}, c.headers...)
		if got := ask(with(), "POST", "/v1/builds/one/stop", headers...); got.Code != c.code {
			t.Errorf("%s: %d %s, want %d", name, got.Code, got.Body, c.code)
		}
	}
}

func TestNamesThatAreNotOursAreRefused(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9000": 200, "LOCALHOST:8081": 200, "127.0.0.1:8081": 200, "127.0.0.1": 200, "[::1]:8081": 200, "[::1]": 200,
		"192.0.2.1:8081": 200, "ops.example:8081": 200, "OPS.example": 200, "localhost.": 200,
		"evil.example": 421, "evil.example:8081": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "xlocalhost": 421, "": 421, ":8081": 421,
		"0x7f000001": 421, "[": 421,
	} {
		for _, path := range []string{"/", "/app.js", "/v1/status", "/v1/logs/one", "/v1/session"} {
			got := ask(with(), "GET", path, "Host: "+host, bearer(reader))
			if got.Code != want {
				t.Errorf("Host %q: %s: %d %s, want %d", host, path, got.Code, got.Body, want)
			}
		}
	}
}

// A wrong token takes a second, and few are tried at a time.
func TestTokensCannotBeGuessedFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := with()
		stop := func(headers ...string) *httptest.ResponseRecorder {
			return ask(d, "POST", "/v1/builds/one/stop", append(headers, "Content-Type: application/json")...)
		}
		for _, given := range []string{"", writer + "0", writer[1:], strings.ToUpper(writer)} {
			began := time.Now()
			if got := stop(bearer(given)); got.Code != 401 || time.Since(began) < time.Second {
				t.Errorf("%q: %d after %v", given, got.Code, time.Since(began))
			}
			began = time.Now()
			if got := ask(d, "POST", "/v1/session", "Content-Type: application/json", "Body: "+fmt.Sprintf(`{"token": %q}`, given)); got.Code != 401 || time.Since(began) < time.Second {
				t.Errorf("entered, %q: %d after %v", given, got.Code, time.Since(began))
			}
		}
		// A proxy's own scheme is no token.
		if got := stop("Authorization: Basic " + writer); got.Code != 401 {
			t.Errorf("another scheme: %d", got.Code)
		}
		began := time.Now()
		codes := make(chan int, 100)
		var all sync.WaitGroup
		for range cap(codes) {
			all.Go(func() { codes <- stop(bearer("wrong")).Code })
		}
		all.Wait()
		close(codes)
		count := map[int]int{}
		for code := range codes {
			count[code]++
		}
		if count[401] != wrongAtOnce || count[429] != 100-wrongAtOnce || time.Since(began) != time.Second {
			t.Errorf("%v after %v", count, time.Since(began))
		}
		if got := stop(bearer(writer)); got.Code != 200 {
			t.Errorf("the right one afterwards: %d", got.Code)
		}
	})
}

// entered is a session that a browser has begun.
type entered struct{ cookie, key string }

func (e entered) headers() []string {
	return []string{"Cookie: " + e.cookie, "X-Medctrl-Key: " + e.key, "Content-Type: application/json", "Sec-Fetch-Site: same-origin"}
}

func enter(t *testing.T, d http.Handler, token string, headers ...string) (entered, *http.Cookie) {
	t.Helper()
	got := ask(d, "POST", "/v1/session", append(headers, "Content-Type: application/json", "Body: "+fmt.Sprintf(`{"token": %q}`, token))...)
	var said session
	if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || got.Code != 200 || len(got.Result().Cookies()) != 1 {
		t.Fatalf("%d %s, %v", got.Code, got.Body, got.Header())
	}
	c := got.Result().Cookies()[0]
	return entered{c.Name + "=" + c.Value, said.Key}, c
}

func TestTokenIsEnteredOnceAndNeverKept(t *testing.T) {
	t.Parallel()
	d := with()
	in, cookie := enter(t, d, writer)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Name != "medctrl_8081" || cookie.Secure {
		t.Errorf("the cookie is %+v", cookie)
	}
	if strings.Contains(in.cookie+in.key, writer) || len(in.key) < 40 {
		t.Errorf("the session has the token: %+v", in)
	}
	if _, behind := enter(t, d, writer, "X-Forwarded-Proto: https"); !behind.Secure {
		t.Error("the cookie may go over an unencrypted connection")
	}
	for name, c := range map[string]struct {
		headers     []string
		logs, stops int
	}{
		"both halves":        {in.headers(), 200, 200},
		"the cookie alone":   {[]string{"Cookie: " + in.cookie, "Content-Type: application/json"}, 401, 401},
		"the key alone":      {[]string{"X-Medctrl-Key: " + in.key, "Content-Type: application/json"}, 401, 401},
		"another key":        {entered{in.cookie, in.key + "x"}.headers(), 401, 401},
		"another name":       {entered{strings.Replace(in.cookie, "8081", "8082", 1), in.key}.headers(), 401, 401},
		"a higher level":     {entered{strings.Replace(in.cookie, "=2.", "=3.", 1), in.key}.headers(), 401, 401},
		"a lower level":      {entered{strings.Replace(in.cookie, "=2.", "=1.", 1), in.key}.headers(), 401, 401},
		"another port's too": {append([]string{"Cookie: medctrl_8081=2.99999999999.forged"}, in.headers()...), 200, 200},
	} {
		if got := ask(d, "GET", "/v1/logs/one", c.headers...); got.Code != c.logs {
			t.Errorf("%s: logs: %d %s", name, got.Code, got.Body)
		}
		if got := ask(d, "POST", "/v1/builds/one/stop", c.headers...); got.Code != c.stops {
			t.Errorf("%s: stop: %d %s", name, got.Code, got.Body)
		}
	}
	// Where a form comes from is looked at with a session too.
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Content-Type: text/plain"} {
		headers := []string{"Cookie: " + in.cookie, "X-Medctrl-Key: " + in.key, header}
		if got := ask(d, "POST", "/v1/builds/one/stop", headers...); got.Code != 403 && got.Code != 415 {
			t.Errorf("%s: %d", header, got.Code)
		}
	}
	read, _ := enter(t, d, reader)
	if got := ask(d, "GET", "/v1/logs/one", read.headers()...); got.Code != 200 {
		t.Errorf("the reader: %d", got.Code)
	}
	if got := ask(d, "POST", "/v1/builds/one/stop", read.headers()...); got.Code != 403 {
		t.Errorf("the reader acts: %d %s", got.Code, got.Body)
	}
	// It outlives the supervisor, and ends with its token.
	if got := ask(with(), "GET", "/v1/logs/one", in.headers()...); got.Code != 200 {
		t.Errorf("after an upgrade: %d", got.Code)
	}
	if got := ask(New(options(reader, writer+"-2")), "POST", "/v1/builds/one/stop", in.headers()...); got.Code != 401 {
		t.Errorf("after the token was changed: %d", got.Code)
	}
	if got := ask(New(options("", "")), "GET", "/v1/logs/one", in.headers()...); got.Code != 403 {
		t.Errorf("after the tokens were taken away: %d", got.Code)
	}
	out := ask(d, "DELETE", "/v1/session", in.headers()...)
	if c := out.Result().Cookies(); out.Code != 200 || len(c) != 1 || c[0].MaxAge >= 0 || c[0].Value != "" {
		t.Errorf("at its end: %d, %v", out.Code, c)
	}
}

func TestSessionEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := with()
		in, _ := enter(t, d, writer)
		time.Sleep(sessionLasts - time.Minute)
		if got := ask(d, "GET", "/v1/logs/one", in.headers()...); got.Code != 200 {
			t.Errorf("before: %d", got.Code)
		}
		time.Sleep(2 * time.Minute)
		if got := ask(d, "GET", "/v1/logs/one", in.headers()...); got.Code != 401 {
			t.Errorf("after: %d", got.Code)
		}
	})
}

func TestSessionSaysWhatMayBeDone(t *testing.T) {
	t.Parallel()
	in, _ := enter(t, with(), reader)
	for _, c := range []struct {
		d       http.Handler
		headers []string
		code    int
		want    session
	}{
		{without(), nil, 200, session{}},
		{with(), nil, 200, session{Readable: true, Writable: true}},
		{New(options(reader, "")), nil, 200, session{Readable: true}},
		{with(), []string{bearer(writer)}, 200, session{Readable: true, Writable: true, Read: true, Write: true}},
		{with(), in.headers(), 200, session{Readable: true, Writable: true, Read: true}},
		{with(), []string{bearer("wrong")}, 401, session{}},
	} {
		got := ask(c.d, "GET", "/v1/session", c.headers...)
		var said session
		if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || got.Code != c.code || said != c.want {
			t.Errorf("%q: %d %s", c.headers, got.Code, got.Body)
		}
	}
	for _, body := range []string{"", "{", strings.Repeat(" ", maxLogin+1) + "{}"} {
		if got := ask(with(), "POST", "/v1/session", "Content-Type: application/json", "Body: "+body); got.Code != 400 {
			t.Errorf("%.10q: %d", body, got.Code)
		}
	}
}

func TestTokenThatCannotBeReadLetsNobodyIn(t *testing.T) {
	t.Parallel()
	o := options(reader, writer)
	o.Write = func() (string, error) { return "", errors.New("/secret/path is gone") }
	for _, given := range []string{writer, ""} {
		got := ask(New(o), "POST", "/v1/builds/one/stop", bearer(given))
		if got.Code != 403 || strings.Contains(got.Body.String(), "/secret/path") {
			t.Errorf("%q: %d %s", given, got.Code, got.Body)
		}
	}
	if got := ask(New(o), "GET", "/v1/logs/one", bearer(reader)); got.Code != 200 {
		t.Errorf("the other token: %d", got.Code)
	}
}

func TestSomeMayFollowAtOnceAndTheRestIsToldSo(t *testing.T) {
	t.Parallel()
	following, end := make(chan struct{}), make(chan struct{})
	o := options(reader, writer)
	o.Public = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			following <- struct{}{}
			<-end
		}
	})
	d := New(o)
	var all sync.WaitGroup
	follow := func(from string) {
		all.Go(func() { ask(d, "GET", "/v1/events", "From: "+from) })
		<-following
	}
	refused := func(from string) {
		t.Helper()
		for _, path := range []string{"/v1/events", "/v1/logs/one?follow=1"} {
			if got := ask(d, "GET", path, "From: "+from, bearer(reader)); got.Code != 503 || got.Header().Get("Retry-After") == "" {
				t.Errorf("one more of %s at %s: %d", from, path, got.Code)
			}
		}
	}
	for range clientStreams {
		follow("192.0.2.1:1")
	}
	refused("192.0.2.1:2")
	for range maxStreams - clientStreams {
		follow("192.0.2.2:1")
	}
	refused("192.0.2.3:1")
	if got := ask(d, "GET", "/v1/status"); got.Code != 200 {
		t.Errorf("what is no stream: %d", got.Code)
	}
	close(end)
	all.Wait()
	if got := ask(d, "GET", "/v1/logs/one", bearer(reader)); got.Code != 200 {
		t.Errorf("when they have gone: %d", got.Code)
	}
}
