package simulate

import (
	"fmt"
	"time"
	"unsafe"
)

// The clock of a bubble cannot be set, and its times have no monotonic reading. So times as the kernel
// gives them are put together here: what they show to people jumps when somebody sets the clock, and
// what is measured from one to another does not.

// setClock is somebody who sets the clock: by minutes or by years, forward or back.
func (w *World) setClock(x uint64) {
	far := []time.Duration{10 * time.Minute, 36 * time.Hour, 20 * 365 * 24 * time.Hour}[x%3]
	w.wallOff = spread(mix(x), -far, far).Truncate(time.Second)
	w.tell("world", fmt.Sprintf("somebody sets the clock to %v", w.wall().UTC().Format(time.DateTime)))
}

// wall is what time.Now returns on this machine.
func (w *World) wall() time.Time { return reading(time.Now().Add(w.wallOff), w.now()) }

// reading is a time that shows shown and was read a time after the machine was started.
func reading(shown time.Time, since time.Duration) (t time.Time) {
	// As package time has it: a flag, 33 bits of seconds since 1885, 30 bits of nanoseconds.
	const flag, seconds = 1 << 63, 30
	parts := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	from := time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC)
	parts.wall = flag | uint64(shown.Unix()-from.Unix())<<seconds | uint64(shown.Nanosecond())
	parts.ext = int64(since) + 1
	return t
}
