package show

import (
	"fmt"
	"time"
)

// Span returns a duration in at most five characters: "9d23h", "59m", "7s".
func Span(d time.Duration) string {
	d = max(d, 0)
	units := []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		n := d / u.of
		switch {
		case n == 0 && i < len(units)-1:
			continue
		case n >= 10 || i == len(units)-1:
			return fmt.Sprintf("%d%s", n, u.name)
		}
		lower := units[i+1]
		return fmt.Sprintf("%d%s%d%s", n, u.name, d%u.of/lower.of, lower.name)
	}
	return "0s"
}

// seconds returns how long a step took: precise where it was short.
func seconds(s float64) string {
	switch {
	case s < 0.01:
		return "0s"
	case s < 10:
		return fmt.Sprintf("%.2gs", s)
	}
	return (time.Duration(s * float64(time.Second))).Round(time.Second).String()
}
