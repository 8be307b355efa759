package show

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Safe returns what to write a log to: out itself where that is no terminal, so that bytes pass as
// they are. A terminal would obey what an application prints (move the cursor, set the title, answer
// in the user's name), so it is shown colours, and everything else as text: ESC as ^[. Close writes
// what is left of a sequence that has not ended.
func Safe(out io.Writer) io.WriteCloser {
	if !IsTerminal(out) {
		return unchanged{out}
	}
	return &escaper{out: out, color: LookOf(out).Color}
}

type unchanged struct{ io.Writer }

func (unchanged) Close() error { return nil }

// Escape is what Safe writes for text that is written to out.
func Escape(out io.Writer, text string) string {
	if !IsTerminal(out) {
		return text
	}
	return escapeAll(text, LookOf(out).Color)
}

// Line writes a line as Safe does. It is lost where out takes nothing any more.
func Line(out io.Writer, text string) { fmt.Fprintln(out, Escape(out, text)) }

func escapeAll(text string, color bool) string {
	e := escaper{color: color}
	return string(e.escape([]byte(text), true))
}

// JSON returns what to write JSON to: a terminal gets the control characters that JSON need not
// escape as \u009b, which means the same.
func JSON(out io.Writer) io.Writer {
	if !IsTerminal(out) {
		return out
	}
	return jsonEscaper{out}
}

type jsonEscaper struct{ out io.Writer }

func (j jsonEscaper) Write(text []byte) (int, error) {
	_, err := j.out.Write(escapeJSON(text))
	return len(text), err
}

func escapeJSON(text []byte) []byte {
	var all bytes.Buffer
	for _, r := range string(text) {
		switch {
		case r == '\n', shown(r):
			all.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&all, `\u%04x`, unit)
			}
		}
	}
	return all.Bytes()
}

// escaper is Safe for a terminal.
type escaper struct {
	out     io.Writer
	color   bool
	pending []byte // of a sequence or a character that has not ended
	colored bool   // since the last reset
}

// Write writes to the terminal.
func (e *escaper) Write(text []byte) (int, error) {
	if _, err := e.out.Write(e.escape(text, false)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Close writes the rest, and ends colours.
func (e *escaper) Close() error {
	_, err := e.out.Write(e.escape(nil, true))
	return err
}

// mostSequence is longer than any sequence that sets colours.
const mostSequence = 64

// escape returns text as the terminal may have it. whole says that nothing comes after it.
func (e *escaper) escape(text []byte, whole bool) []byte {
	text = append(e.pending, text...)
	e.pending = nil
	var all bytes.Buffer
	for len(text) > 0 {
		n := 1
		switch c := text[0]; {
		case c == '\n', c == '\r' && len(text) > 1 && text[1] == '\n':
			e.reset(&all)
			all.WriteByte(c)
		case c == '\t':
			all.WriteByte(c)
		case (c == '\r' || c == 0x1b) && len(text) == 1 && !whole:
			e.pending = text
			return all.Bytes()
		case c == 0x1b:
			sequence, ended := controlSequence(text)
			if !ended && !whole && len(sequence) < mostSequence {
				e.pending = text
				return all.Bytes()
			}
			if ended && setsColors(sequence) {
				if n = len(sequence); e.color {
					all.Write(sequence)
					e.colored = true
				}
				break
			}
			all.WriteString("^[")
		case c < ' ' || c == 0x7f:
			all.WriteString("^" + string(rune(c^0x40))) // as terminals show them: ^G, ^?
		case c < utf8.RuneSelf:
			all.WriteByte(c)
		default:
			if !utf8.FullRune(text) && !whole {
				e.pending = text
				return all.Bytes()
			}
			var r rune
			r, n = utf8.DecodeRune(text)
			switch {
			case r == utf8.RuneError && n == 1:
				fmt.Fprintf(&all, "<%02X>", c)
			case shown(r):
				all.Write(text[:n])
			default:
				fmt.Fprintf(&all, "<U+%04X>", r)
			}
		}
		text = text[n:]
	}
	if whole {
		e.reset(&all)
	}
	return all.Bytes()
}

// reset ends the colours of a line with the line.
func (e *escaper) reset(all *bytes.Buffer) {
	if e.colored {
		all.WriteString(plain)
		e.colored = false
	}
}

// shown says that a character is one to see. Some write text the other way round, or do not show at
// all, and so hide what is there; what joins letters and emojis only joins them.
func shown(r rune) bool { return unicode.IsPrint(r) || r == '\u200c' || r == '\u200d' || r == '\u00a0' }

// controlSequence returns the control sequence that text begins with (ECMA-48, CSI), as far as it is
// there, and whether it has ended.
func controlSequence(text []byte) (sequence []byte, ended bool) {
	if len(text) > 1 && text[1] != '[' {
		return text[:1], true
	}
	for i := 2; i < len(text) && i < mostSequence; i++ {
		switch c := text[i]; {
		case c >= 0x40 && c <= 0x7e:
			return text[:i+1], true
		case c < 0x20 || c > 0x3f:
			return text[:i], true // it is none
		}
	}
	return text[:min(len(text), mostSequence)], false
}

// setsColors says that a control sequence does no more than that (SGR). One that hides text counts as
// more.
func setsColors(sequence []byte) bool {
	inside, ok := strings.CutSuffix(strings.TrimPrefix(string(sequence), "\x1b["), "m")
	if !ok || len(sequence) < 3 {
		return false
	}
	parts := strings.Split(inside, ";")
	for i := 0; i < len(parts); i++ {
		if strings.Trim(parts[i], "0123456789:") != "" {
			return false
		}
		switch strings.TrimLeft(parts[i], "0") {
		case "8": // hidden
			return false
		case "38", "48", "58": // a colour by its number, or by its three parts
			if rest := parts[i+1:]; len(rest) > 0 && rest[0] == "5" {
				i += 2
			} else if len(rest) > 0 && rest[0] == "2" {
				i += 4
			}
		}
	}
	return true
}
