package show

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress shows how far actions on several builds are: in a terminal a line for each that is not
// done, redrawn in place with the time it has taken so far; elsewhere a plain line for each step.
type Progress struct {
	out  io.Writer
	live bool // a terminal
	now  func() time.Time

	mu    sync.Mutex
	order []string
	at    map[string]stage
	drawn int // lines on the screen, which the next draw replaces
	done  chan struct{}
	ended sync.WaitGroup
}

// stage is what is being done on a build.
type stage struct {
	text  string
	since time.Time
}

// redrawEvery is how often a terminal is redrawn.
const redrawEvery = 100 * time.Millisecond

// NewProgress begins to show the builds that are named. The caller ends it with Close.
func NewProgress(out io.Writer, names []string) *Progress {
	p := newProgress(out, names, IsTerminal(out))
	if p.live {
		p.ended.Go(p.redraw)
	}
	return p
}

func newProgress(out io.Writer, names []string, live bool) *Progress {
	return &Progress{out: out, live: live, now: time.Now, order: names, at: map[string]stage{}, done: make(chan struct{})}
}

func (p *Progress) redraw() {
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		case <-p.done:
			return
		}
	}
}

// Step shows what is being done on a build, in a line as the supervisor sends it. Here and in End it may
// hold a child's own words.
func (p *Progress) Step(name, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.live {
		fmt.Fprintln(p.out, Escape(p.out, line))
		return
	}
	p.at[name] = stage{strings.TrimPrefix(line, name+": "), p.now()}
	p.draw()
}

// End writes the result of a build to the given writer, above what is still under way.
func (p *Progress) End(name string, to io.Writer, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, name)
	p.clear()
	fmt.Fprintln(to, Escape(to, line))
	p.draw()
}

// Close stops the redrawing and removes what is still drawn.
func (p *Progress) Close() {
	close(p.done)
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// clear removes the drawn lines from the screen.
func (p *Progress) clear() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.drawn) // up, and erase what is below
		p.drawn = 0
	}
}

// draw shows what is under way, as much as the screen has room for.
func (p *Progress) draw() {
	if !p.live {
		return
	}
	columns, rows := size(p.out)
	width := 0
	for _, name := range p.order {
		width = max(width, len(name))
	}
	var lines []string
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
		took := p.now().Sub(s.since).Seconds()
		lines = append(lines, clip(fmt.Sprintf("%-*s  %s  %.1fs", width, name, Clean(s.text), took), columns-1))
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
