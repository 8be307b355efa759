package show

import (
	"io"
	"strings"
)

// Frame writes text over what the terminal shows, without flicker. A note replaces the lines that
// the terminal is too short for.
func Frame(out io.Writer, text string, rows int) error {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if rows = max(rows, 3); len(lines) > rows-1 {
		lines = append(lines[:rows-2], "... (a taller terminal shows more, or: status NAME)")
	}
	var frame strings.Builder
	frame.WriteString("\x1b[H") // home
	for _, line := range lines {
		frame.WriteString(line + "\x1b[K\n") // and clear the rest of the line
	}
	frame.WriteString("\x1b[J") // and of the screen
	_, err := io.WriteString(out, frame.String())
	return err
}
