package traceback

import "strings"

// The lines by which Python joins the tracebacks of a chain (traceback.py, _cause_message and
// _context_message).
const (
	causeLine   = "The above exception was the direct cause of the following exception:"
	contextLine = "During handling of the above exception, another exception occurred:"
)

// chained says that a line joins two tracebacks.
func chained(line string) bool { return line == causeLine || line == contextLine }

const begins = "Traceback (most recent call last):"

// Shorten puts one traceback in the place of each chain: the last, which says what failed, followed
// by "caused by " and the exception that the chain began with, which says why. Lines keep their
// indentation, by which a traceback is told from what follows it.
func Shorten(lines []string) []string {
	var kept []string
	for len(lines) > 0 {
		if !strings.HasPrefix(strings.TrimSpace(lines[0]), begins) {
			kept = append(kept, lines[0])
			lines = lines[1:]
			continue
		}
		first, last, rest := chain(lines)
		kept = append(kept, last...)
		if why := "caused by " + first; first != "" && !says(last, first) {
			kept = append(kept, why)
		}
		lines = rest
	}
	return kept
}

// chain takes the tracebacks of one chain off lines. first is the exception of the first of them, or
// "" where it is the only one; last is the last of them.
func chain(lines []string) (first string, last, rest []string) {
	last, exception, rest := one(lines)
	for {
		next, ok := following(rest)
		if !ok {
			return first, last, rest
		}
		if first == "" {
			first = exception
		}
		last, _, rest = one(next)
	}
}

// mostMessage is how many lines the message of an exception may have.
const mostMessage = 40

// following returns lines from the next traceback of the same chain on.
func following(lines []string) (next []string, ok bool) {
	joined := false
	for i, line := range lines {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, begins):
			return lines[i:], joined
		case chained(text):
			joined = true
		case joined && text != "", i > mostMessage:
			return nil, false
		}
	}
	return nil, false
}

// one takes one traceback off lines, up to the line of its exception.
func one(lines []string) (all []string, exception string, rest []string) {
	for i, line := range lines {
		if i > 0 && line != "" && line[0] != ' ' && line[0] != '\t' {
			return lines[:i+1], strings.TrimSpace(line), lines[i+1:]
		}
	}
	return lines, "", nil
}

// says says that the last traceback has what the first said: Django raises a driver's exception
// again under a name of its own.
func says(last []string, first string) bool {
	_, message, ok := strings.Cut(first, ": ")
	if len(last) == 0 || !ok {
		return false
	}
	return strings.Contains(last[len(last)-1], message)
}
