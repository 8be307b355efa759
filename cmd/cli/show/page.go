package show

import (
	"fmt"
	"regexp"
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

// parts writes parts of a line, as many in each line as fit: none is broken that has room in one.
func (p *page) parts(all []string) {
	line := ""
	for _, part := range all {
		switch together := line + ", " + part; {
		case line == "":
			line = part
		case width(together) < p.look.Columns: // there is room for a comma
			line = together
		default:
			p.broken(line + ",")
			line = part
		}
	}
	p.broken(line)
}

// broken writes a line, broken where it is too long.
func (p *page) broken(line string) {
	if width(line) <= p.look.Columns {
		p.line(line)
		return
	}
	for _, text := range wrap(Clean(painted.ReplaceAllString(line, "")), p.look.Columns) {
		p.line(text)
	}
}

// painted is what paint adds to a text.
var painted = regexp.MustCompile("\x1b\\[[0-9;]*m")

// width is how many columns of a terminal a text takes.
func width(text string) int { return utf8.RuneCountInString(painted.ReplaceAllString(text, "")) }

// clock returns a time as the clock on the wall of whoever reads it shows it, with its zone.
func (p *page) clock(at time.Time) string { return Clock(at, p.now.Location()) }

// Clock returns a time in a zone, which it names.
func Clock(at time.Time, zone *time.Location) string {
	return at.In(zone).Format("2006-01-02 15:04:05 MST")
}

// command is one that a text tells people to give.
var command = regexp.MustCompile("`medctrl-supervisor [^`]*`|medctrl-supervisor [a-z]+( [a-z0-9_]+)?$")

// glue stands for a space at which no line is broken: Clean leaves none in a text.
const glue = "\x00"

// wrap breaks text of any number of lines into lines of at most room characters, at spaces where
// there are any, though not within a command that people may copy, where it has room in a line.
func wrap(text string, room int) []string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		text := command.ReplaceAllStringFunc(strings.TrimRight(Clean(line), " "), func(c string) string {
			if len(c) > room {
				return c
			}
			return strings.ReplaceAll(c, " ", glue)
		})
		rest := []rune(text)
		for len(rest) > room {
			at := room
			for i := room; i > 0; i-- {
				if rest[i] == ' ' {
					at = i
					break
				}
			}
			lines = append(lines, unglued(rest[:at]))
			rest = []rune(strings.TrimLeft(string(rest[at:]), " "))
		}
		lines = append(lines, unglued(rest))
	}
	return lines
}

func unglued(text []rune) string { return strings.ReplaceAll(string(text), glue, " ") }

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
