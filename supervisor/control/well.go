package control

import (
	"cmp"
	"fmt"
	"strings"
)

// Unwell returns what a person should know of, in a clause each: what does not serve or run as builds.toml
// has it, what failed last, and what is tried again. Empty: all is well. A build that was stopped serves
// nothing, so it counts, whoever stopped it; one that is being rebuilt while a release serves does not.
func (s Status) Unwell() []string {
	var all []string
	if s.Config.Error != "" {
		all = append(all, "builds.toml is not applied: "+firstLine(s.Config.Error))
	}
	for _, p := range []struct {
		name string
		part Part
	}{{"front", s.Front}, {"dashboard", s.Dashboard}, {"metrics", s.Metrics}, {"log", s.Log}} {
		if p.part.Trouble != "" {
			all = append(all, p.name+": "+p.part.Trouble)
		}
	}
	for _, b := range s.Builds {
		for _, what := range b.unwell() {
			all = append(all, b.Name+": "+what)
		}
	}
	return all
}

// NotServing names the builds that serve nobody now, with the reason: for who sends them clients. What
// serves in part, or will not serve well for long, is not among them.
func (s Status) NotServing() []string {
	var all []string
	for _, b := range s.Builds {
		switch {
		case b.State != StateRunning:
			all = append(all, b.Name+": "+strings.TrimSuffix(b.State+": "+b.Reason, ": "))
		case !b.Healthy:
			all = append(all, b.Name+": the last probe failed")
		}
	}
	return all
}

// Failing says that a build needs somebody's eye: it does not serve although it should, or not as it should, or
// what is newer than what serves failed. One that was stopped, or that is only on its way, does not.
func (b BuildStatus) Failing() bool {
	switch b.State {
	case StateUnhealthy, StateBackoff, StateFailed:
		return true
	case StateRunning:
		return len(b.unwell()) > 0
	}
	return b.BuildError != ""
}

func (b BuildStatus) unwell() (all []string) {
	switch {
	case b.State != StateRunning:
		all = append(all, strings.TrimSuffix(b.State+": "+b.Reason, ": "))
	case b.Reason != "":
		all = append(all, b.Reason)
	case !b.Healthy:
		all = append(all, "the last probe failed")
	case b.Replicas.Ready < b.Replicas.Want:
		all = append(all, fmt.Sprintf("%d of %d server trees serve", b.Replicas.Ready, b.Replicas.Want))
	}
	if b.BuildError != "" && b.BuildError != b.Reason {
		all = append(all, "the last build failed: "+firstLine(b.BuildError))
	}
	for _, p := range b.Processes {
		if said := p.State == StateRunning || p.State == StateStopping || strings.Contains(b.Reason, p.Label()); !said && b.State == StateRunning {
			all = append(all, strings.TrimSuffix("process "+p.Label()+" is "+p.State+": "+p.LastExit, ": "))
		}
	}
	for _, s := range b.Schedules {
		switch {
		case s.Trouble != "":
			all = append(all, "schedule "+s.Name+" cannot run: "+s.Trouble)
		case s.Last != nil && (s.Last.Result == ResultFailed || s.Last.Result == ResultLate):
			all = append(all, "the last run of schedule "+s.Name+" failed: "+cmp.Or(s.Last.Exit, s.Last.Result))
		}
	}
	return all
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
