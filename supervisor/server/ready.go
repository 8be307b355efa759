package server

import (
	"context"
	"errors"
	"fmt"
)

// Words is where a server's workers say that they are ready, one word at a time.
type Words interface {
	// Next returns the next word. It fails when ctx ends, or when no more can come.
	Next(ctx context.Context) ([]byte, error)
	Close() error
}

// Await waits for the word of as many living workers as there are to be. alive reports whether the
// process with a pid is still there. The error says how many have loaded the application when ctx
// ended.
func Await(ctx context.Context, words Words, alive func(pid int) bool) error {
	said, want := map[int]bool{}, 0
	for {
		word, err := words.Next(ctx)
		if err != nil {
			if want == 0 {
				return errors.New("no worker has loaded the application")
			}
			return fmt.Errorf("%d of %d workers have loaded the application", len(said), want)
		}
		var pid int
		if _, err := fmt.Sscanf(string(word), "%d %d", &pid, &want); err != nil {
			continue // not our hook's word: the application may write what it likes
		}
		said[pid] = true
		for pid := range said {
			if !alive(pid) {
				delete(said, pid)
			}
		}
		if len(said) >= want {
			return nil
		}
	}
}
