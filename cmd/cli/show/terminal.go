package show

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// Look is what text is laid out for.
type Look struct {
	Columns, Rows int
	Color         bool
}

// LookOf returns how text has to look that is written to out: as large as the terminal that out is,
// 80 by 24 where it is none or does not say, and in colour unless $NO_COLOR is set (no-color.org).
func LookOf(out io.Writer) Look {
	columns, rows := size(out)
	return Look{Columns: columns, Rows: rows, Color: IsTerminal(out) && os.Getenv("NO_COLOR") == ""}
}

// IsTerminal reports whether stream, a reader or a writer, is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func size(out io.Writer) (columns, rows int) {
	if f, ok := out.(*os.File); ok {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err == nil && size.Col > 0 && size.Row > 0 {
			return int(size.Col), int(size.Row)
		}
	}
	return 80, 24
}

// Clean removes what would move a terminal's cursor or change its colour: reasons and output hold a
// child's own words.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
}

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// paint returns text in a colour, "" for none, where the terminal has colours.
func (l Look) paint(color, text string) string {
	if !l.Color || color == "" {
		return text
	}
	return color + text + plain
}
