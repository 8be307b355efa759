package build

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// leftOut is what of an application does not go into a release, to be read in build.log: by name,
// since there may be a __pycache__ in every folder.
type leftOut struct {
	names []string // in the order in which they were seen
	first map[string]string
	count map[string]int
}

// mostLeftOut is how many names are shown.
const mostLeftOut = 50

func (l *leftOut) add(rel string) {
	name := filepath.Base(rel)
	if l.count == nil {
		l.first, l.count = map[string]string{}, map[string]int{}
	}
	if l.count[name]++; l.count[name] == 1 {
		l.names = append(l.names, name)
		l.first[name] = rel
	}
}

// String is a line, or nothing where all goes in.
func (l *leftOut) String() string {
	if len(l.names) == 0 {
		return ""
	}
	var all []string
	for _, name := range l.names[:min(len(l.names), mostLeftOut)] {
		text := l.first[name]
		if more := l.count[name] - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more of that name)", more)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	if more := len(l.names) - mostLeftOut; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return "left out of the release: " + strings.Join(all, ", ") + "\n"
}
