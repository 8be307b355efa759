package supervisor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestFrontFollowsTheFile(t *testing.T) {
	t.Parallel()
	first, second := freeAddress(t), freeAddress(t)
	front := func(address string) string { return fmt.Sprintf("front = %q", address) }
	s := newSite(t, front(first), entry("a"))
	s.start()
	s.serves("a")
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	serves := func(address, path, want string) {
		t.Helper()
		s.eventually(func() string {
			text, err := fetch(once, "http://"+address+path)
			if err != nil && want == "" || err == nil && strings.HasPrefix(text, want) && want != "" {
				return ""
			}
			return fmt.Sprintf("%s%s returns %q, error %v", address, path, text, err)
		})
	}
	serves(first, "/a/", "a ")
	if st, err := s.client.Status(t.Context()); err != nil || st.Front != (control.Part{Address: first}) {
		t.Errorf("status is %+v, error %v", st, err)
	}
	s.builds(front(second), entry("a"), entry("b"))
	serves(second, "/a/", "a ")
	serves(second, "/b/", "b ")
	serves(first, "/a/", "")
	s.builds("", entry("a"), entry("b"))
	serves(second, "/a/", "")
	s.get("a")
}

func TestFrontSaysThatItsAddressIsTaken(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	one := newSite(t, fmt.Sprintf("front = %q", address), entry("a"))
	one.start()
	one.serves("a")
	other := newSite(t, fmt.Sprintf("front = %q", address), entry("a"))
	other.start()
	other.serves("a")
	other.eventually(func() string {
		st, err := other.client.Status(t.Context())
		if err == nil && strings.Contains(st.Front.Trouble, "address already in use") {
			return ""
		}
		return fmt.Sprintf("status is %+v, error %v", st, err)
	})
}

func TestDashboardSaysThatItsAddressIsTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	address := ln.Addr().String()
	s := newSite(t, fmt.Sprintf("dashboard = %q", address), entry("a"))
	s.start()
	s.eventually(func() string {
		st, err := s.client.Status(t.Context())
		if err == nil && st.Dashboard.Address == address && strings.Contains(st.Dashboard.Trouble, "address already in use") {
			return ""
		}
		return fmt.Sprintf("status is %+v, error %v", st, err)
	})
	ln.Close()
	s.eventually(func() string {
		st, err := s.client.Status(t.Context())
		if err == nil && st.Dashboard == (control.Part{Address: address}) {
			return ""
		}
		return fmt.Sprintf("status is %+v, error %v", st, err)
	})
}

func TestDashboardFollowsTheFile(t *testing.T) {
	t.Parallel()
	first, second := freeAddress(t), freeAddress(t)
	with := func(address string, tokens ...string) string {
		return fmt.Sprintf("dashboard = %q\n%s", address, strings.Join(tokens, "\n"))
	}
	s := newSite(t, with(first), entry("a"))
	token := func(file, text string) {
		s.write(file, text)
		if err := os.Chmod(filepath.Join(s.dir, file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const reader, writer = "reader-of-this-test", "writer-of-this-test"
	token("read", reader)
	token("write", writer)
	s.start()
	s.serves("a")
	do := func(ctx context.Context, method, address, path, token string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return http.DefaultClient.Do(r)
	}
	code := func(method, address, path, token string, want int) {
		t.Helper()
		s.eventually(func() string {
			resp, err := do(t.Context(), method, address, path, token)
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			if resp.StatusCode != want {
				return fmt.Sprintf("%s %s returns %s, want %d", method, path, resp.Status, want)
			}
			return ""
		})
	}
	code("GET", first, "/", "", 200)
	code("GET", first, "/v1/status", "", 200)
	code("GET", first, "/v1/logs/a", "", 403)
	code("POST", first, "/v1/builds/a/restart", "", 403)
	if st, err := s.client.Status(t.Context()); err != nil || st.Dashboard != (control.Part{Address: first}) {
		t.Errorf("status is %+v, error %v", st, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	follow := func(path, token string) *http.Response {
		t.Helper()
		stream, err := do(ctx, "GET", first, path, token)
		if err != nil || stream.StatusCode != 200 {
			t.Fatal(stream, err)
		}
		return stream
	}
	ends := func(stream *http.Response, why string) {
		t.Helper()
		defer stream.Body.Close()
		if _, err := io.Copy(io.Discard, stream.Body); ctx.Err() != nil {
			t.Errorf("%s does not end what the dashboard streams: %v", why, err)
		}
	}
	stream := follow("/v1/events", "")
	s.builds(with(first, `dashboard_read = "read"`, `dashboard_write = "write"`), entry("a"))
	ends(stream, "an edit of the tokens")
	code("GET", first, "/v1/logs/a", "", 401)
	code("GET", first, "/v1/logs/a", reader, 200)
	code("POST", first, "/v1/builds/a/restart", reader, 403)
	code("POST", first, "/v1/builds/a/restart", writer, 200)

	// A new token in the same file applies at once, and ends at the next reload what was followed by
	// the old one.
	stream = follow("/v1/events", reader)
	token("read", reader+"-2")
	code("GET", first, "/v1/logs/a", reader, 401)
	code("GET", first, "/v1/logs/a", reader+"-2", 200)
	if _, err := s.client.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	ends(stream, "a new token")

	s.builds(with(second), entry("a"))
	code("GET", second, "/", "", 200)
	s.eventually(func() string {
		if resp, err := do(t.Context(), "GET", first, "/", ""); err == nil {
			resp.Body.Close()
			return "the address before still serves"
		}
		return ""
	})
}

func TestNginxIsToldOfEachLocation(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), "[[build]]\nname = \"b\"\n", entry("c", "strip_prefix = false"))
	s.settings("c", "")
	cfg, err := config.Load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]NginxOptions{"all": {}, "plain": {Plain: true}, "upstreams": {Upstreams: true}, "locations": {Locations: true}} {
		var text strings.Builder
		if err := Nginx(&text, cfg, o); err != nil {
			t.Error(err)
		}
		upstreams, locations := strings.Contains(text.String(), cfg.Socket("a")), strings.Contains(text.String(), "location /")
		if strings.Contains(text.String(), "rewrite ^/c") || strings.Contains(text.String(), "rewrite ^/a") == (name == "upstreams") {
			t.Errorf("%s removes the wrong locations: %s", name, text.String())
		}
		if upstreams == (name == "locations") || locations == (name == "upstreams") || strings.Contains(text.String(), cfg.Socket("b")) {
			t.Errorf("%s: %s", name, text.String())
		}
	}
}
