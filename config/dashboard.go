package config

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// minToken is the least number of characters in a token.
const minToken = 16

// ReadToken reads a token that allows more than looking at the dashboard's states: the first line of
// the file at path, without the spaces around it. The error says that the file cannot be read, is
// readable by everybody or writable by others, or is too short to be a secret.
func ReadToken(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read: an error loses nothing
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a plain file", path)
	case info.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("everybody may read %s: chmod o-rwx it", path)
	case info.Mode().Perm()&0o020 != 0:
		return "", fmt.Errorf("the group of %s may write it: chmod g-w it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = strings.TrimSpace(line)
	if len(line) < minToken {
		return "", fmt.Errorf("%s holds fewer than %d characters: make one with `openssl rand -hex 16 > FILE`", path, minToken)
	}
	for i := range len(line) {
		if line[i] <= ' ' || line[i] > '~' {
			return "", errors.New("a token has only ASCII letters, digits and signs, no spaces")
		}
	}
	return line, nil
}

// dashboardAddress returns what is wanted in place of an address, or "" if the address is good.
func dashboardAddress(text string) string {
	if strings.HasPrefix(text, "/") {
		return `an address of its own, such as "127.0.0.1:8081": on a path of the front, as it was before, the applications would share its origin and could act in your name`
	}
	if hostPort(text) != "" {
		return `an address of its own, such as "127.0.0.1:8081"`
	}
	return ""
}

// addresses refuses an address that another part of the supervisor has already.
func (l *loader) addresses(c *Config) {
	s := c.Supervisor
	all := []struct{ key, what, addr, other string }{
		{"front", "the front listens", s.Front, "8080"}, {"dashboard", "the dashboard is", s.Dashboard, "8081"},
		{"metrics", "the metrics are", s.Metrics, "9105"},
	}
	for i, one := range all {
		for _, before := range all[:i] {
			if one.addr != "" && before.addr != "" && meet(one.addr, before.addr) {
				path := join("supervisor", one.key)
				l.wrong(l.at.value(path), path, "%s = %q: %s at %s: give the %s another port, such as %s", one.key, one.addr, before.what, before.addr, one.key, one.other)
				break
			}
		}
	}
}

// dashboard refuses tokens for a dashboard that is not there.
func (l *loader) dashboard(c *Config) {
	s := c.Supervisor
	const path, table = "supervisor.dashboard", "supervisor"
	if s.Dashboard != "" || l.applied || l.lost[table] || l.lost[path] {
		return
	}
	for _, token := range []struct{ key, file string }{{"dashboard_read", s.DashboardRead}, {"dashboard_write", s.DashboardWrite}} {
		if token.file != "" {
			at := join(table, token.key)
			l.wrong(l.at.value(at), at, "%s = %q: there is no dashboard: set dashboard too, such as \"127.0.0.1:8081\"", token.key, token.file)
		}
	}
}

// meet reports whether one could not listen at both of two addresses.
func meet(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || everywhere(hostA) || everywhere(hostB)
}

func everywhere(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
