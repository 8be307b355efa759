package supervisor

import (
	"context"
	"fmt"
	"io"
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

func TestDashboardFollowsTheFile(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	with := func(path, token string) string {
		return fmt.Sprintf("front = %q\ndashboard = %q\n%s", address, path, token)
	}
	s := newSite(t, with("/-/", ""), entry("a"))
	s.write("token", "abcdefghijklmnopqrstuvwxyz")
	if err := os.Chmod(filepath.Join(s.dir, "token"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.serves("a")
	do := func(ctx context.Context, method, path, token string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return http.DefaultClient.Do(r)
	}
	code := func(method, path, token string, want int) {
		t.Helper()
		s.eventually(func() string {
			resp, err := do(t.Context(), method, path, token)
			if err != nil {
				return err.Error()
			}
			defer resp.Body.Close()
			if resp.StatusCode != want {
				return fmt.Sprintf("%s %s returns %s", method, path, resp.Status)
			}
			return ""
		})
	}
	code("GET", "/-/", "", 200)
	code("POST", "/-/v1/builds/a/restart", "", 403)
	if st, err := s.client.Status(t.Context()); err != nil || st.Dashboard.Address != address+"/-/" {
		t.Errorf("status is %+v, error %v", st, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := do(ctx, "GET", "/-/v1/events", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	s.builds(with("/-/", `dashboard_write = "token"`), entry("a"))
	if _, err := io.Copy(io.Discard, stream.Body); ctx.Err() != nil {
		t.Errorf("an edit of the dashboard does not end what it streams: %v", err)
	}
	code("POST", "/-/v1/builds/a/restart", "abcdefghijklmnopqrstuvwxyz", 200)
	s.builds(with("/elsewhere/", ""), entry("a"))
	code("GET", "/elsewhere/", "", 200)
	code("GET", "/-/", "", 404)
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
