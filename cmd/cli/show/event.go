package show

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Event writes what happened as one line, with the time in a zone.
func Event(w io.Writer, e control.Event, zone *time.Location) error {
	words := []string{e.Time.In(zone).Format("2006-01-02 15:04:05.000 MST"), subject(e) + ":", eventName(e)}
	if e.Release != "" {
		words = append(words, "release "+Clean(e.Release))
	}
	if e.Pid != 0 {
		words = append(words, fmt.Sprintf("pid %d", e.Pid))
	}
	if e.Reason != "" {
		words = append(words, "("+Clean(e.Reason)+")")
	}
	if e.By != "" {
		words = append(words, "by "+Clean(e.By))
	}
	_, err := fmt.Fprintln(w, strings.Join(words, " "))
	return err
}

// subject is what an event concerns.
func subject(e control.Event) string {
	if e.Build == "" {
		return "supervisor"
	}
	return Clean(e.Build)
}

// eventName returns an event's name as words.
func eventName(e control.Event) string { return strings.ReplaceAll(Clean(e.Event), "_", " ") }
