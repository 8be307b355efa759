package simulate

import (
	"context"
	"errors"
	"sync"
)

// words are those of a tree's workers that they are ready.
type words struct {
	said chan []byte
	once sync.Once
	end  chan struct{} // nobody speaks any more
}

func newWords() *words { return &words{said: make(chan []byte, 256), end: make(chan struct{})} }

func (w *words) say(text string) {
	select {
	case w.said <- []byte(text):
	default: // nobody listens any more
	}
}

func (w *words) over() { w.once.Do(func() { close(w.end) }) }

// Next returns the next word.
func (w *words) Next(ctx context.Context) ([]byte, error) {
	select {
	case word := <-w.said:
		return word, nil
	default:
	}
	select {
	case word := <-w.said:
		return word, nil
	case <-w.end:
		return nil, errors.New("nobody is left to say a word")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends listening.
func (w *words) Close() error { return nil }
