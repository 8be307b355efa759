package top

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Options say what is shown.
type Options struct {
	Client  Client
	Wanted  func(name string) bool // which builds
	Named   string                 // the build whose page is shown first; "": the list of all
	Color   bool
	Zone    *time.Location
	In      io.Reader // a terminal, as is Out
	Out     io.Writer
	Refresh time.Duration
}

// Client is what a supervisor is asked by.
type Client interface {
	Status(ctx context.Context) (control.Status, error)
	Detail(ctx context.Context, name string) (control.BuildDetail, error)
	Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (control.Outcome, error)
	Log(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error
}

// ErrInterrupted is the result of Run after Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Run shows first, and then what is asked for, until a person leaves, or ctx ends, which is no error. The terminal is
// afterwards as it was.
func Run(ctx context.Context, o Options, first control.Status) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(ctx, o, first)
	p := tea.NewProgram(m, tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithoutSignalHandler())
	m.send = func(msg tea.Msg) { p.Send(msg) }
	defer context.AfterFunc(ctx, p.Quit)()
	_, err := p.Run()
	if errors.Is(err, tea.ErrInterrupted) {
		return ErrInterrupted
	}
	return err
}

// view is what fills the screen.
type view int

const (
	viewList view = iota
	viewPage      // of one build
	viewLog
)

// model is what is on the screen. Only the program's loop changes it.
type model struct {
	Options
	ctx  context.Context
	now  func() time.Time
	send func(tea.Msg)

	columns, rows int
	status        control.Status
	shown         []control.BuildStatus // of it, filtered and sorted
	trouble       string                // why the status is old
	view          view
	selected      string // a build's name: the order may change
	top           int    // the first line of a list or page that is seen
	sort          int    // of orders
	filter        string
	typing        bool   // the filter is being typed
	asking        string // the build that is to be restarted, once that is confirmed
	said          string // what has come of the last action
	page          control.BuildDetail
	log           log
}

// orders are how builds may be sorted.
var orders = []struct {
	name    string
	compare func(a, b control.BuildStatus) int
}{
	{"trouble", func(a, b control.BuildStatus) int { return -cmp.Compare(one(a.Failing()), one(b.Failing())) }},
	{"name", func(a, b control.BuildStatus) int { return cmp.Compare(a.Name, b.Name) }},
	{"memory", func(a, b control.BuildStatus) int { return cmp.Compare(b.Memory, a.Memory) }},
	{"cpu", func(a, b control.BuildStatus) int { return cmp.Compare(b.CPU, a.CPU) }},
	{"restarts", func(a, b control.BuildStatus) int { return cmp.Compare(b.Restarts-b.ByHand, a.Restarts-a.ByHand) }},
	{"newest", func(a, b control.BuildStatus) int { return b.Since.Compare(a.Since) }},
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Messages of the loop.
type (
	tick      struct{}
	statusMsg struct {
		status control.Status
		err    error
	}
	pageMsg struct {
		page control.BuildDetail
		err  error
	}
	saidMsg string
)

func newModel(ctx context.Context, o Options, first control.Status) *model {
	m := &model{Options: o, ctx: ctx, now: time.Now, columns: 80, rows: 24, send: func(tea.Msg) {}}
	m.take(first)
	if len(m.shown) > 0 {
		m.selected = m.shown[0].Name
	}
	if o.Named != "" {
		m.selected, m.view = o.Named, viewPage
	}
	return m
}

// Init asks for the first things.
func (m *model) Init() tea.Cmd { return tea.Batch(m.ask(), m.later()) }

func (m *model) later() tea.Cmd {
	return tea.Tick(m.Refresh, func(time.Time) tea.Msg { return tick{} })
}

// ask asks the supervisor for what is on the screen.
func (m *model) ask() tea.Cmd {
	ctx, client, name := m.ctx, m.Client, m.selected
	status := func() tea.Msg {
		st, err := client.Status(ctx)
		return statusMsg{st, err}
	}
	if m.view != viewPage {
		return status
	}
	return tea.Batch(status, func() tea.Msg {
		page, err := client.Detail(ctx, name)
		return pageMsg{page, err}
	})
}

// Update takes what happened.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.columns, m.rows = msg.Width, msg.Height
	case tick:
		return m, tea.Batch(m.ask(), m.later())
	case statusMsg:
		if msg.err != nil {
			m.trouble = "the supervisor is away, trying again: " + msg.err.Error()
		} else {
			m.trouble = ""
			m.take(msg.status)
		}
	case pageMsg:
		if msg.err == nil && msg.page.Status.Name == m.selected {
			m.page = msg.page
		}
	case logMsg:
		return m, m.log.take(msg)
	case saidMsg:
		m.said = string(msg)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	return m, nil
}

// take keeps a status.
func (m *model) take(st control.Status) {
	m.status = st
	m.status.Builds = slices.DeleteFunc(slices.Clone(st.Builds), func(b control.BuildStatus) bool { return !m.Wanted(b.Name) })
	m.arrange()
}

// arrange filters and sorts the builds.
func (m *model) arrange() {
	m.shown = slices.DeleteFunc(slices.Clone(m.status.Builds), func(b control.BuildStatus) bool {
		return !strings.Contains(b.Name, m.filter) && !strings.Contains(b.State, m.filter) && !strings.Contains(b.Location, m.filter)
	})
	slices.SortStableFunc(m.shown, orders[m.sort].compare)
	if m.at() < 0 && m.view == viewList && len(m.shown) > 0 {
		m.selected = m.shown[0].Name
	}
}

// at is where the selected build is among those that are shown; -1: nowhere.
func (m *model) at() int {
	return slices.IndexFunc(m.shown, func(b control.BuildStatus) bool { return b.Name == m.selected })
}

// key does what a key is for.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch name := k.String(); {
	case name == "ctrl+c":
		return tea.Interrupt
	case name == "ctrl+\\":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case m.asking != "":
		return m.confirm(name)
	case m.typing:
		m.typed(k)
		return nil
	default:
		m.said = ""
		return m.command(name)
	}
}

// confirm restarts the build that was asked about after y, and only then.
func (m *model) confirm(key string) tea.Cmd {
	name := m.asking
	m.asking = ""
	if key != "y" && key != "Y" {
		m.said = name + " was not restarted"
		return nil
	}
	ctx, client, send := m.ctx, m.Client, m.send
	m.said = name + ": restart requested"
	return func() tea.Msg {
		_, err := client.Act(ctx, name, "restart", nil, func(line string) { send(saidMsg(line)) })
		if err != nil {
			return saidMsg(fmt.Sprintf("%s: restart failed: %v", name, err))
		}
		return saidMsg(name + ": restart done")
	}
}

// typed changes the filter.
func (m *model) typed(k tea.KeyPressMsg) {
	filter := &m.filter
	if m.view == viewLog {
		filter = &m.log.filter
	}
	switch text := []rune(*filter); k.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, *filter = false, ""
	case "backspace":
		*filter = string(text[:max(len(text)-1, 0)])
	case "ctrl+u":
		*filter = ""
	default:
		*filter += show.Clean(k.Key().Text)
	}
	m.arrange()
}

// command does what a key is for where nothing is being typed.
func (m *model) command(key string) tea.Cmd {
	switch key {
	case "q":
		if m.view != viewList && m.Named == "" {
			m.back()
			return nil
		}
		return tea.Quit
	case "esc", "left", "h":
		if m.view == viewLog || m.view == viewPage && m.Named == "" {
			m.back()
		}
		return nil
	case "r":
		if _, ok := m.build(); ok {
			m.asking = m.selected
		}
		return nil
	case "/":
		m.typing = m.view != viewPage
		return nil
	case "l":
		if _, ok := m.build(); ok && m.view != viewLog {
			m.view, m.top = viewLog, 0
			return m.log.open(m.ctx, m.Client, m.selected)
		}
		return nil
	case "s":
		if m.view == viewList {
			m.sort = (m.sort + 1) % len(orders)
			m.arrange()
		}
		return nil
	case "enter", "right":
		if _, ok := m.build(); ok && m.view == viewList {
			m.view, m.top, m.page = viewPage, 0, control.BuildDetail{}
			return m.ask()
		}
		return nil
	}
	m.move(key)
	return nil
}

// back leaves a log, or the page of a build.
func (m *model) back() {
	m.log.shut()
	if m.view, m.top = viewList, 0; m.Named != "" {
		m.view = viewPage
	}
}

// build returns the selected build.
func (m *model) build() (control.BuildStatus, bool) {
	for _, b := range m.status.Builds {
		if b.Name == m.selected {
			return b, true
		}
	}
	return control.BuildStatus{}, false
}

// move moves among builds, or over a page or a log.
func (m *model) move(key string) {
	const all = 1 << 20
	by, known := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -m.rows / 2, "ctrl+u": -m.rows / 2, "pgdown": m.rows / 2, "ctrl+d": m.rows / 2, "space": m.rows / 2,
		"home": -all, "g": -all, "end": all, "G": all}[key]
	switch {
	case !known:
	case m.view == viewLog:
		m.log.scroll(by)
	case m.view == viewPage:
		m.top = max(m.top+by, 0)
	case len(m.shown) > 0:
		m.selected = m.shown[min(max(m.at()+by, 0), len(m.shown)-1)].Name
	}
}
