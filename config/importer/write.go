package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// order is that of the keys in an entry.
var order = strings.Fields(`name source app_dir requirements settings_dir wsgi location strip_prefix python system_site_packages migrate collectstatic
	working_dir workers threads worker_class timeout graceful_timeout command gunicorn_args env_file user group umask no_new_privs socket_group socket_mode
	autostart replicas restart`)

// subOrder is that of the tables below an entry.
var subOrder = []string{"env", "steps", "health", "limits"}

// width is that of a line of comments.
const width = 100

// page collects lines of TOML.
type page struct {
	strings.Builder
	off bool // what is written now is commented out
}

func (p *page) line(text string) {
	if p.off && text != "" {
		text = "#" + text
	}
	p.WriteString(text + "\n")
}

// say writes a comment, broken into lines. head is what the first begins with.
// A command in it, after "\n$ ", has a line of its own, so that it can be copied.
func (p *page) say(head, text string) {
	text, commands, _ := strings.Cut(text, "\n$ ")
	p.wrapped(head, text)
	if commands != "" {
		for command := range strings.SplitSeq(commands, "\n$ ") {
			p.WriteString("# " + strings.Repeat(" ", len(head)+2) + redact.Plain(command) + "\n")
		}
	}
}

func (p *page) wrapped(head, text string) {
	indent := strings.Repeat(" ", len(head))
	line := "# " + head
	empty := true
	for _, word := range strings.Fields(redact.Plain(text)) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > width {
			p.WriteString(line + "\n")
			line, empty = "# "+indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	p.WriteString(line + "\n")
}

// keys writes keys below each other.
func (p *page) keys(all []kv) {
	widest := 0
	for _, one := range all {
		if len(one.key) <= 20 {
			widest = max(widest, len(one.key))
		}
	}
	for _, one := range all {
		line := fmt.Sprintf("%-*s = %s", widest, one.key, one.value)
		if len(line) > width && strings.HasPrefix(one.value, "[[") {
			line = fmt.Sprintf("%-*s = [\n", widest, one.key)
			for _, item := range splitArray(one.value) {
				line += "  " + item + ",\n"
			}
			line += "]"
		}
		if one.why != "" {
			line += "  # " + redact.Plain(one.why)
		}
		for part := range strings.SplitSeq(line, "\n") {
			p.line(part)
		}
	}
}

// splitArray returns the elements of an array of arrays as they are written.
func splitArray(text string) []string {
	var all []string
	depth, from, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			if depth++; depth == 2 {
				from = i
			}
		case c == ']':
			if depth--; depth == 1 {
				all = append(all, text[from:i+1])
			}
		}
	}
	return all
}

// inOrder returns keys in the order of an entry.
func inOrder(all []kv) []kv {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b kv) int { return slices.Index(order, a.key) - slices.Index(order, b.key) })
	return all
}

// body writes an entry, or what all have in common, below its header.
func (p *page) body(e *entry, prefix string) {
	p.keys(inOrder(e.keys))
	for _, name := range subOrder {
		if keys := e.subs[name]; len(keys) > 0 {
			p.line("[" + prefix + "." + name + "]")
			p.keys(keys)
		}
	}
	for _, t := range e.tables {
		p.line("")
		p.table(t, prefix)
	}
}

func (p *page) table(t table, prefix string) {
	for _, note := range t.notes {
		p.say("- ", t.name+": "+note)
	}
	was := p.off
	if len(t.reasons) > 0 {
		for _, reason := range t.reasons {
			p.say("- ", t.name+" is not taken over: "+reason)
		}
		p.off = true
	}
	p.line("[[" + prefix + "." + t.kind + "]]")
	p.keys(t.keys)
	if len(t.env) > 0 {
		p.line("[" + prefix + "." + t.kind + ".env]")
		p.keys(t.env)
	}
	p.off = was
}

// remarks writes what has no key.
func (p *page) remarks(e *entry) {
	for _, note := range e.notes {
		p.say("- ", note)
	}
	if len(e.idle) > 0 {
		idle := slices.Clone(e.idle)
		slices.Sort(idle)
		p.say("- ", "Not needed any more, the supervisor does it or it has no meaning here: "+strings.Join(slices.Compact(idle), ", ")+".")
	}
}

// entry writes a [[build]], as a comment where it is refused.
func (p *page) entry(e *entry) {
	p.WriteString("\n")
	from := strings.Join(e.from, ", ")
	if len(e.reasons) > 0 {
		p.say("", fmt.Sprintf("NOT TAKEN OVER: the build %q of %s, because", e.name, from))
		for _, reason := range e.reasons {
			p.say("! ", reason)
		}
		p.say("", "Then run import again, or remove the # before each line of it below.")
	} else {
		p.say("", "The build "+e.name+", from "+from+":")
	}
	p.remarks(e)
	p.off = len(e.reasons) > 0
	p.line("[[build]]")
	p.body(e, "build")
	p.off = false
}

// file is the whole file. Only what is not refused counts for what all builds have in common.
func (w *work) file(entries []*entry) []byte {
	var p page
	p.say("", "Made by medctrl-supervisor import. Nothing on this machine was changed.")
	p.say("", "From: "+strings.Join(w.sources(), ", "))
	for _, note := range w.notes {
		p.say("- ", note)
	}
	p.say("", "Next: read the comments, save this, then medctrl-supervisor check, and doctor. All keys: man builds.toml")
	for _, lost := range w.lost {
		p.say("! ", lost)
	}
	p.line("")
	p.line("root = " + tomltext.Text(w.root) + "  # each build's own folder is in it, with its socket: another folder than the old one")
	var taken []*entry
	for _, e := range entries {
		if len(e.reasons) == 0 {
			taken = append(taken, e)
		}
	}
	shared := common(taken)
	if len(shared.keys)+len(shared.subs)+len(shared.tables) > 0 {
		p.line("")
		if len(shared.notes)+len(shared.idle) > 0 {
			p.say("", "For all builds:")
			p.remarks(shared)
		}
		p.line("[defaults]")
		p.body(shared, "defaults")
	}
	for _, e := range entries {
		if len(e.reasons) == 0 {
			e = e.without(shared)
		}
		p.entry(e)
	}
	return []byte(p.String())
}

// common is what several entries have alike, which [defaults] says once.
func common(all []*entry) *entry {
	shared := &entry{subs: map[string][]kv{}}
	if len(all) < 2 {
		return shared
	}
	every := func(has func(*entry) bool) bool {
		return !slices.ContainsFunc(all, func(e *entry) bool { return !has(e) })
	}
	first := all[0]
	for _, one := range first.keys {
		if one.key != "name" && one.key != "location" && every(func(e *entry) bool { return slices.Contains(e.keys, one) }) {
			shared.keys = append(shared.keys, one)
		}
	}
	for name, keys := range first.subs {
		if len(keys) > 0 && every(func(e *entry) bool { return slices.Equal(e.subs[name], keys) }) {
			shared.subs[name] = keys
		}
	}
	same := func(a, b table) bool {
		return a.kind == b.kind && a.name == b.name && slices.Equal(a.keys, b.keys) && slices.Equal(a.env, b.env) && slices.Equal(a.notes, b.notes) && slices.Equal(a.reasons, b.reasons)
	}
	// A build that has a process of its own has none of those of [defaults].
	if every(func(e *entry) bool { return slices.EqualFunc(e.tables, first.tables, same) }) {
		shared.tables = first.tables
	}
	for _, note := range first.notes {
		if every(func(e *entry) bool { return slices.Contains(e.notes, note) }) {
			shared.notes = append(shared.notes, note)
		}
	}
	if every(func(e *entry) bool { return slices.Equal(e.idle, first.idle) }) {
		shared.idle = first.idle
	}
	return shared
}

// without is an entry without what [defaults] says.
func (e *entry) without(shared *entry) *entry {
	own := *e
	own.keys = slices.DeleteFunc(slices.Clone(e.keys), func(one kv) bool { return slices.Contains(shared.keys, one) })
	own.notes = slices.DeleteFunc(slices.Clone(e.notes), func(note string) bool { return slices.Contains(shared.notes, note) })
	if shared.idle != nil {
		own.idle = nil
	}
	if shared.tables != nil {
		own.tables = nil
	}
	own.subs = map[string][]kv{}
	for name, keys := range e.subs {
		if shared.subs[name] == nil {
			own.subs[name] = keys
		}
	}
	return &own
}
