package dashboard

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const token = "0123456789abcdef"

// echo is an API that says what came through to it.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method+" "+r.URL.String()) })

func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func withToken() http.Handler {
	return New(Options{API: echo, Token: func() (string, error) { return token, nil }})
}

func TestPageLoadsOnlyWhatIsBesideIt(t *testing.T) {
	t.Parallel()
	d := New(Options{API: echo})
	total := 0
	outside := regexp.MustCompile(`(https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	inline := regexp.MustCompile(`(?i)<style|<script>|\son[a-z]+=|\sstyle=|javascript:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function`)
	err := fs.WalkDir(files, "page", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		total += len(text)
		for _, found := range outside.FindAllString(string(text), -1) {
			if !strings.Contains(found, "www.w3.org") { // the name space of SVG
				t.Errorf("%s names %s", path, found)
			}
		}
		if found := inline.FindString(string(text)); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if total >= 100_000 {
		t.Errorf("the page weighs %d bytes", total)
	}
	index := ask(d, "GET", "/")
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(index.Body.String(), -1) {
		if got := ask(d, "GET", "/"+m[1]); got.Code != 200 || got.Body.Len() == 0 {
			t.Errorf("%s, which the page loads: %d", m[1], got.Code)
		}
	}
	policy := index.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q has no %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || index.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", index.Header())
	}
	tag := index.Header().Get("ETag")
	if got := ask(d, "GET", "/", "If-None-Match: "+tag); got.Code != http.StatusNotModified || got.Body.Len() != 0 {
		t.Errorf("unchanged page: %d, %d bytes", got.Code, got.Body.Len())
	}
}

func TestWhoHasNoTokenOnlyLooks(t *testing.T) {
	t.Parallel()
	right := "Authorization: Bearer " + token
	for name, d := range map[string]http.Handler{"read-only": New(Options{API: echo}), "with token": withToken(),
		"unreadable": New(Options{API: echo, Token: func() (string, error) { return "", errors.New("gone") }})} {
		for _, path := range []string{"/v1/status", "/v1/samples", "/v1/events?follow=0", "/v1/builds/one", "/v1/logs/one?build=1"} {
			if got := ask(d, "GET", path); got.Code != 200 || got.Body.String() != "GET "+path {
				t.Errorf("%s: GET %s: %d %s", name, path, got.Code, got.Body)
			}
		}
		for _, request := range []string{"GET /v1/", "GET /v1/metrics", "GET /metrics", "GET /v1/logs", "GET /v1/builds/a/b", "GET /v1/logs/a/b", "POST /v1/reload",
			"POST /v1/upgrade", "POST /v1/builds/one/explode", "POST /v1/builds/one", "PUT /v1/builds/one/stop", "DELETE /v1/status", "GET /v1/status/x", "GET /nothing", "GET /page/app.js"} {
			method, path, _ := strings.Cut(request, " ")
			if got := ask(d, method, path, right); got.Code != http.StatusNotFound {
				t.Errorf("%s: %s: %d %s", name, request, got.Code, got.Body)
			}
		}
		if got := ask(d, "POST", "/"); got.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: POST /: %d", name, got.Code)
		}
		want := map[string]int{"read-only": 403, "with token": 200, "unreadable": 403}[name]
		if got := ask(d, "POST", "/v1/builds/one/rollback?to=r", right); got.Code != want {
			t.Errorf("%s: rollback with the token: %d %s", name, got.Code, got.Body)
		}
	}
	for header, want := range map[string]int{
		"Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403, "Sec-Fetch-Site: same-origin": 200,
		"Origin: http://elsewhere.example": 403, "Origin: null": 403, "Origin: http://example.com": 200, // httptest's own host
	} {
		if got := ask(withToken(), "POST", "/v1/builds/one/stop", right, header); got.Code != want {
			t.Errorf("%s: %d, want %d", header, got.Code, want)
		}
	}
}

// A wrong token takes a second, and few are tried at a time.
func TestTokensCannotBeGuessedFast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := withToken()
		for _, given := range []string{"", "Authorization: Bearer ", "Authorization: Bearer " + token + "0", "Authorization: bearer " + token, "Authorization: Basic " + token} {
			began := time.Now()
			var headers []string
			if given != "" {
				headers = append(headers, given)
			}
			if got := ask(d, "POST", "/v1/builds/one/stop", headers...); got.Code != 401 || time.Since(began) < time.Second {
				t.Errorf("%q: %d after %v", given, got.Code, time.Since(began))
			}
		}
		began := time.Now()
		codes := make(chan int, 100)
		var all sync.WaitGroup
		for range cap(codes) {
			all.Go(func() { codes <- ask(d, "POST", "/v1/builds/one/stop", "Authorization: Bearer wrong").Code })
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
		if got := ask(d, "POST", "/v1/builds/one/stop", "Authorization: Bearer "+token); got.Code != 200 {
			t.Errorf("the right one afterwards: %d", got.Code)
		}
	})
}

func TestSomeMayFollowAtOnceAndTheRestIsToldSo(t *testing.T) {
	t.Parallel()
	following, end := make(chan struct{}), make(chan struct{})
	d := New(Options{API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/events" {
			following <- struct{}{}
			<-end
		}
	})})
	var all sync.WaitGroup
	for range maxStreams {
		all.Go(func() { ask(d, "GET", "/v1/events") })
		<-following
	}
	for _, path := range []string{"/v1/events", "/v1/logs/one?follow=1"} {
		if got := ask(d, "GET", path); got.Code != 503 || got.Header().Get("Retry-After") == "" {
			t.Errorf("one more at %s: %d", path, got.Code)
		}
	}
	if got := ask(d, "GET", "/v1/status"); got.Code != 200 {
		t.Errorf("what is no stream: %d", got.Code)
	}
	close(end)
	all.Wait()
	if got := ask(d, "GET", "/v1/logs/one"); got.Code != 200 {
		t.Errorf("when they have gone: %d", got.Code)
	}
}

func TestSessionSaysWhatMayBeDone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d               http.Handler
		header          string
		code            int
		writable, write bool
	}{
		{New(Options{API: echo}), "", 200, false, false},
		{withToken(), "", 200, true, false},
		{withToken(), "Authorization: Bearer " + token, 200, true, true},
		{withToken(), "Authorization: Bearer wrong", 401, false, false},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		got := ask(c.d, "GET", "/v1/session", headers...)
		var said struct{ Writable, Write bool }
		if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || got.Code != c.code || said.Writable != c.writable || said.Write != c.write {
			t.Errorf("%q: %d %s", c.header, got.Code, got.Body)
		}
	}
}
