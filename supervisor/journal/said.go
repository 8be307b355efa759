package journal

import (
	"io"
	"os"
	"path/filepath"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// maxSaid is how much Said reads.
const maxSaid = 16 << 10

// Said returns the last lines, at most n, of a log that several processes write to, up to where the last
// ended that was written through f (Append): what is appended through a description leaves its offset there,
// which all who have inherited it share (open(2)). So the last line is theirs for certain, and those before it
// may be of others who wrote at the same time. It returns none where nothing was written, or the log was cut
// since. Lines are for people, as those of TailFrom.
func Said(path string, f *os.File, n int) []string {
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil || end == 0 || n <= 0 {
		return nil
	}
	log, err := untrusted.OpenBelow(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return nil // as with TailFrom: what it explains has an error of its own
	}
	defer log.Close() // it was only read
	info, err := log.Stat()
	if err != nil || info.Size() < end {
		return nil
	}
	if own, err := f.Stat(); err != nil || !os.SameFile(own, info) {
		return nil // it writes somewhere else
	}
	text, _, err := untrusted.DataBefore(log, end, maxSaid)
	if err != nil {
		return nil
	}
	last := lastLines(text, n)
	for i, line := range last {
		last[i] = clean(line)
	}
	return last
}
