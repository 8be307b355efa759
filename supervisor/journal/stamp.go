package journal

import (
	"regexp"
	"strings"
	"time"
)

// stamps are the times in lines: gunicorn's, Python's logging's, ISO 8601 and those of access logs.
var stamps = []struct {
	form   *regexp.Regexp
	layout string // of its date, its time, what is less than a second and, where there is one, its zone
}{
	// [2026-11-23 09:00:00 +0000], 2026-11-23 09:00:00,123, 2026-11-23T09:00:00.123Z
	{regexp.MustCompile(`(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)([.,]\d+)? ?([+-]\d\d:?\d\d|Z)?`), "2006-01-02"},
	// [23/Nov/2026:09:00:00 +0000], [23/Nov/2026 09:00:00]
	{regexp.MustCompile(`(\d\d/[A-Z][a-z][a-z]/\d{4})[: ](\d\d:\d\d:\d\d)() ?([+-]\d{4})?`), "02/Jan/2006"},
}

// stampWithin is how far from its beginning a line's time is looked for.
const stampWithin = 100

// stamp is the time that a line says it was written.
func stamp(line string, local *time.Location) (time.Time, bool) {
	line = line[:min(len(line), stampWithin)]
	for _, s := range stamps {
		m := s.form.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		layout, text, zone := s.layout+" 15:04:05", m[1]+" "+m[2]+m[3], local
		switch offset := strings.Replace(m[4], ":", "", 1); offset {
		case "":
		case "Z":
			zone = time.UTC
		default:
			layout, text = layout+" -0700", text+" "+offset
		}
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
