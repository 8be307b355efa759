package journal

import (
	"bytes"
	"regexp"
	"time"
)

// Line is a line of a log and when it was written, by the times that the lines have: one without belongs to the line
// before it.
type Line struct {
	Time time.Time
	Text string
}

// Selection says which lines of a log are wanted. The zero Selection has none.
type Selection struct {
	Since, Until time.Time      // written since then, and before then; zero: no bound
	Match        *regexp.Regexp // that a line matches; nil: any
	Lines        int            // at most so many, the last
	Timed        bool           // lines have their times, also where that decides nothing
}

// All is for Selection.Lines.
const All = int(^uint(0) >> 1)

// Filters says that lines are looked at, and not just counted.
func (s Selection) Filters() bool { return s.Match != nil || !s.Until.IsZero() }

// Of returns the lines that are wanted. changed is when the log was written last, which decides where no line has a time,
// and local the zone of times that name none.
func (s Selection) Of(lines []string, changed time.Time, local *time.Location) []Line {
	if s.Since.IsZero() && s.Until.IsZero() && !s.Timed {
		local = nil
	}
	var all []Line
	for _, line := range timed(lines, changed, local) {
		if line.Time.Before(s.Since) || !s.Until.IsZero() && !line.Time.Before(s.Until) || !s.matches(line.Text) {
			continue
		}
		all = append(all, line)
	}
	return all[max(len(all)-s.Lines, 0):]
}

func (s Selection) matches(line string) bool { return s.Match == nil || s.Match.MatchString(line) }

// timed gives each line its time, unless local is nil. Those before the first that has one were written at that time, or before.
func timed(lines []string, changed time.Time, local *time.Location) []Line {
	all := make([]Line, len(lines))
	if local == nil {
		for i, line := range lines {
			all[i].Text = line
		}
		return all
	}
	at := changed
	for _, line := range lines {
		if first, ok := stamp(line, local); ok {
			at = first
			break
		}
	}
	for i, line := range lines {
		if own, ok := stamp(line, local); ok {
			at = own
		}
		all[i] = Line{at, line}
	}
	return all
}

// maxLine is how much of a line is kept until its end comes.
const maxLine = 1 << 20

// Stream makes lines of what is written to a log, as it comes.
type Stream struct {
	Selection Selection
	Local     *time.Location
	Now       func() time.Time // of lines that have no time, where the line before them has none
	Each      func([]Line) error

	last time.Time // of the last line that had one
	rest []byte    // of a line whose end has not come
}

// Write takes the next piece of the log.
func (s *Stream) Write(text []byte) error {
	s.rest = append(s.rest, text...)
	if len(s.rest) > maxLine && bytes.IndexByte(s.rest, '\n') < 0 {
		s.rest = append(s.rest, '\n')
	}
	var all []Line
	for {
		line, rest, whole := bytes.Cut(s.rest, []byte{'\n'})
		if !whole {
			break
		}
		s.rest = rest
		at, stamped := stamp(string(line), s.Local)
		switch {
		case stamped:
			s.last = at
		case s.last.IsZero():
			at = s.Now()
		default:
			at = s.last
		}
		if s.Selection.matches(string(line)) {
			all = append(all, Line{at, string(line)})
		}
	}
	s.rest = bytes.Clone(s.rest)
	if len(all) == 0 {
		return nil
	}
	return s.Each(all)
}
