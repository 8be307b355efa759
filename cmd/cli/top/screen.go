package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
)

// View is the screen.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	return v
}

// screen returns the lines of the screen: as many as it has at most.
func (m *model) screen() []string {
	now := m.now().In(m.Zone)
	look := show.Look{Columns: m.columns, Rows: m.rows, Color: m.Color}
	foot := m.foot()
	room := max(m.rows-len(foot), 1)
	var body []string
	switch m.view {
	case viewLog:
		body = []string{m.log.title()}
		body = append(body, m.log.seen(m.columns, room-1)...)
	case viewPage:
		var text strings.Builder
		if m.page.Status.Name == m.selected {
			show.Long(&text, m.page, look, now)
		}
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		m.top = min(m.top, max(len(lines)-room, 0))
		body = lines[m.top:]
	default:
		body = m.list(look, room)
	}
	body = body[:min(len(body), room)]
	for len(body) < room {
		body = append(body, "")
	}
	return append(body, foot...)
}

// list returns the builds, and below them what there is to say of the selected one.
func (m *model) list(look show.Look, room int) []string {
	now := m.now().In(m.Zone)
	body := show.Head(m.status, look, now)
	body = body[:min(len(body), max(room/4, 1))]
	if m.at() < 0 {
		return append(body, fmt.Sprintf("No build of %d matches %q.", len(m.status.Builds), m.filter))
	}
	l := show.NewList(m.shown, look, now)
	about := show.About(m.shown[m.at()], look, now)
	about = about[:min(len(about), max(room/3, 1))]
	rows := max(room-len(body)-len(about)-2, 1) // the titles, and an empty line above what is said
	if len(m.shown) > rows && rows > 1 {
		rows-- // for how many more there are
	}
	m.top = min(max(m.top, m.at()-rows+1), m.at(), max(len(m.shown)-rows, 0))
	body = append(body, l.Titles)
	for i := m.top; i < min(m.top+rows, len(m.shown)); i++ {
		if i == m.at() {
			body = append(body, reversed(l.Row(i, true), look))
		} else {
			body = append(body, l.Row(i, false))
		}
	}
	if above, below := m.top, len(m.shown)-m.top-rows; below > 0 || above > 0 {
		body = append(body, fmt.Sprintf("and %d more above, %d below", above, max(below, 0)))
	}
	return append(append(body, ""), about...)
}

// reversed marks the line that is selected, over its whole width.
func reversed(line string, look show.Look) string {
	line += strings.Repeat(" ", max(look.Columns-len([]rune(line)), 0))
	return "\x1b[7m" + line + "\x1b[0m"
}

func (l *log) title() string {
	text := "Log of " + l.of
	if l.filter != "" {
		text += fmt.Sprintf(", lines with %q", l.filter)
	}
	if l.up > 0 {
		text += fmt.Sprintf(", %d lines before the newest (End follows)", l.up)
	}
	return text
}

// foot returns the lines at the bottom: what is asked or said, and the keys.
func (m *model) foot() []string {
	said, filter := "", m.filter
	if m.view == viewLog {
		filter = m.log.filter
	}
	switch {
	case m.asking != "":
		said = fmt.Sprintf("Restart %s? A new server is started beside the old one. [y/N]", m.asking)
	case m.typing:
		said = "/" + filter + "_"
	case m.trouble != "":
		said = m.trouble
	case m.said != "":
		said = m.said
	case filter != "" && m.view == viewList:
		said = fmt.Sprintf("filter %q: %d of %d builds; / and Esc show all", filter, len(m.shown), len(m.status.Builds))
	}
	if room := m.columns; len([]rune(show.Clean(said))) > room {
		said = string([]rune(show.Clean(said))[:max(room-1, 0)]) + "…"
	}
	return []string{show.Clean(said), m.keys()}
}

// keys returns what keys do, as many as there is room for.
func (m *model) keys() string {
	hints := []string{"q quit", "↑↓ select", "Enter details", "l logs", "r restart", "/ filter", "s sort: " + orders[m.sort].name}
	switch m.view {
	case viewLog:
		hints = []string{"q back", "↑↓ PgUp PgDn scroll", "End follow", "/ filter", "r restart"}
	case viewPage:
		if hints = []string{"q back", "↑↓ scroll", "l logs", "r restart"}; m.Named != "" {
			hints[0] = "q quit"
		}
	}
	text := ""
	for _, hint := range hints {
		if next := text + "  " + hint; text == "" {
			text = hint
		} else if len([]rune(next)) <= m.columns {
			text = next
		}
	}
	return text
}
