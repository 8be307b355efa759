package main

import (
	"fmt"
	"regexp"
	"strings"
)

// markdown writes what docs/ uses of Markdown: headings, paragraphs, lists, tables with one thing a
// row, and code. The title is left out.
func (r *roff) markdown(text string) {
	m := markdown{roff: r, fresh: true}
	for line := range strings.Lines(text) {
		m.line(strings.TrimRight(line, "\n"))
	}
}

// markdown is how far a Markdown text has been read.
type markdown struct {
	*roff
	columns   []string // the headings of the table around the line
	code      bool     // in a block of code
	paragraph bool     // in a paragraph
	fresh     bool     // right below a heading, where no space is needed
}

func (m *markdown) line(line string) {
	if !strings.HasPrefix(line, "|") {
		m.columns = nil
	}
	switch {
	case strings.HasPrefix(line, "```"):
		m.fence()
	case m.code:
		m.lines(line+"\n", escaped)
	case line == "":
		m.paragraph = false
	case strings.HasPrefix(line, "# "):
	case strings.HasPrefix(line, "## "):
		m.section(line[3:])
		m.fresh = true
	case strings.HasPrefix(line, "### "):
		m.subsection(line[4:])
		m.fresh = true
	case strings.HasPrefix(line, "- "):
		m.WriteString(".IP \\(bu 2\n")
		m.lines(line[2:], marked)
		m.paragraph, m.fresh = true, false
	case strings.HasPrefix(line, "|"):
		m.row(line)
	default:
		if !m.paragraph {
			m.space()
			m.paragraph = true
		}
		m.lines(line, marked)
	}
}

// space separates what follows from the text above.
func (m *markdown) space() {
	if !m.fresh {
		m.WriteString(".PP\n")
	}
	m.fresh = false
}

// fence begins or ends a block of code.
func (m *markdown) fence() {
	m.code, m.paragraph = !m.code, false
	if m.code {
		m.space()
		m.WriteString(".RS 4\n.EX\n")
	} else {
		m.WriteString(".EE\n.RE\n")
	}
}

// row writes a row of a table as an item: its first cell, then what has no heading or is the
// meaning, then the rest with headings.
func (m *markdown) row(line string) {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	if m.columns == nil {
		m.columns, m.fresh = cells, false
		return
	}
	if cells[0] == "---" {
		return
	}
	m.term(bold(strings.Trim(cells[0], "`")))
	var rest []string
	for i := 1; i < min(len(m.columns), len(cells)); i++ {
		switch heading := m.columns[i]; {
		case cells[i] == "":
		case heading == "" || heading == "meaning" || len(m.columns) == 2:
			m.lines(cells[i], marked)
		default:
			rest = append(rest, escaped(heading+": ")+marked(cells[i]))
		}
	}
	if len(rest) > 0 {
		fmt.Fprintf(m, ".br\n(%s)\n", strings.Join(rest, "; "))
	}
}

// inline matches code, strong text and links.
var inline = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\[([^\\]]+)\\]\\([^)]+\\)")

// marked returns a line of Markdown as roff: code and strong text are bold, a link is its text.
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
