package simulate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// command is what an operator asks for.
type command struct {
	action, to string
	noWait     bool
	at         time.Duration
	over       bool     // there was a result
	release    string   // of deploy: the one that is said to serve
	served     *release // when it was asked; nil: none
}

// ask gives a command to the running supervisor.
func (s *site) ask(action, to string, noWait bool) {
	w := s.w
	inc := w.sup
	if inc == nil || inc.backend == nil || !w.control {
		s.tell("an operator finds no supervisor to %s", action)
		return
	}
	c := &command{action: action, to: to, noWait: noWait, at: w.now()}
	if t := s.serving(); t != nil {
		c.served = t.release
	}
	s.commands = append(s.commands, c)
	patience := ""
	if noWait {
		patience = " and does not wait"
	}
	s.tell("an operator asks to %s%s%s", action, strings.TrimSuffix(" "+to, " "), patience)
	args := map[string]string{}
	if to != "" {
		args["to"] = to
	}
	if noWait {
		args["wait"] = "no"
	}
	switch {
	case action == "stop":
		s.unsure()
		s.wish, s.wishBy = wishUnsure, c
		if inc.stopping || w.now()-s.removedAt < time.Minute { // it stops, but not by this hand
			s.wishBy = nil
		}
	case action == "start" || action == "restart":
		if s.wish != wishServe {
			s.wish = wishUnsure
		}
		s.wishBy = c
	case action == "rollback" || action == "rebuild":
		s.rolled = true
	}
	s.disturb()
	backend := inc.backend
	w.running.Add(1)
	inc.requests.Add(1)
	go func() {
		defer w.running.Done()
		defer inc.requests.Done()
		var err error
		if action == "deploy" {
			var d control.Deployed
			d, err = backend.Deploy(inc.life, s.name, !noWait, func(string) {})
			c.release = d.Release
		} else {
			_, err = backend.Act(inc.life, s.name, action, args, func(string) {})
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if inc.dead {
			s.tell("the operator who asked to %s has lost the connection", action)
			return
		}
		c.over = true
		s.result(c, err)
	}()
}

// result holds what an operator was told against the world.
func (s *site) result(c *command, err error) {
	w := s.w
	if w.over {
		return
	}
	said := "done"
	if err != nil {
		said = err.Error()
	}
	s.tell("the operator who asked to %s is told: %s", c.action, said)
	if took := w.now() - c.at; took > commandLimit {
		s.breaks("every command ends", "%s took %v", c.action, took)
	}
	if s.wishBy == c && !errors.Is(err, control.ErrNoBuild) && s.entry != nil {
		switch {
		case c.action != "stop":
			if s.wish == wishUnsure && w.disk.good() && !(w.sup != nil && w.sup.stopping) {
				s.wish = wishServe
			}
		case err == nil:
			s.wish = wishStopped
		}
		s.wishAt = w.now()
	}
	if c.noWait {
		return
	}
	untrue := func(format string, args ...any) {
		s.breaks("a command ends with a truthful result", c.action+": "+format, args...)
	}
	if err != nil {
		s.excused(c, err, untrue)
		return
	}
	switch c.action {
	case "stop":
		if s.askedSince(c) {
			return
		}
		for _, t := range s.all() {
			if t.master.alive {
				untrue("done, but %v runs", t)
			}
		}
		if w.names[s.paths.Socket()] != nil {
			untrue("done, but the public name is there")
		}
	case "restart", "rebuild", "rollback":
		wanted := func(begun time.Duration, r *release) bool {
			return begun >= c.at && (c.action != "rebuild" || r.made >= c.at) &&
				(c.action != "rollback" || c.to == "" || r.ID == c.to)
		}
		for _, p := range s.passed {
			if wanted(p.begun, p.release) {
				return
			}
		}
		if t := s.serving(); c.action == "rollback" && t != nil && t.release != c.served && (c.to == "" || t.release.ID == c.to) {
			return // it was on its way already
		}
		// On the public socket its probe may have been answered by what is left of the one before:
		// then the word of all its workers is what tells.
		for _, t := range s.trees {
			if t.public && t.master.alive && t.master.ready && wanted(t.begun, t.release) {
				return
			}
		}
		untrue("done, but nothing new serves")
	case "deploy":
		r := s.release(c.release)
		if r != nil && r.inputs.id != s.inputs.id && !s.askedSince(c) {
			untrue("done, but release %s is of contents %d, and %d are in the source", r.ID, r.inputs.id, s.inputs.id)
		}
		if r != nil && !slices.ContainsFunc(s.passed, func(p passing) bool { return p.release.ID == r.ID }) { // one that somebody has deleted may be made again
			untrue("done, but release %s never passed its check", r.ID)
		}
	case "start":
		if len(s.passed) == 0 {
			untrue("done, but nothing ever passed its check")
		}
	}
}

// commandLimit bounds how long a command may take: attempts, checks and grace periods included.
const commandLimit = 12 * time.Minute

// excused holds a reason against what happened.
func (s *site) excused(c *command, err error, untrue func(string, ...any)) {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "overtaken by"):
		if !s.askedSince(c) {
			untrue("told %q, and nobody has asked for anything since", text)
		}
	case strings.Contains(text, "taken out of the file"):
		if s.entry != nil && s.removedAt < c.at-time.Minute {
			untrue("told %q, and nobody has", text)
		}
	case errors.Is(err, context.Canceled):
		untrue("told %q", text)
	}
}

// askedSince says whether anything else was asked for since a command.
func (s *site) askedSince(c *command) bool {
	last := s.commands[len(s.commands)-1]
	return last != c || s.editedAt > c.at
}

// reload is an operator who has the file read again.
func (w *World) reload(dry bool) {
	inc := w.sup
	if inc == nil || inc.backend == nil || !w.control {
		return
	}
	w.tell("world", "an operator has the file read again")
	backend, bad := inc.backend, w.file.bad
	version := w.file.version
	w.running.Add(1)
	inc.requests.Add(1)
	go func() {
		defer w.running.Done()
		defer inc.requests.Done()
		_, err := backend.Reload(inc.life, dry)
		w.mu.Lock()
		defer w.mu.Unlock()
		if inc.dead || w.over || version != w.file.version {
			return
		}
		if (err != nil) != bad && (err == nil || !strings.Contains(err.Error(), "upgrade") && !strings.Contains(err.Error(), "stopping")) {
			w.breaks("", "a command ends with a truthful result", "reload is told %v, the file is bad: %v", err, bad)
		}
	}()
}

// upgrade is an operator who has the supervisor replaced.
func (w *World) upgrade() {
	inc := w.sup
	if inc == nil || inc.backend == nil || !w.control {
		return
	}
	w.tell("world", "an operator asks for an upgrade")
	first := !inc.upgrading
	inc.upgrading = true
	backend, began := inc.backend, w.now()
	w.running.Add(1)
	inc.requests.Add(1)
	go func() {
		defer w.running.Done()
		defer inc.requests.Done()
		err := backend.Upgrade(inc.life, func(string) {})
		w.mu.Lock()
		defer w.mu.Unlock()
		if inc.dead || w.over {
			return
		}
		if first { // else another one is under way
			inc.upgrading = false
		}
		w.tell("world", "the upgrade was not done: "+err.Error())
		if took := w.now() - began; took > commandLimit {
			w.breaks("", "every command ends", "the upgrade took %v", took)
		}
	}()
}
