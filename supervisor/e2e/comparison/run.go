package comparison

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Run is what one run of all programs measured.
type Run struct {
	Date      time.Time
	Machine   string // processors, memory, kernel
	Load      string // what else used the machine; empty if nothing to speak of did
	Command   string // that makes it again
	Ours      string // the program that is compared with the others
	Programs  []Program
	Scenarios []Scenario
}

// Program is one of those compared.
type Program struct {
	Name    string
	Version string // empty if it could not be had
	Setup   string // how it was set up, or why it could not be had
}

// Scenario is something that was done to each of them.
type Scenario struct {
	Title   string
	Text    string // what was done
	Metrics []Metric
	Rows    []Row
}

// Row is how one program did.
type Row struct {
	Program string
	Figures map[string]float64 // by Metric.Key; one that is not there was not measured
	Remark  string
	Without string // why there are no figures at all; empty if there are
}

// Metric is a figure that a scenario measures.
type Metric struct {
	Key, Title string
	Unit       Unit
	Of         string // the key of the figure that this one is a part of; empty if there is none
	Better     Better
	// By so much two figures may differ and still be equal: as a part of the better one, and as such.
	Within, Slack float64
}

// Unit is how a figure is written.
type Unit int

// The units.
const (
	Count Unit = iota
	Milliseconds
	Seconds
	Megabytes
	YesNo // 1 or 0
)

// Better is which of two figures is better.
type Better int

// The kinds of comparison.
const (
	Lower Better = iota
	Higher
	Neither // the figure only explains the others
)

// text is a figure as it is written.
func (m Metric) text(figures map[string]float64) string {
	v, measured := figures[m.Key]
	if !measured {
		return "–"
	}
	said := m.Unit.text(v)
	if of, known := figures[m.Of]; known && m.Of != "" {
		said += " of " + m.Unit.text(of)
	}
	return said
}

func (u Unit) text(v float64) string {
	switch u {
	case Milliseconds:
		return Thousands(v) + " ms"
	case Seconds:
		return strconv.FormatFloat(v, 'f', 1, 64) + " s"
	case Megabytes:
		return strconv.FormatFloat(v, 'f', 1, 64) + " MB"
	case YesNo:
		if v == 0 {
			return "no"
		}
		return "yes"
	}
	return Thousands(v)
}

// Thousands is a whole number with commas.
func Thousands(v float64) string {
	digits := strconv.FormatFloat(math.Abs(math.Round(v)), 'f', 0, 64)
	var parts []string
	for len(digits) > 3 {
		parts = append([]string{digits[len(digits)-3:]}, parts...)
		digits = digits[:len(digits)-3]
	}
	said := strings.Join(append([]string{digits}, parts...), ",")
	if math.Round(v) < 0 {
		return "-" + said
	}
	return said
}

// Loss is a figure in which another program is better than ours.
type Loss struct {
	Scenario, Metric string
	Ours, Theirs     string // the figures
	Program          string // whose is the best
}

// Name is how the text around the tables names it: "kill the master, lost".
func (l Loss) Name() string { return l.Scenario + ", " + l.Metric }

func (l Loss) String() string {
	return fmt.Sprintf("%s: %s, and %s with %s", l.Name(), l.Ours, l.Theirs, l.Program)
}

// Losses lists all such figures. A program that was not measured in a scenario is not compared in it;
// if ours was not, there is nothing to compare.
func (r Run) Losses() (all []Loss) {
	for _, s := range r.Scenarios {
		all = append(all, s.losses(r.Ours)...)
	}
	return all
}

func (s Scenario) losses(ours string) (all []Loss) {
	own, found := s.row(ours)
	if !found {
		return nil
	}
	for _, m := range s.Metrics {
		mine, measured := own.Figures[m.Key]
		if !measured || m.Better == Neither {
			continue
		}
		var best Row
		for _, row := range s.Rows {
			theirs, measured := row.Figures[m.Key]
			if row.Program == ours || !measured {
				continue
			}
			if best.Program == "" || m.better(theirs, best.Figures[m.Key]) {
				best = row
			}
		}
		if best.Program != "" && m.worse(mine, best.Figures[m.Key]) {
			all = append(all, Loss{s.Title, m.Title, m.text(own.Figures), m.text(best.Figures), best.Program})
		}
	}
	return all
}

func (s Scenario) row(program string) (Row, bool) {
	for _, row := range s.Rows {
		if row.Program == program {
			return row, true
		}
	}
	return Row{}, false
}

func (m Metric) better(a, b float64) bool {
	if m.Better == Higher {
		return a > b
	}
	return a < b
}

// worse reports whether a figure is worse than another one by more than measuring it twice may make it.
func (m Metric) worse(mine, theirs float64) bool {
	return m.better(theirs, mine) && math.Abs(mine-theirs) > max(m.Slack, m.Within*math.Min(math.Abs(mine), math.Abs(theirs)))
}
