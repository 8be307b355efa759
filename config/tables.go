package config

import (
	"maps"
	"slices"
	"strconv"
)

// ownKey is a key of a table that stands once for each of several things of a build.
type ownKey[T any] struct {
	name  string
	field func(*T) any
	check func(v any) (want string)
	parts func(v any) []part
}

// tablesOf returns the tables of a key such as process, however they are written; nil for one that is
// none, which has been reported. ok is false where nothing can be read.
func (l *loader) tablesOf(v any, path, name string) (tables []tomlTable, ok bool) {
	want := "tables, [[build." + name + "]], once for each " + name
	switch v := v.(type) {
	case []tomlTable:
		return v, true
	case []any: // process = [{ name = "…" }]
		for i, one := range v {
			t, is := one.(tomlTable)
			if !is {
				l.mismatch(join(path, strconv.Itoa(i)), name, one, want)
			}
			tables = append(tables, t)
		}
		return tables, true
	case tomlTable:
		l.wrong(l.at.key(path), path, "[build.%s] is one table: write [[build.%s]], once for each %s", name, name, name)
	default:
		l.mismatch(path, name, v, want)
	}
	return nil, false
}

// readOwn puts what a table says into one thing, and returns which keys are wrong, missing ones of
// required too.
func readOwn[T any](l *loader, one *T, known []ownKey[T], t tomlTable, path, called string, required ...string) map[string]bool {
	bad := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		v, at := t[name], join(path, name)
		i := slices.IndexFunc(known, func(k ownKey[T]) bool { return k.name == name })
		if i < 0 {
			l.unknown(at, name, ownNames(known))
			bad[name] = true
			continue
		}
		k := known[i]
		field := k.field(one)
		want := set(field, v)
		if want == "" && k.check != nil {
			want = k.check(value(field))
		}
		var parts []part
		switch {
		case want == "" && k.parts != nil:
			parts = k.parts(value(field))
		case want != "":
			parts = strangers(v, want)
			if len(parts) == 0 {
				if name == "env" {
					v = "…" // it may be a secret
				}
				l.mismatch(at, name, v, want)
			}
			bad[name] = true
		}
		for _, p := range parts {
			l.wrong(l.at.value(p.path(at)), at, "%s = %s: want %s", p.name(name), show(p.shown), p.want)
			bad[name] = true
		}
		if text, is := field.(*string); is && bad[name] {
			*text = "" // so that nothing more is reported about it
		}
	}
	for _, name := range required {
		if at := join(path, name); t[name] == nil && !l.lost[at] && !l.lost[path] {
			l.wrong(l.at.key(path), at, "%s is missing: every [[build.%s]] has one", name, called)
			bad[name] = true
		}
	}
	return bad
}

func ownNames[T any](known []ownKey[T]) []string {
	var all []string
	for _, k := range known {
		all = append(all, k.name)
	}
	return all
}
