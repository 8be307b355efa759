package main

import (
	"fmt"
	"regexp"
	"strings"
)

// roff writes a manual page in the macros of man(7).
type roff struct{ strings.Builder }

// newRoff begins a page; date and source stand in its foot.
func newRoff(name string, section int, date, source, summary string) *roff {
	r := &roff{}
	// A short last word: it stands between two long names, in 80 columns. Lines are
	// not stretched.
	fmt.Fprintf(r, ".TH %s %d \"%s\" %s \"medctrl\"\n.ad l\n", quoted(strings.ToUpper(name)), section, date, quoted(source))
	r.section("NAME")
	fmt.Fprintf(r, "%s \\- %s\n", escaped(name), escaped(summary))
	return r
}

func (r *roff) section(title string)    { fmt.Fprintf(r, ".SH %s\n", quoted(title)) }
func (r *roff) subsection(title string) { fmt.Fprintf(r, ".SS %s\n", quoted(title)) }

// prose writes paragraphs, parted by empty lines.
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

// term is what a paragraph is about; how it looks is the caller's.
func (r *roff) term(marked string) { r.WriteString(".TP\n" + started(marked) + "\n") }

func (r *roff) items(items []item) {
	for _, i := range items {
		r.term(bold(i.name))
		r.lines(i.text, escaped)
	}
}

func (r *roff) lines(text string, mark func(string) string) {
	for line := range strings.Lines(text) {
		r.WriteString(started(mark(strings.TrimRight(line, "\n"))) + "\n")
	}
}

// Names are not parted at the end of a line: that is the \%.
func bold(text string) string   { return `\fB\%` + escaped(text) + `\fR` }
func italic(text string) string { return `\fI\%` + escaped(text) + `\fR` }

var special = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`)

// escaped keeps text from being read as a request or made typographic: it may be
// copied to a shell.
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

// started keeps the start of a line from being a request.
func started(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

// quoted is an argument of a macro.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"`
}

// markdown writes what docs/ uses of Markdown: headings, paragraphs, lists, tables
// whose rows are one thing each, and code. Its title is left out.
func (r *roff) markdown(text string) {
	var columns []string // of the table we are in
	code, paragraph, headed := false, false, true
	begin := func() {
		if !headed {
			r.WriteString(".PP\n")
		}
		headed = false
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, "|") {
			columns = nil
		}
		switch {
		case strings.HasPrefix(line, "```"):
			code, paragraph = !code, false
			if code {
				begin()
				r.WriteString(".RS 4\n.EX\n")
			} else {
				r.WriteString(".EE\n.RE\n")
			}
		case code:
			r.lines(line+"\n", escaped)
		case line == "":
			paragraph = false
		case strings.HasPrefix(line, "# "):
		case strings.HasPrefix(line, "## "):
			r.section(line[3:])
			headed = true
		case strings.HasPrefix(line, "### "):
			r.subsection(line[4:])
			headed = true
		case strings.HasPrefix(line, "- "):
			r.WriteString(".IP \\(bu 2\n")
			r.lines(line[2:], marked)
			paragraph, headed = true, false
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			switch {
			case columns == nil:
				columns, headed = cells, false
			case cells[0] != "---":
				r.row(columns, cells)
			}
		default:
			if !paragraph {
				begin()
				paragraph = true
			}
			r.lines(line, marked)
		}
	}
}

// row writes a table's row: its first cell, what has no heading or is the
// meaning, and then the rest by its headings.
func (r *roff) row(columns, cells []string) {
	r.term(bold(strings.Trim(cells[0], "`")))
	var rest []string
	for i := 1; i < min(len(columns), len(cells)); i++ {
		switch {
		case cells[i] == "":
		case columns[i] == "" || columns[i] == "meaning" || len(columns) == 2:
			r.lines(cells[i], marked)
		default:
			rest = append(rest, escaped(columns[i]+": ")+marked(cells[i]))
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(r, ".br\n(%s)\n", strings.Join(rest, "; "))
	}
}

var inline = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\[([^\\]]+)\\]\\([^)]+\\)")

// marked is a line of Markdown: code and what is strong are bold, a link is its
// text.
func marked(line string) string {
	var b strings.Builder
	at := 0
	for _, m := range inline.FindAllStringSubmatchIndex(line, -1) {
		b.WriteString(escaped(line[at:m[0]]))
		at = m[1]
		switch {
		case m[2] >= 0:
			b.WriteString(bold(line[m[2]:m[3]]))
		case m[4] >= 0:
			b.WriteString(bold(line[m[4]:m[5]]))
		default:
			b.WriteString(marked(line[m[6]:m[7]]))
		}
	}
	b.WriteString(escaped(line[at:]))
	return b.String()
}
