package server

import "strings"

// OutputLines is how many lines of a server's output are searched for the reason it ended.
const OutputLines = 200

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

// lastWords picks from a server's output the last lines that say why it ended, without what
// gunicorn says about its own shutdown.
func lastWords(output []string) []string {
	var words []string
	traceback := -1 // index in words where the current one began
	for _, line := range output {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || chatter(text):
			continue
		case strings.HasPrefix(text, "Traceback (most recent call last)"):
			traceback = len(words)
		case traceback >= 0 && line[0] != ' ':
			// gunicorn 20.1 to 23 shows how it halted itself when a second worker
			// dies while it stops: 30 lines that hide why the workers died.
			if strings.HasPrefix(text, "gunicorn.errors.HaltServer") {
				words, traceback = words[:traceback], -1
				continue
			}
			traceback = -1
		}
		words = append(words, text)
	}
	return words[max(len(words)-shownLines, 0):]
}

// chatter reports whether a line is only gunicorn's own message about stopping, or joins two
// tracebacks: it would hide the line that says why.
func chatter(line string) bool {
	for _, word := range []string{"[INFO] Worker exiting", "[INFO] Shutting down", "[INFO] Handling signal",
		"[INFO] Booting worker", "[INFO] Starting gunicorn", "[INFO] Listening at", "[INFO] Using worker",
		"was terminated due to signal 15", "[INFO] Reason: Worker failed to boot", "Reason: App failed to load",
		"During handling of the above exception, another exception occurred"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}
