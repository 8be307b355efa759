package logsink

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// IsJournal reports whether the descriptor leads to the journal of systemd, according to environ,
// which has the form of os.Environ. The variable is inherited by whatever a service starts, so it
// names the device and inode of the descriptor it is about (systemd.exec(5), $JOURNAL_STREAM): for
// one that was redirected since it means nothing.
func IsJournal(environ []string, fd uintptr) bool {
	const key = "JOURNAL_STREAM="
	i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, key) })
	if i < 0 {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return false // there is no such descriptor
	}
	return strings.TrimPrefix(environ[i], key) == fmt.Sprintf("%d:%d", uint64(st.Dev), st.Ino)
}

// Prioritized begins each line with its priority as the journal reads it, `<3>` to `<7>`
// (sd-daemon(3)), and takes off nothing: the journal does that. It is made for hclog, which says the
// level of what it writes; what is written without one is an error message.
type Prioritized struct{ To io.Writer }

// Write writes lines that have no level.
func (p Prioritized) Write(lines []byte) (int, error) { return p.LevelWrite(hclog.Error, lines) }

// LevelWrite writes the lines of one message: the journal reads each line alone.
func (p Prioritized) LevelWrite(level hclog.Level, lines []byte) (int, error) {
	var out []byte
	for line := range bytes.Lines(lines) {
		out = append(append(out, '<', priority(level), '>'), line...)
	}
	if _, err := p.To.Write(out); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// priority is the digit that syslog(3) has for a level.
func priority(level hclog.Level) byte {
	switch level {
	case hclog.Error:
		return '3'
	case hclog.Warn:
		return '4'
	case hclog.Info:
		return '6'
	}
	return '7'
}
