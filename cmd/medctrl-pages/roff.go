package main

import (
	"fmt"
	"strings"
)

// roff writes a manual page in the macros of man(7).
//
// The generator that comes with cobra does not serve: it reads help as Markdown, which eats * and _
// in patterns, leaves hyphens for roff to make typographic, so that a copied option does not work,
// and has no place for groups, exit codes, environment and files.
type roff struct{ strings.Builder }

// newRoff begins a page with date and source in its footer.
func newRoff(name string, section int, date, source, summary string) *roff {
	r := &roff{}
	// A short last argument: in the header it stands between two long names, within 80 columns.
	// Lines are not stretched to the right margin (.ad l).
	fmt.Fprintf(r, ".TH %s %d \"%s\" %s \"medctrl\"\n.ad l\n", quoted(strings.ToUpper(name)), section, date, quoted(source))
	r.section("NAME")
	fmt.Fprintf(r, "%s \\- %s\n", escaped(name), escaped(summary))
	return r
}

func (r *roff) section(title string)    { fmt.Fprintf(r, ".SH %s\n", quoted(title)) }
func (r *roff) subsection(title string) { fmt.Fprintf(r, ".SS %s\n", quoted(title)) }

// prose writes paragraphs, which empty lines separate.
func (r *roff) prose(text string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			r.WriteString(".PP\n")
		}
		r.lines(strings.TrimSpace(paragraph), escaped)
	}
}

// code writes lines as they are.
func (r *roff) code(text string) {
	r.WriteString(".RS 4\n.EX\n")
	r.lines(strings.Trim(text, "\n"), escaped)
	r.WriteString(".EE\n.RE\n")
}

// term begins an item with its name, which the caller has marked up.
func (r *roff) term(marked string) { r.WriteString(".TP\n" + started(marked) + "\n") }

func (r *roff) lines(text string, mark func(string) string) {
	for line := range strings.Lines(text) {
		r.WriteString(started(mark(strings.TrimRight(line, "\n"))) + "\n")
	}
}

// bold and italic mark up names, which are not hyphenated at the end of a line (\%).
func bold(text string) string   { return `\fB\%` + escaped(text) + `\fR` }
func italic(text string) string { return `\fI\%` + escaped(text) + `\fR` }

// special are characters that roff gives a meaning or another look.
var special = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`)

// escaped keeps characters from being read as roff or made typographic: a reader may copy them to a
// shell.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range special.Replace(text) {
		if c < 0x80 {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, c)
		}
	}
	return b.String()
}

// started keeps the start of a line from being read as a request.
func started(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// quoted returns text as an argument of a macro.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"`
}
