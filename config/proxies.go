package config

import (
	"net/netip"
	"slices"
	"strings"
)

// setProxies puts a list of addresses and networks into FrontProxies. It returns what was wanted, or "".
func (s *Supervisor) setProxies(v any) (want string) {
	all, ok := texts(v)
	var networks []string
	for _, text := range all {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil && addr.Zone() == "" {
				network, err = addr.Prefix(addr.BitLen())
			}
		}
		if ok = ok && err == nil && network.IsValid() && network == network.Masked(); !ok {
			break
		}
		networks = append(networks, network.String())
	}
	if !ok {
		return `addresses or networks of proxies, ["10.0.0.7", "10.1.0.0/16"]`
	}
	slices.Sort(networks)
	s.FrontProxies = strings.Join(slices.Compact(networks), " ")
	return ""
}

// Proxies are the networks of FrontProxies.
func (s Supervisor) Proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range strings.Fields(s.FrontProxies) {
		if network, err := netip.ParsePrefix(text); err == nil { // else it was not set by a file
			all = append(all, network)
		}
	}
	return all
}
