package supervisor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// scrape asks an address for something under a name.
func scrape(t *testing.T, method, address, path, host string) (status int, text string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestMetricsAreServedAtTheirAddressAndNothingElseIs(t *testing.T) {
	t.Parallel()
	first, second := freeAddress(t), freeAddress(t)
	s := newSite(t, fmt.Sprintf("metrics = %q", first), entry("a"))
	s.start()
	s.serves("a")
	is := func(address string) {
		t.Helper()
		s.eventually(func() string {
			status, text, err := scrape(t, "GET", address, "/metrics", "")
			if err == nil && status == 200 && strings.Contains(text, "\nmedctrl_build_up{build=\"a\"} 1\n") {
				return ""
			}
			return fmt.Sprintf("status %d, %v: %.200s", status, err, text)
		})
		if st, err := s.client.Status(t.Context()); err != nil || st.Metrics != (control.Part{Address: address}) {
			t.Errorf("status is %+v, error %v", st.Metrics, err)
		}
	}
	is(first)
	for _, c := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/metrics", "localhost:9105", 200}, {"GET", "/metrics", "127.0.0.1", 200}, {"GET", "/metrics", "[::1]:80", 200},
		{"GET", "/metrics", "evil.example", 421}, {"GET", "/metrics", "evil.example:9105", 421},
		{"POST", "/metrics", "", 405}, {"HEAD", "/metrics", "", 405}, {"GET", "/", "", 404}, {"GET", "/metrics/", "", 404},
		{"GET", "/v1/status", "", 404}, {"GET", "/v1/logs/a", "", 404}, {"POST", "/v1/builds/a/stop", "", 404}, {"POST", "/v1/reload", "", 404},
	} {
		if status, text, err := scrape(t, c.method, first, c.path, c.host); err != nil || status != c.want {
			t.Errorf("%s %s of %q: %d, %v, want %d: %.200s", c.method, c.path, c.host, status, err, c.want, text)
		}
	}
	s.builds(fmt.Sprintf("metrics = %q", second), entry("a"))
	is(second)
	s.builds("", entry("a"))
	s.eventually(func() string {
		if _, _, err := scrape(t, "GET", second, "/metrics", ""); err == nil {
			return "the metrics are still served"
		}
		return ""
	})
	if st, err := s.client.Status(t.Context()); err != nil || st.Metrics != (control.Part{}) {
		t.Errorf("status is %+v, error %v", st.Metrics, err)
	}
}

func TestMetricsSayThatTheirAddressIsTaken(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	address := ln.Addr().String()
	s := newSite(t, fmt.Sprintf("metrics = %q", address), entry("a"))
	s.start()
	trouble := func(is func(control.Part) bool) {
		t.Helper()
		s.eventually(func() string {
			st, err := s.client.Status(t.Context())
			if err == nil && st.Metrics.Address == address && is(st.Metrics) {
				return ""
			}
			return fmt.Sprintf("status is %+v, error %v", st.Metrics, err)
		})
	}
	trouble(func(p control.Part) bool { return strings.Contains(p.Trouble, "address already in use") })
	ln.Close()
	trouble(func(p control.Part) bool { return p.Trouble == "" })
}
