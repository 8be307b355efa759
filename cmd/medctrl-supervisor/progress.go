package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// progress shows what several builds are at: in a terminal a line for each that
// is not done, drawn again in place with the time it has taken so far; elsewhere a
// plain line for each step.
type progress struct {
	out  io.Writer
	live bool // a terminal
	now  func() time.Time

	mu    sync.Mutex
	order []string
	at    map[string]*stage
	drawn int // lines on the screen that are drawn over
	tick  *time.Ticker
	done  chan struct{}
	ended sync.WaitGroup
}

// stage is what a build is at.
type stage struct {
	text  string
	since time.Time
}

// redrawEvery is how often a terminal is drawn anew.
const redrawEvery = 100 * time.Millisecond

// newProgress begins to show the builds names; the caller ends it by close.
func newProgress(out io.Writer, names []string) *progress {
	p := &progress{out: out, live: isTerminal(out), now: time.Now, order: names, at: map[string]*stage{}, done: make(chan struct{})}
	if !p.live {
		return p
	}
	p.tick = time.NewTicker(redrawEvery)
	p.ended.Go(func() {
		for {
			select {
			case <-p.tick.C:
				p.mu.Lock()
				p.draw()
				p.mu.Unlock()
			case <-p.done:
				return
			}
		}
	})
	return p
}

// step notes what a build is at: a line as the supervisor says it.
func (p *progress) step(name, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live {
		fmt.Fprintln(p.out, line)
		return
	}
	p.at[name] = &stage{strings.TrimPrefix(line, name+": "), p.now()}
	p.draw()
}

// end says how it went with a build, on out or elsewhere, above what still goes
// on.
func (p *progress) end(name string, to io.Writer, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, name)
	p.clear()
	fmt.Fprintln(to, line)
	p.draw()
}

func (p *progress) close() {
	if p.tick != nil {
		p.tick.Stop()
	}
	close(p.done)
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// clear takes the drawn lines off the screen.
func (p *progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn) // up, and erase what is below
		p.drawn = 0
	}
}

// draw shows what goes on, as far as the screen is high.
func (p *progress) draw() {
	if !p.live {
		return
	}
	columns, rows := screen(p.out)
	var lines []string
	width := 0
	for _, name := range p.order {
		width = max(width, len(name))
	}
	more := 0
	for _, name := range p.order {
		s, ok := p.at[name]
		switch {
		case !ok:
			continue
		case len(lines) >= rows-2:
			more++
			continue
		}
		took := p.now().Sub(s.since)
		line := []rune(fmt.Sprintf("%-*s  %s  %.1fs", width, name, control.Clean(s.text), took.Seconds()))
		if len(line) >= columns {
			line = append(line[:columns-2], '…')
		}
		lines = append(lines, string(line))
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	p.clear()
	for _, line := range lines {
		fmt.Fprintln(p.out, line)
	}
	p.drawn = len(lines)
}

// screen is the size of the terminal that out is; 80 by 24 where it does not say.
func screen(out io.Writer) (columns, rows int) {
	if f, ok := out.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
			return int(size.Col), int(size.Row)
		}
	}
	return 80, 24
}
