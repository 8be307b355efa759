package build

import (
	"regexp"
	"slices"
	"strings"
)

var (
	boxBegins = regexp.MustCompile(`^( *)╰─> \[\d+ lines? of output\]$`)
	// pipChatter is what pip says after the output of a program that failed (22.1 to 25), none of
	// which says why (_internal/exceptions.py, _internal/utils/subprocess.py).
	pipChatter = []string{
		"[end of output]",
		"note: This error originates from a subprocess, and is likely not a problem with pip.",
		"note: This is an issue with the package mentioned above, not pip.",
		"note: This is likely not a problem with pip.",
		"hint: See above for details.", "hint: See above for output from the failure.",
		"error: subprocess-exited-with-error", "error: metadata-generation-failed", "error: legacy-install-failure",
		"× Encountered error while generating package metadata.", "× Encountered error while trying to install package.",
		"╰─> See above for output.",
	}
)

// unboxed returns lines of a step's output without what pip says after the output of a program that
// failed, and without the frame that it draws around that: a page of it would hide why it failed.
func unboxed(lines []string) []string {
	kept := make([]string, 0, len(lines))
	margin, inside, framed := "", false, false // framed: there was a frame
	for _, line := range lines {
		if found := boxBegins.FindStringSubmatch(line); found != nil {
			margin, inside, framed = found[1]+"    ", true, true
			continue
		}
		text := strings.TrimSpace(line)
		if inside = inside && text != "[end of output]"; inside {
			line = strings.TrimPrefix(line, margin)
		}
		if framed && !inside && slices.Contains(pipChatter, text) {
			continue
		}
		kept = append(kept, line)
	}
	return kept
}
