package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits bound what the trees of processes of a build may use together: servers, processes, schedules,
// hooks. A step of an attempt has them for itself. Zero is no limit, apart from Core.
type Limits struct {
	Memory Size
	CPU    Cores
	Tasks  Count
	Nofile Count
	Core   CoreSize
}

// Size is a number of bytes; 0 is no limit.
type Size uint64

// CoreSize is the largest core dump, in bytes; 0 is none, NoLimit any.
type CoreSize uint64

// NoLimit is a CoreSize without limit.
const NoLimit CoreSize = math.MaxUint64

// Cores are processors: 1.5 is the time of one and a half of them. 0 is no limit.
type Cores float64

// Count is a number of things; 0 is no limit.
type Count int

// none is how a build takes back a limit of [defaults].
const none = "none"

// Groups names the limits that need a cgroup and are set, in a fixed order. What is running gets the
// cgroups for them when it is started: afterwards each can have another value, but none can be added
// for what has been used already.
func (l Limits) Groups() []string {
	var all []string
	for _, limit := range []struct {
		name string
		set  bool
	}{{"memory", l.Memory != 0}, {"cpu", l.CPU != 0}, {"tasks", l.Tasks != 0}} {
		if limit.set {
			all = append(all, limit.name)
		}
	}
	return all
}

// Live returns the limits of what was started with those of begun, now that the file says l: other
// values apply live, of the limits that it has.
func (l Limits) Live(begun Limits) Limits {
	if begun.Memory == 0 {
		l.Memory = 0
	}
	if begun.CPU == 0 {
		l.CPU = 0
	}
	if begun.Tasks == 0 {
		l.Tasks = 0
	}
	l.Nofile, l.Core = begun.Nofile, begun.Core
	return l
}

// String writes a Size as a person would: "512M".
func (s Size) String() string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		if unit := uint64(1) << (10 * (i + 1)); s != 0 && uint64(s)%unit == 0 {
			return strconv.FormatUint(uint64(s)/unit, 10) + sizeUnits[i:i+1]
		}
	}
	return strconv.FormatUint(uint64(s), 10)
}

const sizeUnits = "KMGT"

// parseSize reads "512M", "1.5GiB" and a plain number of bytes. A unit is a power of 1,024.
func parseSize(v any) (uint64, bool) {
	text, ok := v.(string)
	if !ok {
		n, ok := v.(int64)
		return uint64(n), ok && n >= 0
	}
	text = strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "B"), "I")
	unit := 1.0
	if n := len(text); n > 0 {
		if i := strings.IndexByte(sizeUnits, text[n-1]); i >= 0 {
			text, unit = strings.TrimSpace(text[:n-1]), float64(uint64(1)<<(10*(i+1)))
		}
	}
	if strings.Trim(text, "0123456789.") != "" {
		return 0, false // such as 1e3, 0x10 or NaN, which ParseFloat reads
	}
	n, err := strconv.ParseFloat(text, 64)
	return uint64(n * unit), err == nil && n*unit < 1<<60
}

// setLimit puts a value of the file into a field of Limits.
func setLimit(field, v any) (want string) {
	ok := v == none
	switch f := field.(type) {
	case *Size:
		var n uint64
		if !ok {
			n, ok = parseSize(v)
			ok = ok && n > 0
		}
		*f, want = Size(n), `a size such as "512M" or "2G", or "none"`
	case *CoreSize:
		var n uint64
		if v == "unlimited" {
			n, ok = uint64(NoLimit), true
		} else if !ok {
			n, ok = parseSize(v)
		}
		*f, want = CoreSize(n), `0, a size such as "100M", or "unlimited"`
	case *Cores:
		var n float64
		switch v := v.(type) {
		case int64:
			n, ok = float64(v), v > 0
		case float64:
			n, ok = v, v > 0
		}
		*f, want = Cores(n), `a number of processors such as 1.5, or "none"`
	case *Count:
		n, is := v.(int64)
		*f = Count(max(0, min(n, math.MaxInt32)))
		ok, want = ok || is && n > 0, `a whole number above 0, or "none"`
	}
	if ok {
		return ""
	}
	return want
}

// The checks of limits, each returning what was wanted, or "". Below the least value nothing could run.

func memorySize(v any) string {
	if s := v.(Size); s != 0 && s < 4<<20 {
		return `a size of at least "4M"`
	}
	return ""
}

func cores(v any) string {
	if n := v.(Cores); n != 0 && (n < 0.01 || n > 4096) {
		return "a number of processors from 0.01 to 4096"
	}
	return ""
}

func count(low, high Count) func(any) string {
	return func(v any) string {
		if n := v.(Count); n != 0 && (n < low || n > high) {
			return fmt.Sprintf("a whole number from %d to %d", low, high)
		}
		return ""
	}
}
