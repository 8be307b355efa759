package show

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// minColumns is the narrowest that anything is laid out for: a narrower terminal breaks lines
// itself.
const minColumns = 40

// page gathers the lines of one text for a terminal.
type page struct {
	out  strings.Builder
	look Look
	now  time.Time
}

func newPage(look Look, now time.Time) page {
	look.Columns = max(look.Columns, minColumns)
	return page{look: look, now: now}
}

func (p *page) line(text string) { p.out.WriteString(text + "\n") }

// wrapped writes text of any number of lines, indented, broken at the page's width.
func (p *page) wrapped(text string) { p.indented(text, 4) }

func (p *page) indented(text string, by int) {
	for _, line := range wrap(text, p.look.Columns-by) {
		p.line(strings.Repeat(" ", by) + line)
	}
}

// clock returns a time as the clock on the wall of whoever reads it shows it.
func (p *page) clock(at time.Time) string {
	return at.In(p.now.Location()).Format("2006-01-02 15:04:05")
}

// wrap breaks text of any number of lines into lines of at most room characters, at spaces where
// there are any.
func wrap(text string, room int) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		rest := []rune(strings.TrimRight(Clean(line), " "))
		for len(rest) > room {
			at := room
			for i := room; i > room/2; i-- {
				if rest[i] == ' ' {
					at = i
					break
				}
			}
			lines = append(lines, string(rest[:at]))
			rest = []rune(strings.TrimLeft(string(rest[at:]), " "))
		}
		lines = append(lines, string(rest))
	}
	return lines
}

// clip shortens text to at most width characters.
func clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}

// plural is a number of things: "1 build", "2 builds".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
