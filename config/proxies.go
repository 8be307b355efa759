package config

import (
	"net/netip"
	"strconv"
)

// proxies reads front_proxies: addresses and networks.
func (l *loader) proxies(c *Config, v any) {
	const at, want = "supervisor.front_proxies", `the address of a proxy, or a network of proxies, such as "10.0.0.4" or "10.0.0.0/28"`
	var all []string
	if set(&all, v) != "" {
		l.mismatch(at, "front_proxies", v, `addresses or networks in quotes, ["10.0.0.4"]`)
		return
	}
	for i, text := range all {
		prefix, err := netip.ParsePrefix(text)
		if addr, wrong := netip.ParseAddr(text); wrong == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || prefix.Addr().Is4In6():
			l.wrong(l.at.value(join(at, strconv.Itoa(i))), at, "front_proxies[%d] = %s: want %s", i, show(text), want)
		case prefix.Bits() == 0:
			l.wrong(l.at.value(join(at, strconv.Itoa(i))), at, "front_proxies[%d] = %s: want %s; this is everybody, who could then say that a request came by HTTPS, or from another address", i, show(text), want)
		default:
			c.FrontProxies = append(c.FrontProxies, prefix.Masked())
		}
	}
}
