package front

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are addresses of proxies between the clients and the front.
type Proxies []netip.Prefix

// Has reports whether a text is the address of one of them.
func (p Proxies) Has(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && slices.ContainsFunc(p, func(one netip.Prefix) bool { return one.Contains(ip.Unmap().WithZone("")) })
}

// Trust sets whose word of where a request came from holds: the last address in X-Forwarded-For that
// is not itself a proxy's is the client's, and X-Forwarded-Proto says how it came. A proxy may have any
// part of the connections.
func (f *Front) Trust(all Proxies) {
	f.proxies.Store(&all)
	f.open.Many(all)
}

// origin is where a request came from.
type origin struct {
	peer   string // the address of who is connected to us; "" over a unix socket, whose peer has none
	client string // that of the client
	proto  string // http or https
}

func (f *Front) originOf(r *http.Request) origin {
	o := origin{proto: "http"}
	if r.TLS != nil {
		o.proto = "https"
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return o
	}
	o.peer, o.client = host, host
	known := f.proxies.Load()
	if known == nil || !known.Has(host) {
		return o
	}
	if said := r.Header.Values("X-Forwarded-Proto"); len(said) == 1 && (said[0] == "http" || said[0] == "https") {
		o.proto = said[0]
	}
	via := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, said := range slices.Backward(via) {
		ip, err := netip.ParseAddr(strings.TrimSpace(said))
		if err != nil {
			break // nothing before it can be known
		}
		if o.client = ip.String(); !known.Has(o.client) {
			break
		}
	}
	return o
}
