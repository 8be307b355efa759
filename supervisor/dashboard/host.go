package dashboard

import (
	"net"
	"net/netip"
	"strings"
)

// IsOurs reports whether a request's Host may be that of a server of ours, which names lead to. A page
// of evil.example whose name leads to our address (DNS rebinding) has a browser send that name: so
// names are refused but those that only we can have. An address cannot be made to lead elsewhere. Ports
// are not compared: a tunnel has one of its own.
func IsOurs(host string, names []string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	if name == "localhost" {
		return true
	}
	for _, own := range names {
		if own != "" && name == strings.ToLower(own) {
			return true
		}
	}
	return false
}
