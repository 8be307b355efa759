package front

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestOnlyProxiesAreBelievedWhereARequestCameFrom(t *testing.T) {
	t.Parallel()
	f := New(hclog.NewNullLogger(), "")
	for _, c := range []struct {
		what, peer, via, proto string
		want                   origin
	}{
		{"a client", "203.0.113.9:1", "", "", origin{"203.0.113.9", "203.0.113.9", "http"}},
		{"a client that lies", "203.0.113.9:1", "198.51.100.1", "https", origin{"203.0.113.9", "203.0.113.9", "http"}},
		{"a proxy", "10.0.0.4:1", "198.51.100.1", "https", origin{"10.0.0.4", "198.51.100.1", "https"}},
		{"a client of a proxy that lies", "10.0.0.4:1", "10.0.0.5, 192.0.2.1, 198.51.100.1", "https", origin{"10.0.0.4", "198.51.100.1", "https"}},
		{"a proxy of a proxy", "10.0.0.4:1", "192.0.2.1, 198.51.100.1, 10.0.0.5", "http", origin{"10.0.0.4", "198.51.100.1", "http"}},
		{"a proxy that has no client", "10.0.0.4:1", "", "", origin{"10.0.0.4", "10.0.0.4", "http"}},
		{"what is no address", "10.0.0.4:1", "192.0.2.1, unknown, 10.0.0.5", "gopher", origin{"10.0.0.4", "10.0.0.5", "http"}},
		{"a proxy in IPv6", "[2001:db8::4]:1", "2001:DB8:1::1", "https", origin{"2001:db8::4", "2001:db8:1::1", "https"}},
		{"an IPv4 address in IPv6", "[::ffff:10.0.0.4]:1", "198.51.100.1", "https", origin{"::ffff:10.0.0.4", "198.51.100.1", "https"}},
		{"a unix socket", "@", "198.51.100.1", "https", origin{"", "", "http"}},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.via != "" {
			r.Header.Set("X-Forwarded-For", c.via)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		f.Trust(Proxies{netip.MustParsePrefix("10.0.0.0/28"), netip.MustParsePrefix("2001:db8::4/128")})
		if got := f.originOf(r); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		r.Header.Add("X-Forwarded-Proto", "https")
		if got := f.originOf(r); c.proto != "" && got.proto != "http" {
			t.Errorf("%s, who says both: %+v", c.what, got)
		}
		f.Trust(nil)
		if got := f.originOf(r); got.client != got.peer || got.proto != "http" {
			t.Errorf("%s without proxies: %+v", c.what, got)
		}
	}
}
