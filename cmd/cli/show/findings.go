package show

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
)

// Findings writes a line for each finding, below the name of its build, and what to do below what is
// not well.
func Findings(w io.Writer, all []doctor.Finding, look Look) {
	var out strings.Builder
	width, counts := 0, map[doctor.Level]int{}
	for _, f := range all {
		width = max(width, utf8.RuneCountInString(f.Check))
		counts[f.Level]++
	}
	group := ""
	for i, f := range all {
		if name := groupOf(f); i == 0 || name != group {
			if group = name; i > 0 {
				out.WriteString("\n")
			}
			out.WriteString(Clean(group) + "\n")
		}
		level := look.paint(levelColor(f.Level), fmt.Sprintf("%-4s", f.Level))
		fmt.Fprintf(&out, "  %s  %-*s  %s\n", level, width, f.Check, Clean(f.Message))
		if f.Fix != "" {
			fmt.Fprintf(&out, "  %s  %-*s  → %s\n", "    ", width, "", Clean(f.Fix))
		}
	}
	fmt.Fprintf(&out, "\n%d ok, %d to look at, %d to fix\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
	io.WriteString(w, out.String()) // a terminal that is gone needs no findings
}

func groupOf(f doctor.Finding) string {
	if f.Build == "" {
		return "this machine"
	}
	return "build " + f.Build
}

func levelColor(l doctor.Level) string {
	switch l {
	case doctor.OK:
		return green
	case doctor.Warn:
		return yellow
	}
	return red
}
