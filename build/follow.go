package build

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"time"
)

// followEvery is how often a log that is followed is looked at for more.
const followEvery = 200 * time.Millisecond

// FollowLog calls each with the log of the newest attempt (ReadLog), and where follow says so with
// what comes: more of it, or the log of an attempt that was begun since. It returns nil when ctx
// ends, or each's error. There may be no log yet: then each is called with nothing.
func FollowLog(ctx context.Context, root, name string, follow bool, each func([]byte) error) error {
	var said []byte
	for first := true; ; first = false {
		text, err := ReadLog(root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		more, same := bytes.CutPrefix(text, said)
		if !same {
			more = text // of another attempt
		}
		if said = text; first || len(more) > 0 {
			if err := each(more); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}
