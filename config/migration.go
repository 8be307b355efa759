package config

import (
	"encoding/json"
	"regexp"
	"slices"
)

// migration is the key migrate of a build: whether, and of which databases.
type migration struct {
	on        *bool
	databases *[]string
}

func (m migration) set(v any) bool {
	on, ok := v.(bool)
	if ok {
		*m.on, *m.databases = on, nil
		return true
	}
	all, ok := texts(v)
	if !ok || len(all) == 0 {
		return false
	}
	for i, name := range all {
		if !alias.MatchString(name) || slices.Contains(all[:i], name) {
			return false
		}
	}
	*m.on, *m.databases = true, all
	return true
}

// alias is the name of a database in DATABASES.
var alias = regexp.MustCompile(`^\w[\w.@-]*$`)

// MarshalJSON writes what the file says: a release's identity is made of it.
func (m migration) MarshalJSON() ([]byte, error) {
	if len(*m.databases) > 0 {
		return json.Marshal(*m.databases)
	}
	return json.Marshal(*m.on)
}
