package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

const (
	maxTail  = 16 << 20 // that Tail reads
	maxSince = 64 << 10 // that TailFrom reads
	piece    = 64 << 10 // of one read
)

// Tail returns the last lines of the log at path, of its rotated files too where it holds fewer, at
// most 16 MiB of them, as they were written. The last may be one that is still being written. A
// missing log is fs.ErrNotExist.
func Tail(path string, lines int) ([]string, error) {
	if lines <= 0 {
		return nil, nil
	}
	text, err := steadily(path, func() ([]byte, error) { return readBack(path, maxTail, lines) })
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return lastLines(text, lines), nil
}

// TailFrom returns the last lines that were written since the log at path had the size offset, at
// most 64 KiB of them, for people: without control characters and terminal sequences. It reads
// across one rotation since then; after more, or where nothing can be read, it returns what it has.
func TailFrom(path string, offset int64, lines int) []string {
	if lines <= 0 {
		return nil
	}
	whole := true
	// The error is dropped: the lines are there to explain a failure that has an error of its own.
	text, _ := steadily(path, func() ([]byte, error) {
		since := since(path, offset)
		whole = since <= maxSince
		return readBack(path, min(since, maxSince), lines)
	})
	if _, rest, found := bytes.Cut(text, []byte{'\n'}); found && !whole {
		text = rest // the first line's beginning is missing
	}
	last := lastLines(text, lines)
	for i, line := range last {
		last[i] = clean(line)
	}
	return last
}

// since is how many bytes were written since the log had the size offset.
func since(path string, offset int64) int64 {
	size := Size(path)
	if size >= offset {
		return size - offset
	}
	// It was cut since, so offset counts from the beginning of path.1.
	if all := Size(path+".1") + size; all >= offset {
		return all - offset
	}
	return size
}

// steadily reads again where a rotation came between: between the cut and the renaming a part of
// the log has no name. It gives that up in the end, for a rotation that was killed stays half done
// until somebody finishes it.
func steadily(path string, read func() ([]byte, error)) ([]byte, error) {
	for try := 1; ; try++ {
		before, resting := newest(path)
		text, err := read()
		after, stillResting := newest(path)
		if resting && stillResting && before == after || try == 20 {
			return text, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// newest identifies path.1 and tells whether no rotation is under way.
func newest(path string) (inode uint64, resting bool) {
	var st unix.Stat_t
	resting = unix.Lstat(path+".cut", &st) != nil
	if unix.Lstat(path+".1", &st) == nil {
		inode = st.Ino
	}
	return inode, resting
}

// readBack reads the log and then its rotated files from their ends until it has most bytes or more
// than lines line ends. It returns them in their order.
func readBack(path string, most int64, lines int) ([]byte, error) {
	var pieces [][]byte // the last first
	for i := 0; most > 0; i++ {
		name := path
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		f, err := untrusted.OpenBelow(filepath.Dir(name), filepath.Base(name))
		if errors.Is(err, fs.ErrNotExist) && i == 0 && exists(path+".1") {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			break
		}
		if err != nil {
			return nil, err
		}
		got, err := readFileBack(f, most, &lines)
		f.Close()
		if err != nil {
			return nil, err
		}
		for _, p := range got {
			most -= int64(len(p))
		}
		pieces = append(pieces, got...)
		if lines < 0 {
			break
		}
	}
	var text []byte
	for i := len(pieces) - 1; i >= 0; i-- {
		text = append(text, pieces[i]...)
	}
	return text, nil
}

// readFileBack reads one file for readBack and takes the line ends it saw off lines.
func readFileBack(f *os.File, most int64, lines *int) (pieces [][]byte, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	for end := info.Size(); end > 0 && most > 0 && *lines >= 0; {
		// It may be less where it was cut meanwhile, which the caller sees.
		text, from, err := untrusted.DataBefore(f, end, min(piece, most))
		if err != nil {
			return nil, err
		}
		end = from
		most -= int64(len(text))
		*lines -= bytes.Count(text, []byte{'\n'})
		pieces = append(pieces, withoutZeros(text))
	}
	return pieces, nil
}

// withoutZeros leaves out what fills up blocks next to a hole that was taken out.
func withoutZeros(text []byte) []byte { return bytes.ReplaceAll(text, []byte{0}, nil) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// lastLines splits text and returns its last lines.
func lastLines(text []byte, lines int) []string {
	if len(text) == 0 {
		return nil
	}
	all := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	return all[max(0, len(all)-lines):]
}

// clean takes out of a line what would move a terminal's cursor, colour it or not show at all.
func clean(line string) string {
	line = escapes.ReplaceAllString(line, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(line, "\uFFFD"))
}

// escapes are a terminal's sequences (ECMA-48): ESC [ ... letter, ESC ] ... BEL or ESC \, and ESC
// with one character.
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[^\[\]])`)
