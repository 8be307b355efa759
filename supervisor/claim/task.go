package claim

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// taskClaims are what was found of a build that says it is a task of an earlier supervisor, by the
// task's ID.
type taskClaims map[string]*taskClaim

type taskClaim struct {
	mark      string
	cgroup    bool // it has one: only we can make it
	processes []world.Marked
}

// taskOf reads the mark of a task: ROOT ID/BUILD/ID.
func taskOf(rootID, mark string) (build, id string, ok bool) {
	rest, ours := strings.CutPrefix(mark, rootID+"/")
	build, id, both := strings.Cut(rest, "/")
	_, _, is := actor.TaskOf(id)
	return build, id, ours && both && is && config.IsName(build)
}

// of returns the claims of the task that a mark names, with the build; nil where it names none.
func (c taskClaims) of(id, mark string) *taskClaim {
	if c[id] == nil {
		c[id] = &taskClaim{mark: mark}
	}
	return c[id]
}

// confirmTasks returns the tasks that are confirmed, and the processes that are not. A process is
// confirmed as one of a generation is: by its cgroup, by the record that names it as the main process,
// or by running as the user whom the task was started as.
func (e Evidence) confirmTasks(c taskClaims) (left []actor.Leftover, refused []world.Marked) {
	for _, id := range slices.Sorted(maps.Keys(c)) {
		said := c[id]
		recorded, user := e.task(id), e.User
		if recorded != nil && recorded.User != nil {
			if user = *recorded.User; user < 0 {
				user = os.Geteuid()
			}
		}
		l := actor.Leftover{Mark: said.mark, User: user, Task: id}
		leads := func(p world.Marked) bool {
			return p.Leader && (l.Leader.Pid == 0 || cmp.Or(cmp.Compare(p.StartTime, l.Leader.StartTime), cmp.Compare(p.Pid, l.Leader.Pid)) < 0)
		}
		for _, p := range said.processes {
			isMain := recorded != nil && recorded.Pid == p.Pid && recorded.StartTime == p.StartTime
			if !isMain && p.Cgroup == "" && p.User != user {
				refused = append(refused, p)
				continue
			}
			l.Members = append(l.Members, p.Process)
			if isMain || recorded == nil && leads(p) {
				l.Leader = p.Process
			}
		}
		if said.cgroup || len(l.Members) > 0 {
			left = append(left, l)
		}
	}
	return left, refused
}

// task is the record of a task since this boot, or nil.
func (e Evidence) task(id string) *state.Task {
	for i, t := range e.Record.Tasks {
		if t.ID == id && t.BootID == e.BootID {
			return &e.Record.Tasks[i]
		}
	}
	return nil
}
