package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Edit is how the value of one key differs. Its values may hold secrets.
type Edit struct {
	Key  string
	Cost Cost

	before, then any // pointers to the values
}

func editOf(key string, cost Cost, before, then any) Edit { return Edit{key, cost, before, then} }

// Hider takes secrets out of what people are shown.
type Hider struct {
	// Text returns a text without what looks like a secret.
	Text func(text string) string
	// Secret says that the value of a variable is not to be shown.
	Secret func(name, value string) bool
}

// Texts says what an edit changes, a text for each value: "workers 1 → 2". Variables of env have a
// text each, and those that are secret are only named.
func (e Edit) Texts(h Hider) []string {
	before, ok := e.before.(*map[string]string)
	if !ok {
		return []string{e.Key + " " + arrow(shownValue(e.before, h), shownValue(e.then, h))}
	}
	then := *e.then.(*map[string]string)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(union(*before, then))) {
		was, had := (*before)[name]
		is, has := then[name]
		key := e.Key + "." + name
		switch {
		case had && has && was == is:
		case h.Secret(name, was) || h.Secret(name, is):
			all = append(all, key+" "+fate(had, has))
		case !had:
			all = append(all, key+" none → "+shownValue(&is, h))
		case !has:
			all = append(all, key+" "+shownValue(&was, h)+" → none")
		default:
			all = append(all, key+" "+arrow(shownValue(&was, h), shownValue(&is, h)))
		}
	}
	return all
}

// arrow joins two values; where they look the same, what differs is not shown.
func arrow(before, then string) string {
	if before == then {
		return "changed"
	}
	return before + " → " + then
}

// fate says what became of something that was there, and is.
func fate(had, has bool) string {
	switch {
	case !had:
		return "added"
	case !has:
		return "removed"
	}
	return "changed"
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return all
}

// mostShown is how much of a value is shown, in characters.
const mostShown = 80

// shownValue returns a value much as the file has it.
func shownValue(field any, h Hider) string {
	text := ""
	switch f := field.(type) {
	case *any: // of [supervisor]
		if s, ok := (*f).(string); ok {
			return shownValue(&s, h)
		}
		text = fmt.Sprint(*f)
	case *string:
		if *f == "" {
			return "none"
		}
		text = strconv.Quote(h.Text(*f))
	case *Restart:
		text = strconv.Quote(string(*f))
	case *time.Duration:
		text = strconv.Quote(shortTime(*f))
	case *os.FileMode:
		text = fmt.Sprintf(`"%04o"`, *f)
	case *[]string:
		text = shownList(*f, h)
	case *[][]string:
		var lists []string
		for _, one := range *f {
			lists = append(lists, shownList(one, h))
		}
		text = "[" + strings.Join(lists, ", ") + "]"
	case *migration:
		text = fmt.Sprint(*f.on)
		if *f.on && len(*f.databases) > 0 {
			text = shownList(*f.databases, h)
		}
	case *Expect:
		text = fmt.Sprintf(`"%d-%d"`, f.Min, f.Max)
	case *Size, *Cores, *Count:
		if v := reflect.ValueOf(field).Elem(); v.IsZero() {
			text = none
		} else {
			text = fmt.Sprint(v.Interface())
		}
	case *CoreSize:
		if text = Size(*f).String(); *f == NoLimit {
			text = "unlimited"
		}
	case *Ports:
		if text = "all"; f.Limited {
			text = strings.ReplaceAll(fmt.Sprint(f.List), " ", ", ")
		}
	default:
		text = fmt.Sprint(reflect.ValueOf(field).Elem().Interface())
	}
	if r := []rune(text); len(r) > mostShown {
		text = string(r[:mostShown-1]) + "…"
	}
	return text
}

// shortTime is "1m" for what String calls "1m0s".
func shortTime(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// shownList returns a list much as the file has it, or as one text where that has a secret: what
// announces one may stand in the element before it.
func shownList(all []string, h Hider) string {
	plain := strings.Join(all, " ")
	if text := h.Text(plain); text != plain {
		return "[" + text + "]"
	}
	quoted := make([]string, len(all))
	for i, one := range all {
		quoted[i] = strconv.Quote(one)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Lines returns what is done to go from one file to the other: a line for each build that comes or
// goes, and for each value that differs, with what that costs.
func (p Plan) Lines(h Hider) []string {
	var all []string
	for _, name := range p.Added {
		all = append(all, name+": new, is built and started")
	}
	for _, name := range p.Removed {
		all = append(all, name+": removed, drains and stops")
	}
	for _, c := range p.Changed {
		for _, e := range c.Edits {
			for _, text := range e.Texts(h) {
				all = append(all, fmt.Sprintf("%s: %s: %s", c.Name, text, e.Cost))
			}
		}
	}
	for _, e := range p.edits {
		text := strings.Join(e.Texts(h), ", ")
		if e.Key == "log_format" {
			text += " (from the next start or upgrade on)"
		}
		all = append(all, "supervisor: "+text)
	}
	return all
}

// BuildValues returns the values of all keys that cost a rebuild, as people are shown them, by name.
func BuildValues(b Build, h Hider) map[string]string {
	all := map[string]string{}
	add := func(prefix string, known []key) {
		for _, k := range known {
			if k.cost == CostRebuild {
				all[prefix+k.name] = shownValue(k.field(&b), h)
			}
		}
	}
	add("", keys)
	for name, known := range subtables() {
		add(name+".", known)
	}
	return all
}

// DefaultBuildValues returns what BuildValues does for a build that sets no key.
func DefaultBuildValues(h Hider) map[string]string { return BuildValues(defaultBuild(), h) }
