package importer

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kv is a key with its value as TOML, and why it is so where that is not obvious.
type kv struct{ key, value, why string }

// table is a [[build.process]] or [[build.schedule]].
type table struct {
	kind    string
	name    string
	keys    []kv
	env     []kv
	notes   []string
	reasons []string
}

// entry is a [[build]] to be.
type entry struct {
	name     string
	from     []string // the files it is made of
	keys     []kv
	subs     map[string][]kv // [build.env] and the like
	tables   []table
	notes    []string
	reasons  []string // why it is printed as a comment
	idle     []string // what is not needed any more
	envFiles []string
	s        *service

	app    string // the WSGI application, as gunicorn is told
	dir    string // where it ran
	source string
	appDir string // the Django project there, absolute
	venv   string
	module string // its settings
	names  map[string]bool
}

func newEntry(s *service) *entry {
	return &entry{from: []string{s.from}, subs: map[string][]kv{}, s: s, names: map[string]bool{}}
}

func (e *entry) set(key, value, why string) { e.keys = setKey(e.keys, kv{key, value, why}) }

func (e *entry) sub(table, key, value, why string) {
	e.subs[table] = setKey(e.subs[table], kv{key, value, why})
}

// get returns the value of a key as TOML, "" where it is not set.
func (e *entry) get(key string) string {
	for _, one := range e.keys {
		if one.key == key {
			return one.value
		}
	}
	return ""
}

func setKey(all []kv, one kv) []kv {
	for i := range all {
		if all[i].key == one.key {
			all[i] = one
			return all
		}
	}
	return append(all, one)
}

func (e *entry) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.notes, text) {
		e.notes = append(e.notes, text)
	}
}

func (e *entry) refuse(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.reasons, text) {
		e.reasons = append(e.reasons, text)
	}
}

// unneeded names what the supervisor does by itself.
func (e *entry) unneeded(name string) { e.idle = append(e.idle, name) }

// The values of TOML.

// span writes a time as people do: 90s, 5m, 24h.
func span(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d >= 2*time.Minute && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d%time.Second == 0:
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	return d.String()
}

// sorted ranges over a map in the order of its keys.
func sorted[V any](all map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if !yield(key, all[key]) {
				return
			}
		}
	}
}

// nameOf makes a name that a build, or with dashes a process, may have.
func nameOf(text string, dashes bool) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-' && dashes:
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_-")
	if len(name) > 32 {
		name = strings.TrimRight(name[:32], "_-")
	}
	return name
}
