package importer

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// Machine is what an import asks of the machine that the old files are about.
type Machine interface {
	ReadFile(path string) ([]byte, error) // a regular file of at most a MiB
	IsFile(path string) bool
	IsDir(path string) bool
	Glob(pattern string) []string
	Units(ctx context.Context, pattern string) []string // names that systemd knows; none without it
	User(name string) (home, group string, ok bool)
	Processors() int
}

// mostText is the largest file that is read.
const mostText = 1 << 20

// Here is this machine.
type Here struct{}

// ReadFile reads a regular file.
func (Here) ReadFile(path string) ([]byte, error) { return untrusted.ReadFile(path, mostText) }

// IsFile reports whether there is a regular file, at the end of links.
func (Here) IsFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// IsDir reports whether there is a folder.
func (Here) IsDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Glob returns the paths that match, sorted.
func (Here) Glob(pattern string) []string {
	all, err := filepath.Glob(pattern)
	if err != nil {
		return nil // a pattern made of a path with a [ in it
	}
	slices.Sort(all)
	return all
}

// Units asks systemctl. Where there is none, or no systemd to ask, no unit is known.
func (Here) Units(ctx context.Context, pattern string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--", pattern).Output()
	if err != nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 0 {
			all = append(all, words[0])
		}
	}
	return all
}

// User returns a user's home and the name of their first group.
func (Here) User(name string) (home, group string, ok bool) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return "", "", false
		}
	}
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		group = g.Name
	}
	return u.HomeDir, group, true
}

// Processors is how many there are.
func (Here) Processors() int { return runtime.NumCPU() }
