package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"time"
)

// LogLine is a line of a log.
type LogLine struct {
	Time   time.Time `json:"time"` // as the line says; of one that does not, that of the line before it
	Build  string    `json:"build"`
	Source string    `json:"source"` // server, with the processes beside it; build; or schedule/NAME
	Line   string    `json:"line"`
}

// MarshalJSON keeps the promise about the time.
func (l LogLine) MarshalJSON() ([]byte, error) {
	type plain LogLine
	l.Time = l.Time.UTC().Truncate(time.Millisecond)
	return json.Marshal(plain(l))
}

// Record returns a line of a build's log that q asks for, as JSON.
func (q LogQuery) Record(build string, at time.Time, line string) []byte {
	l := LogLine{Time: at, Build: build, Source: "server", Line: line}
	switch {
	case q.Build:
		l.Source = "build"
	case q.Schedule != "":
		l.Source = "schedule/" + q.Schedule
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil // a time of more than four digits' year
	}
	return text
}

// longestPattern bounds what a client has the supervisor look for.
const longestPattern = 1000

// which reads from a query which lines are wanted.
func (q *LogQuery) which(query url.Values) (err error) {
	for key, at := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if given := query.Get(key); given != "" {
			if *at, err = time.Parse(time.RFC3339, given); err != nil {
				return fmt.Errorf("%s=%s: want a time as 2006-01-02T15:04:05Z (RFC 3339)", key, given)
			}
		}
	}
	if pattern := query.Get("grep"); len(pattern) > longestPattern {
		return fmt.Errorf("grep: want a pattern of at most %d bytes", longestPattern)
	} else if pattern != "" {
		if q.Match, err = regexp.Compile(pattern); err != nil {
			return fmt.Errorf("grep=%s: want a regular expression (RE2): %w", pattern, err)
		}
	}
	switch format := query.Get("format"); format {
	case "", "text":
	case "json":
		q.Records = true
	default:
		return fmt.Errorf("format=%s: want text or json", format)
	}
	return nil
}

// LogLines is Log, line by line. With q.Follow it calls current once, before the first line that is new.
func (c Client) LogLines(ctx context.Context, name string, q LogQuery, each func(LogLine) error, current func()) error {
	q.Records = true
	in, out := io.Pipe()
	go func() {
		out.CloseWithError(c.Log(ctx, name, q, func(text []byte) error {
			_, err := out.Write(text)
			return err
		}))
	}()
	defer in.Close()
	lines := bufio.NewReader(in)
	for {
		text, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0, ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case len(text) == 1:
			current()
			continue
		}
		var l LogLine
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("read log of %s: %w", name, err)
		}
		if err := each(l); err != nil {
			return err
		}
	}
}
