package comparison

import (
	"fmt"
	"strings"
)

// The lines between which the command writes.
const (
	Begin = "<!-- make compare: what follows is written by the command -->"
	End   = "<!-- make compare: end -->"
)

// Markdown is the run as text. Charts are the files of charts, by the title of their scenario, as links
// from the text.
func (r Run) Markdown(charts map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s by `%s`. Machine: %s.", r.Date.UTC().Format("2006-01-02 15:04 UTC"), r.Command, r.Machine)
	if r.Load != "" {
		fmt.Fprintf(&b, " **%s**", r.Load)
	}
	b.WriteString("\n\n| program | version | how it was set up |\n| --- | --- | --- |\n")
	for _, p := range r.Programs {
		version := p.Version
		if version == "" {
			version = "not compared"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name(p.Name), cell(version), cell(p.Setup))
	}
	for _, s := range r.Scenarios {
		b.WriteString("\n")
		r.scenario(&b, s)
		if file := charts[s.Title]; file != "" {
			fmt.Fprintf(&b, "\n![%s](%s)\n", s.Title, file)
		}
	}
	b.WriteString("\n### Where another one is better\n\n")
	losses := r.Losses()
	for _, l := range losses {
		fmt.Fprintf(&b, "- %s\n", l)
	}
	if len(losses) == 0 {
		b.WriteString("In no figure of this run.\n")
	}
	return b.String()
}

func (r Run) scenario(b *strings.Builder, s Scenario) {
	fmt.Fprintf(b, "### %s\n\n%s\n\n|", strings.ToUpper(s.Title[:1])+s.Title[1:], s.Text)
	worse := map[string]bool{}
	for _, l := range s.losses(r.Ours) {
		worse[l.Metric] = true
	}
	remarks := false
	for _, row := range s.Rows {
		remarks = remarks || row.Remark != ""
	}
	columns := make([]string, 0, len(s.Metrics)+2)
	columns = append(columns, "")
	for _, m := range s.Metrics {
		columns = append(columns, m.Title)
	}
	if remarks {
		columns = append(columns, "remark")
	}
	for _, title := range columns {
		fmt.Fprintf(b, " %s |", title)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(columns)) + "\n")
	for _, row := range s.Rows {
		fmt.Fprintf(b, "| %s |", r.name(row.Program))
		for i, m := range s.Metrics {
			said := m.text(row.Figures)
			switch {
			case row.Without != "" && i == 0:
				said = row.Without
			case row.Without != "":
				said = ""
			case row.Program == r.Ours && worse[m.Title]:
				said += " (worse)"
			}
			fmt.Fprintf(b, " %s |", cell(said))
		}
		if remarks {
			fmt.Fprintf(b, " %s |", cell(row.Remark))
		}
		b.WriteString("\n")
	}
}

func (r Run) name(program string) string {
	if program == r.Ours {
		return "**" + cell(program) + "**"
	}
	return cell(program)
}

// cell is text that stays in its cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(strings.TrimSpace(text))
}

// Put replaces what is between the two lines in a text.
func Put(text, between string) (string, error) {
	before, rest, found := strings.Cut(text, Begin+"\n")
	if !found {
		return "", fmt.Errorf("put the comparison into the text: it has no line %q", Begin)
	}
	_, after, found := strings.Cut(rest, End)
	if !found || strings.Contains(after, Begin) {
		return "", fmt.Errorf("put the comparison into the text: want one line %q, and one %q after it", Begin, End)
	}
	return before + Begin + "\n" + strings.TrimRight(between, "\n") + "\n" + End + after, nil
}

// Marked lists the losses that a text says between the two lines: their names, as in Loss.Name.
func Marked(text string) []string {
	_, rest, _ := strings.Cut(text, Begin)
	between, _, _ := strings.Cut(rest, End)
	_, list, _ := strings.Cut(between, "### Where another one is better")
	var names []string
	for line := range strings.Lines(list) {
		if said, found := strings.CutPrefix(line, "- "); found {
			name, _, _ := strings.Cut(said, ": ")
			names = append(names, name)
		}
	}
	return names
}

// Unexplained lists those of them that what the text says before or after the two lines does not explain. It
// explains one by a line that begins with "- **NAME**".
func Unexplained(text string) (missing []string) {
	before, rest, _ := strings.Cut(text, Begin)
	_, after, _ := strings.Cut(rest, End)
	explained := map[string]bool{}
	for line := range strings.Lines(before + after) {
		if said, found := strings.CutPrefix(line, "- **"); found {
			names, _, _ := strings.Cut(said, "**")
			for name := range strings.SplitSeq(names, "; ") {
				explained[name] = true
			}
		}
	}
	for _, name := range Marked(text) {
		if !explained[name] {
			missing = append(missing, name)
		}
	}
	return missing
}
