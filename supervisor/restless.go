package supervisor

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// restless holds, by build, a sentence about the files of its source that change again and again.
type restless struct {
	mu   sync.Mutex
	said map[string]string
}

// set records the sentence; "" means that there are no such files.
func (r *restless) set(build, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == "" {
		delete(r.said, build)
		return
	}
	if r.said == nil {
		r.said = map[string]string{}
	}
	r.said[build] = text
}

// of returns what there is to say of a build.
func (r *restless) of(build string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text, ok := r.said[build]; ok {
		return []string{text}
	}
	return nil
}

// sourceRestless tells people which files of a build's source change again and again: a build of
// each change would lead to the next one for ever. It does not block.
func (s *Supervisor) sourceRestless(build string, paths []string) {
	if len(paths) == 0 {
		s.reports.restless.set(build, "")
		s.log.Info("source has calmed down", "build", build)
		return
	}
	text := restlessWords(paths)
	s.reports.restless.set(build, text)
	s.log.Warn("source changes again and again", "build", build, "reason", text)
	s.reports.Event(actor.Event{Time: time.Now(), Build: build, Event: string(machine.EventSourceRestless), Reason: text})
}

// restlessShown is how many of the files are named.
const restlessShown = 5

func restlessWords(paths []string) string {
	var names []string
	for _, path := range paths[:min(len(paths), restlessShown)] {
		if folder, ok := strings.CutSuffix(path, "/"); ok {
			path = "a file in " + folder
		}
		names = append(names, path)
	}
	if more := len(paths) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	verb := "changes"
	if len(names) > 1 {
		verb = "change"
	}
	return fmt.Sprintf("%s %s again and again: your application writes into its own source, or a step, a hook or another program does. "+
		"This is applied at growing intervals, any other edit at once. What the application writes belongs under MEDCTRL_DATA "+
		"(working_dir = \"{data}\" for relative paths)", strings.Join(names, ", "), verb)
}

// making reports whether a release of a build is being made or checked, so that its application
// runs.
func (s *Supervisor) making(build string) bool {
	a := s.fleet.Load().actors[build]
	if a == nil {
		return false
	}
	st := a.View().State
	return st.Building.Running || st.Candidate.N != 0
}
