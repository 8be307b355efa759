package config

import (
	"fmt"
	"slices"
	"testing"
)

func TestProxiesAreAddressesOrNetworks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const builds = "[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
	file := func(value string) string {
		return "root = \"run\"\n[supervisor]\nfront_proxies = " + value + "\n" + builds
	}
	c := s.good(file(`["10.0.0.4", "10.0.1.9/24", "2001:db8::4", "2001:db8:1::/48"]`))
	if got := fmt.Sprint(c.FrontProxies); got != "[10.0.0.4/32 10.0.1.0/24 2001:db8::4/128 2001:db8:1::/48]" {
		t.Error(got)
	}
	for value, words := range map[string]string{
		`»"10.0.0.4"`: `["10.0.0.4"]`, `[»"lb.example.org"]`: "the address of a proxy", `[»"10.0.0.4:80"]`: "the address of a proxy",
		`["10.0.0.4", »"0.0.0.0/0"]`: "this is everybody", `[»"::/0"]`: "this is everybody", `[»"fe80::1%eth0"]`: "the address of a proxy",
		`[»"::ffff:10.0.0.4"]`: "the address of a proxy",
	} {
		s.bad(file(value), words)
	}
	if plan := Diff(s.good(file("[]")), c); !slices.Equal(plan.Supervisor, []string{"front_proxies"}) {
		t.Errorf("%+v", plan)
	}
}
