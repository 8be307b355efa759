package build

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/medctrl/medctrl-supervisor/build/traceback"
)

// StepError says which step of a build failed and why.
type StepError struct {
	Build string
	Step  string
	Err   error
	Tail  []string // last lines of the step's output
	Log   string   // where all of it is
	Final bool     // it is not repeated unasked
	Own   bool     // because the code, the settings or a login failed; else because migrate had begun
}

// Error is what failed, why, and where to read more.
func (e *StepError) Error() string {
	text := fmt.Sprintf("build step %s: %v", e.Step, e.Err)
	if len(e.Tail) > 0 {
		text += "; last output: " + strings.Join(e.Tail, " | ")
	}
	text += " (" + e.Log + ")"
	switch {
	case e.Final && e.Own:
		text += "; not repeated until an input, env or env_file changes or somebody asks: `rebuild " + e.Build + "`"
	case e.Final:
		text += "; not repeated by itself, because migrate had begun: correct what is wrong, or `rebuild " + e.Build + "`"
	}
	return text
}

func (e *StepError) Unwrap() error { return e.Err }

// tailLines is how much of a step's output goes with its error.
const tailLines = 6

// tail returns the last lines of f from offset on, without what would move a terminal's cursor.
func tail(f *os.File, offset int64) []string {
	const most = 64 << 10
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end <= offset {
		return nil
	}
	from := max(offset, end-most)
	text := make([]byte, end-from)
	n, _ := f.ReadAt(text, from) // what could be read is shown
	var all []string
	for line := range bytes.Lines(text[:n]) {
		all = append(all, strings.TrimRight(strings.ToValidUTF8(string(line), "?"), "\r\n"))
	}
	var lines []string
	for _, line := range traceback.Shorten(unboxed(all)) {
		if s := strings.TrimSpace(printable(line)); s != "" {
			lines = append(lines, s)
		}
	}
	lines = withoutFindings(lines)
	return lines[max(len(lines)-tailLines, 0):]
}

// withoutFindings leaves out what Django's check lists after its errors: a page of warnings that
// fail nothing would hide the one error that does.
func withoutFindings(lines []string) []string {
	var kept []string
	failed, finding := false, false
	for _, line := range lines {
		switch {
		case line == "CRITICALS:", line == "ERRORS:":
			failed, finding = true, false
		case line == "WARNINGS:", line == "INFOS:", line == "DEBUGS:":
			finding = failed
		case strings.HasPrefix(line, "System check identified "):
			finding = false
		}
		if !finding {
			kept = append(kept, line)
		}
	}
	return kept
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
