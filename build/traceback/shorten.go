package traceback

import (
	"regexp"
	"slices"
	"strings"
)

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
// indentation, by which a traceback is told from what follows it. A group of exceptions becomes as
// many tracebacks, without its frame. Lines of nothing but marks, and steps of importing, are left out,
// and so are the calls within libraries by which the program's own last line came to fail.
func Shorten(lines []string) []string {
	var kept []string
	lines = slices.DeleteFunc(ungrouped(lines), marks)
	for len(lines) > 0 {
		if !strings.HasPrefix(strings.TrimSpace(lines[0]), begins) {
			kept = append(kept, lines[0])
			lines = lines[1:]
			continue
		}
		first, last, rest := chain(lines)
		kept = append(kept, ownLast(last)...)
		for first != "" && continues(rest) { // the message has more lines
			kept, rest = append(kept, rest[0]), rest[1:]
		}
		if why := "caused by " + first; first != "" && !says(last, first) {
			kept = append(kept, why)
		}
		lines = rest
	}
	return kept
}

var (
	frame   = regexp.MustCompile(`^\s+File ".*", line \d+, in `) // without "in" it is where a syntax error is
	library = regexp.MustCompile(`^\s+File "(?:<|[^"]*/(?:(?:site|dist)-packages|lib(?:64)?/python\d[\d.]*)/)`)
)

// ownLast leaves out of a traceback the calls within libraries after the last one of the program
// itself: where few lines are shown they would hide the file that somebody can correct.
func ownLast(lines []string) []string {
	own := -1
	for i, line := range lines {
		if frame.MatchString(line) && !library.MatchString(line) {
			own = i
		}
	}
	from := own + 1
	for from < len(lines) && !frame.MatchString(lines[from]) {
		from++
	}
	to := from
	for to < len(lines) && (frame.MatchString(lines[to]) || inFrame(lines[to])) {
		to++
	}
	if own < 0 || from == len(lines) {
		return lines
	}
	return slices.Concat(lines[:from], lines[to:])
}

// inFrame says that a line quotes the program below the place of a call.
func inFrame(line string) bool {
	return strings.HasPrefix(line, " ") && !strings.HasPrefix(strings.TrimSpace(line), `File "`)
}

// marks says that a line only underlines a part of the one above it, or is a step of Python's own
// importing or running, half a dozen of which stand between an import and what it imports, or of a program
// without a file, such as the one that runs manage.py.
func marks(line string) bool {
	text := strings.TrimLeft(line, " ")
	for _, step := range []string{`File "<frozen importlib.`, `File "<frozen runpy>`, `File "<string>", line `} {
		if strings.HasPrefix(text, step) && strings.Contains(text, ", in ") { // else it is where a syntax error is
			return true
		}
	}
	return strings.HasPrefix(line, " ") && strings.ContainsAny(line, "^~") && strings.Trim(line, " ^~") == ""
}

// continues says that the message of an exception most likely goes on in the line after it: nothing
// else begins there, neither a traceback nor an entry of a log.
func continues(lines []string) bool {
	return len(lines) > 0 && strings.TrimSpace(lines[0]) != "" && lines[0][0] != '[' && !strings.HasPrefix(lines[0], begins)
}

// ungrouped returns lines without the frames that Python draws around the exceptions of a group
// (traceback.py, _ctx.emit).
func ungrouped(lines []string) []string {
	const head = "Exception Group " + begins
	all, inside := make([]string, 0, len(lines)), false
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		if text == "+ "+head {
			inside = true
		}
		if !inside || text == "" || text[0] != '|' && text[0] != '+' {
			inside = false
			all = append(all, line)
			continue
		}
		for strings.HasPrefix(text, "|") { // of a group in a group there are several
			inner := strings.TrimPrefix(text[1:], " ")
			text = inner
			if unframed := strings.TrimLeft(inner, " "); strings.HasPrefix(unframed, "|") || strings.HasPrefix(unframed, "+") {
				text = unframed
			}
		}
		switch {
		case strings.HasSuffix(text, head):
			all = append(all, begins)
		case strings.HasPrefix(text, "+-"): // a border, with the number of an exception
			all = append(all, "")
		default:
			all = append(all, text)
		}
	}
	return all
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
