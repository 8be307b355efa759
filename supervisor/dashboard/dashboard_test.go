package dashboard

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

const (
	reader = "0123456789abcdef"
	writer = "fedcba9876543210"
)

// echo is an API that says what came through to it, and as whose.
func echo(whose string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, whose+" "+r.Method+" "+r.URL.String())
	})
}

// without is a dashboard without tokens, and with is one that has both.
func without() http.Handler { return New(Options{API: echo("all"), Public: echo("public")}) }

func with() http.Handler { return New(options(reader, writer)) }

func options(read, write string) Options {
	o := Options{API: echo("all"), Public: echo("public"), Cookie: "medctrl_8081", Names: []string{"ops.example"}}
	if read != "" {
		o.Read = func() (string, error) { return read, nil }
	}
	if write != "" {
		o.Write = func() (string, error) { return write, nil }
	}
	return o
}

// ask sends a request of a client at localhost. A header "Body: x" is its body.
func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	var body io.Reader
	for _, h := range headers {
		if text, ok := strings.CutPrefix(h, "Body: "); ok {
			body = strings.NewReader(text)
		}
	}
	r := httptest.NewRequest(method, path, body)
	r.Host = "localhost:8081"
	for _, h := range headers {
		switch name, value, _ := strings.Cut(h, ": "); name {
		case "Host":
			r.Host = value
		case "From":
			r.RemoteAddr = value
		case "Body":
		default:
			r.Header.Add(name, value)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func TestPageLoadsOnlyWhatIsBesideIt(t *testing.T) {
	t.Parallel()
	d := without()
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
			if !strings.Contains(found, "www.w3.org") && (path != "page/uplot.js" || found != "https://github.com") { // the name space of SVG; a comment
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
	if total >= 150_000 {
		t.Errorf("the page and the library of its charts weigh %d bytes", total)
	}
	library, err := files.ReadFile("page/uplot.js")
	if err != nil || !strings.Contains(string(library), "The MIT License") || !strings.Contains(string(library), "uPlot 1.") {
		t.Errorf("the library of the charts has lost its licence or its version: %v", err)
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
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		for _, path := range []string{"/", "/app.js", "/v1/status", "/v1/session", "/nothing"} {
			if got := ask(d, "GET", path).Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}
