package inputs

import (
	"errors"
	"fmt"
)

// budget bounds what files that name each other hold together: single files are bounded, but there may
// be any number of them.
type budget struct {
	mostBytes int64
	mostFiles int
	bytes     int64
	files     int
}

// The budgets are more than any build needs.
func requirementsBudget() budget { return budget{mostBytes: 16 << 20, mostFiles: 1000} }
func settingsBudget() budget     { return budget{mostBytes: 64 << 20, mostFiles: 20_000} }

// errSpent is that a budget is.
var errSpent = errors.New("too much")

// read is ReadText within the budget. Once that is spent nothing is opened any more.
func (b *budget) read(open Opener, path string) ([]byte, error) {
	if b.bytes > b.mostBytes || b.files >= b.mostFiles {
		return nil, b.over(path)
	}
	text, err := ReadText(open, path)
	if err == nil {
		b.files++
		b.bytes += int64(len(text))
	}
	return text, err
}

func (b *budget) over(path string) error {
	return fmt.Errorf("%s: %w: with what was read before it, more than %d MiB or %d files", path, errSpent, b.mostBytes>>20, b.mostFiles)
}
