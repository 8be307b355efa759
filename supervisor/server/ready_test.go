package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// spoken is Words in memory. Closing it says that no more can come.
type spoken chan string

func (s spoken) Next(ctx context.Context) ([]byte, error) {
	select {
	case word, ok := <-s:
		if !ok {
			return nil, errors.New("nobody speaks any more")
		}
		return []byte(word), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (spoken) Close() error { return nil }

func TestServerIsReadyWhenEveryLivingWorkerHasSaidSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words, dead := make(spoken), map[int]bool{}
		ready := make(chan error, 1)
		go func() { ready <- Await(t.Context(), words, func(pid int) bool { return !dead[pid] }) }()
		dead[11] = true // by the time the second one speaks
		for _, word := range []string{"11 2", "what the application writes", "", "12 2", "0 1", "-1 1", "12 0", "12 -1", "12 2"} {
			words <- word
			synctest.Wait()
			select {
			case err := <-ready:
				t.Fatalf("ready after %q: %v", word, err)
			default:
			}
		}
		words <- "13 2"
		if err := <-ready; err != nil {
			t.Error(err)
		}
	})
}

func TestServerThatIsNotReadySaysHowFarItIs(t *testing.T) {
	for want, said := range map[string][]string{
		"no worker has loaded the application":       nil,
		"2 of 3 workers have loaded the application": {"11 3", "12 3"},
	} {
		synctest.Test(t, func(t *testing.T) {
			words := make(spoken, len(said))
			for _, word := range said {
				words <- word
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := Await(ctx, words, func(int) bool { return true }); err == nil || err.Error() != want {
				t.Errorf("at its deadline: %v, want %s", err, want)
			}
			close(words)
			if err := Await(t.Context(), words, func(int) bool { return true }); err == nil {
				t.Error("ready, when nobody can say so any more")
			}
		})
	}
}

func TestWordsOfWorkersComeOneByOne(t *testing.T) {
	ours, servers, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	for pid := range 2 {
		if _, err := fmt.Fprintf(servers, "%d 2", os.Getpid()+pid); err != nil {
			t.Fatal(err)
		}
	}
	if err := Await(t.Context(), ours, func(int) bool { return true }); err != nil {
		t.Error(err)
	}
	if err := servers.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if word, err := ours.Next(ctx); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", word, err)
	}
}
