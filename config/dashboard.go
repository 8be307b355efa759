package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// minToken is the least number of characters in a token.
const minToken = 16

// ReadToken reads the token that allows more than looking at the dashboard: the first line of the
// file at path, without the spaces around it. The error says that the file cannot be read, is
// readable by everybody, or is too short to be a secret.
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

// dashboardPath returns what is wanted in place of a path, or "" if the path is good.
func dashboardPath(path string) string {
	const want = `a path that begins and ends with a slash, such as "/-/"`
	bare := strings.TrimSuffix(path, "/")
	if bare == path || bare == "" || bare == "/" || location(bare) != "" {
		return want
	}
	return ""
}

// dashboard refuses a dashboard that nobody would see, or that a build's location hides.
func (l *loader) dashboard(c *Config) {
	s := c.Supervisor
	const path, write = "supervisor.dashboard", "supervisor.dashboard_write"
	const table, front = "supervisor", "supervisor.front"
	if s.Dashboard != "" && s.Front == "" && !l.lost[table] && !l.lost[front] {
		l.wrong(l.at.value(path), path, "dashboard = %q: the front serves it: set front too, such as \"127.0.0.1:8080\"", s.Dashboard)
	}
	if s.DashboardWrite != "" && s.Dashboard == "" && !l.lost[table] && !l.lost[path] {
		l.wrong(l.at.value(write), write, "dashboard_write = %q: there is no dashboard: set dashboard too, such as \"/-/\"", s.DashboardWrite)
	}
	for i, b := range c.Builds {
		if s.Dashboard != "" && dashboardPath(s.Dashboard) == "" && overlap(s.Dashboard, b.Location) {
			at := join(l.paths[i], "location")
			l.wrong(l.at.value(at), at, "location = %q: the dashboard is at %s: neither may be below the other, choose another path for one of them", b.Location, s.Dashboard)
		}
	}
}

// overlap reports whether a dashboard and a build would take each other's paths. A build at "/" may
// have a dashboard below it: everything is below it.
func overlap(dashboard, location string) bool {
	if location == "" || location == "/" {
		return false
	}
	return strings.HasPrefix(location+"/", dashboard) || strings.HasPrefix(dashboard, location+"/")
}
