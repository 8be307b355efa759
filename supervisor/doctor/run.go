package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
)

// mostOutput bounds what is read of a probe's output.
const mostOutput = 1 << 20

// run runs a command to its end and returns what it printed. input is its descriptor 3: there no
// other user can read it. An error has the last line that the command printed to stderr. What it
// printed until then is returned too.
func (p *patient) run(ctx context.Context, c build.Command, input []byte) (out []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	files, err := memoryFiles("output", "errors", "input")
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range files {
			f.Close() // it is in memory: nothing is lost
		}
	}()
	if _, err := files[2].Write(input); err != nil {
		return nil, fmt.Errorf("write input of a probe: %w", err)
	}
	if _, err := files[2].Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("write input of a probe: %w", err)
	}
	c.Stdout, c.Stderr, c.Extra, c.Mark = files[0], files[1], files[2], "doctor/"+rand.Text()
	child, err := p.o.Runner.Start(c)
	if err != nil {
		return nil, err
	}
	err = child.Wait(ctx, 0)
	out = held(files[0])
	if said := lastLine(held(files[1])); err != nil && said != "" && ctx.Err() == nil {
		err = errors.New(said)
	}
	return out, err
}

// memoryFiles makes files without a name that are gone when they are closed.
func memoryFiles(names ...string) ([]*os.File, error) {
	var all []*os.File
	for _, name := range names {
		fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
		if err != nil {
			for _, f := range all {
				f.Close() // nothing was written
			}
			return nil, fmt.Errorf("make a file in memory: %w", os.NewSyscallError("memfd_create", err))
		}
		all = append(all, os.NewFile(uintptr(fd), name))
	}
	return all, nil
}

// held returns what a file holds, up to a bound.
func held(f *os.File) []byte {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, mostOutput))
	if err != nil {
		return nil // does not happen to a file in memory
	}
	return text
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return oneLine(string(lines[len(lines)-1]))
}

// oneLine takes what would move a terminal's cursor out of a text, and bounds it.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))), " ")
	if r := []rune(text); len(r) > 500 {
		return string(r[:499]) + "…"
	}
	return text
}
