package journal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// copyEvery is how often logs that are copied are looked at.
	copyEvery = 200 * time.Millisecond
	// longLine is how much of a line that does not end is waited for.
	longLine = 64 << 10
	// copyPatience is how long the end of a copy waits for whoever reads it.
	copyPatience = time.Second
)

// Copier copies what is added to logs, in whole lines. Where there are several, each line begins with the
// name of its log. While nobody reads the copy it stands still, and loses nothing but what is rotated away
// meanwhile.
type Copier struct {
	more  func() []string
	to    io.Writer
	log   hclog.Logger
	logs  map[string]*copied
	all   []*copied // the same, in their order
	lines chan []byte
	late  context.Context // of Run: ends when nobody is waited for any more
}

// NewCopier returns a Copier of the logs at first, from where they end now. More logs are asked for at each
// look: they are copied from where they ended when they were seen first, which is the beginning of one that
// did not exist.
func NewCopier(first []string, more func() []string, to io.Writer, log hclog.Logger) *Copier {
	c := &Copier{more: more, to: to, log: log, logs: map[string]*copied{}, lines: make(chan []byte)}
	c.list(first)
	return c
}

// Run copies until ctx ends and what the logs hold then is written, or a second has passed since. It is
// called once.
func (c *Copier) Run(ctx context.Context) {
	var giveUp func()
	c.late, giveUp = context.WithCancel(context.Background())
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(copyPatience, giveUp) })()
	written := make(chan struct{})
	go func() { // ends with Run, or with a write that stands still
		defer close(written)
		c.write()
	}()
	tick := time.NewTicker(copyEvery)
	defer tick.Stop()
	for ending := false; ; {
		c.look(ending)
		if ending {
			break
		}
		select {
		case <-ctx.Done():
			ending = true
		case <-tick.C:
		}
	}
	close(c.lines)
	select {
	case <-written:
	case <-c.late.Done():
	}
}

// copied is one of its logs.
type copied struct {
	follower
	name string
	part []byte // of a line that has not ended
	sick bool   // it could not be read, and that was said
}

// list begins with logs that are new. They are followed for good: what ends has last words, and what
// comes back says nothing twice.
func (c *Copier) list(paths []string) {
	for _, path := range paths {
		if c.logs[path] == nil {
			l := &copied{follower: follower{path: path, at: Size(path)}, name: strings.TrimSuffix(filepath.Base(path), ".log")}
			l.remember()
			c.logs[path] = l
			c.all = append(c.all, l)
		}
	}
}

// look writes what was added to the logs; at the end of all, also lines that have not ended.
func (c *Copier) look(ending bool) {
	c.list(c.more())
	for _, l := range c.all {
		c.follow(l)
		if ending && len(l.part) > 0 {
			c.send(l, append(l.part, '\n'))
			l.part = nil
		}
	}
}

// follow writes what was added to a log.
func (c *Copier) follow(l *copied) {
	for c.late.Err() == nil {
		text, err := l.next()
		if err != nil && !l.sick {
			c.log.Warn("what is printed cannot be copied, and is tried again", "log", l.path, "error", err)
		}
		if l.sick = err != nil; len(text) == 0 {
			return
		}
		l.part = append(l.part, text...)
		end := bytes.LastIndexByte(l.part, '\n') + 1
		if end == 0 && len(l.part) >= longLine {
			l.part = append(l.part, '\n')
			end = len(l.part)
		}
		c.send(l, l.part[:end])
		l.part = bytes.Clone(l.part[end:])
	}
}

// send has lines written, once those before them are.
func (c *Copier) send(l *copied, text []byte) {
	if len(text) == 0 {
		return
	}
	if len(c.all) > 1 {
		var named []byte
		for line := range bytes.Lines(text) {
			named = append(fmt.Append(named, l.name, ": "), line...)
		}
		text = named
	}
	select {
	case c.lines <- text:
	case <-c.late.Done():
	}
}

// write writes until there is nothing more to come. What cannot be written is lost, which is said once.
func (c *Copier) write() {
	sick := false
	for text := range c.lines {
		_, err := c.to.Write(text)
		if err != nil && !sick {
			c.log.Warn("a copy of what is printed cannot be written", "error", err)
		}
		sick = err != nil
	}
}
