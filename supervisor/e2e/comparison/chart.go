package comparison

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Chart draws a metric of a scenario as bars, one for each program that was measured. The scale is
// logarithmic where the longest bar would otherwise hide the others.
func (r Run) Chart(s Scenario, key string) string {
	var metric Metric
	for _, m := range s.Metrics {
		if m.Key == key {
			metric = m
		}
	}
	var rows []Row
	most, least := 0.0, math.Inf(1)
	for _, row := range s.Rows {
		if v, measured := row.Figures[key]; measured {
			rows = append(rows, row)
			most = max(most, v)
			if v > 0 {
				least = min(least, v)
			}
		}
	}
	const left, width, right, line, top = 170, 360, 150, 24, 44
	logarithmic := most > 50*least
	length := func(v float64) float64 {
		switch {
		case v <= 0 || most <= 0:
			return 0
		case logarithmic:
			// The least that is not nothing has a tenth of the width.
			return width * (0.1 + 0.9*math.Log(v/least)/math.Log(most/least))
		}
		return width * v / most
	}
	title := s.Title + ": " + metric.Title
	if logarithmic {
		title += " (logarithmic)"
	}
	var b strings.Builder
	height := top + line*len(rows) + 8
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="13">`+"\n",
		left+width+right, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n"+`<text x="8" y="24" font-size="15" fill="#1f2328">%s</text>`+"\n", html.EscapeString(title))
	for i, row := range rows {
		y := top + line*i
		colour := "#8c959f"
		if row.Program == r.Ours {
			colour = "#0969da"
		}
		long := length(row.Figures[key])
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#1f2328">%s</text>`+"\n", left-8, y+14, html.EscapeString(row.Program))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, y+1, max(long, 1), line-7, colour)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#1f2328">%s</text>`+"\n", left+max(long, 1)+6, y+14, html.EscapeString(metric.text(row.Figures)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
