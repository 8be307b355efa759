package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// HostEnv is the variable that names this host where the system's own name does not do.
const HostEnv = "MEDCTRL_HOST"

// HostName is the name of this host, which once_on is compared with: what [HostEnv] says in environ,
// or else the system's.
func HostName(environ []string) (string, error) {
	for _, entry := range environ {
		name, set := strings.CutPrefix(entry, HostEnv+"=")
		if set && name != "" {
			if want := onlyHost(name); want != "" {
				return "", fmt.Errorf("%s = %s: want %s", HostEnv, show(name), want)
			}
			return name, nil
		}
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find this host's name: %w: set %s", err, HostEnv)
	}
	return name, nil
}

// Elsewhere is what of a build is another host's to do, as once_on says. The zero Elsewhere is nothing.
type Elsewhere struct {
	Host                 string   // that migrates the databases, and runs these
	Processes, Schedules []string // their names
}

// Here reports whether once_on leaves what is done once to the host of that name.
func (b Build) Here(host string) bool { return b.OnceOn == "" || sameHost(b.OnceOn, host) }

// On returns c as the host of that name runs it: what a build has done once is taken out, and in its
// Elsewhere, where another host does it. Of nil it is nil.
func (c *Config) On(host string) *Config {
	if c == nil || !slices.ContainsFunc(c.Builds, func(b Build) bool { return !b.Here(host) }) {
		return c
	}
	here := *c
	here.Builds = make([]Build, len(c.Builds))
	for i, b := range c.Builds {
		here.Builds[i] = b.on(host)
	}
	return &here
}

func (b Build) on(host string) Build {
	if b.Here(host) {
		return b
	}
	processes, schedules := b.Processes, b.Schedules
	b.Processes, b.Schedules = nil, nil
	b.Elsewhere = Elsewhere{b.OnceOn, []string{}, []string{}}
	for _, p := range processes {
		if p.Once {
			b.Elsewhere.Processes = append(b.Elsewhere.Processes, p.Name)
		} else {
			b.Processes = append(b.Processes, p)
		}
	}
	for _, s := range schedules {
		if s.Once {
			b.Elsewhere.Schedules = append(b.Elsewhere.Schedules, s.Name)
		} else {
			b.Schedules = append(b.Schedules, s)
		}
	}
	return b
}

// sameHost compares names of hosts, of which either may lack its domain.
func sameHost(a, b string) bool {
	a, b = strings.ToLower(strings.TrimSuffix(a, ".")), strings.ToLower(strings.TrimSuffix(b, "."))
	shortA, domainA, _ := strings.Cut(a, ".")
	shortB, domainB, _ := strings.Cut(b, ".")
	return shortA == shortB && (domainA == domainB || domainA == "" || domainB == "")
}

// onlyHost is the check of once_on: what names one host of several.
func onlyHost(v any) string {
	name := v.(string)
	switch {
	case name == "":
		return "" // each host, whatever [defaults] says
	case strings.EqualFold(name, "localhost") || strings.HasPrefix(strings.ToLower(name), "localhost."):
		return "a name that one host alone has, as `hostname` prints it"
	case len(name) > 253 || !hostNames.MatchString(name):
		return "the name of a host, as `hostname` prints it"
	}
	return ""
}

var hostNames = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*$`)
