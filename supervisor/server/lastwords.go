package server

import (
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/traceback"
)

// OutputLines is how much of its own output is looked at for the reason of a server's end.
const OutputLines = 500

// shownLines is how many of them are shown.
const shownLines = 6

// Explain adds to a reason what the server printed last; output is its last lines, at most
// OutputLines.
func Explain(s Server, reason string, output []string) string {
	words := s.LastWords(output)
	if len(words) == 0 {
		return reason
	}
	return reason + "; last output: " + strings.Join(words, " | ")
}

// FailedOutside says that what a server printed last names a cause that may lie outside it and pass by
// itself. It is a guess (traceback.Outside).
func FailedOutside(output []string) bool { return traceback.Outside(output) }

// lastWords picks the last lines that say why a server ended out of its output, without what
// gunicorn says of its own end.
func lastWords(output []string) []string {
	var words []string
	began := -1 // where in words the traceback that is being read began
	for _, line := range traceback.Shorten(output) {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || chatter(text):
			continue
		case strings.HasPrefix(text, "Traceback (most recent call last)"):
			began = len(words)
		case began >= 0 && line[0] != ' ' && !strings.HasPrefix(text, "caused by "):
			// gunicorn 20.1 to 23 shows how it halted itself when a second worker dies while it
			// stops: 30 lines that hide why the workers died.
			if strings.HasPrefix(text, "gunicorn.errors.HaltServer") {
				words, began = words[:began], -1
				continue
			}
			began = -1
		}
		words = append(words, text)
	}
	words = slices.Compact(words) // each worker that was started again says the same
	return words[max(len(words)-shownLines, 0):]
}

// chatter reports whether a line is only gunicorn's own message about stopping, or joins two
// tracebacks: it would hide the line that says why.
func chatter(line string) bool {
	for _, word := range []string{"[INFO] Worker exiting", "[INFO] Shutting down", "[INFO] Handling signal",
		"[INFO] Booting worker", "[INFO] Starting gunicorn", "[INFO] Listening at", "[INFO] Using worker",
		"was terminated due to signal 15", "[INFO] Reason: Worker failed to boot", "Reason: App failed to load",
		"During handling of the above exception, another exception occurred",
		"The above exception was the direct cause of the following exception"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}
