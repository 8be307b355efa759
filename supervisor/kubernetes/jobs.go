package kubernetes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// databases are those that are migrated, "" for the one of manage.py itself.
func (b *build) databases() []string {
	switch {
	case !b.Migrate:
		return nil
	case len(b.Databases) == 0:
		return []string{""}
	}
	return b.Databases
}

// migrate is a command for one database.
func migrate(database, flag string) []string {
	all := []string{"manage.py", "migrate", flag}
	if database != "" {
		all = append(all, "--database", database)
	}
	return all
}

// step returns the name of a container for a thing.
func (b *build) step(what, thing string) string {
	return b.name(b.id+" container", what+"-"+thing, longestName)
}

// job does once for each release what is done before it serves; nil where nothing is.
func (b *build) job() *node {
	var all []*node
	add := func(name string, argv []string) { all = append(all, b.container(name, b.inRelease(argv...))) }
	if b.Check {
		add("check", []string{"manage.py", "check", "--deploy"})
	}
	if b.StepsIn == StepsInJob {
		for i, argv := range b.Steps.BeforeMigrate {
			add("before-migrate-"+strconv.Itoa(i+1), b.open("steps.before_migrate", argv))
		}
	}
	for _, database := range b.databases() {
		name := "migrate"
		if database != "" {
			name = b.step(name, database)
		}
		add(name, migrate(database, "--noinput"))
	}
	if b.StepsIn == StepsInJob {
		for i, argv := range b.Steps.AfterMigrate {
			add("after-migrate-"+strconv.Itoa(i+1), b.open("steps.after_migrate", argv))
		}
	}
	if len(all) == 0 {
		return nil
	}
	last := len(all) - 1
	most := seconds(b.StepTimeout) * len(all)
	deadline := note(most, "step_timeout = %q", short(b.StepTimeout))
	if len(all) > 1 {
		deadline = note(most, "step_timeout = %q, for each of %d containers", short(b.StepTimeout), len(all))
	}
	name := b.name("Job", b.id+"-migrate-"+b.Release, longestName)
	return above(obj("apiVersion", "batch/v1", "kind", "Job", "metadata", b.meta(name, "migrate"), "spec", obj(
		"backoffLimit", 2,
		"activeDeadlineSeconds", deadline,
		"ttlSecondsAfterFinished", 86400,
		"template", b.pod("migrate", nil, false, "Never", list(all[:last]...), list(all[last])),
	)), "Runs once for a release, beside the pods, which wait for it (initContainer `migrated`); its containers run one after the other. A Job",
		"cannot be changed: its name has the release. The old pods serve on with the new schema, as on a host: keep migrations backward compatible.")
}

// open returns a command that may be written; one that holds what looks like a secret is refused.
func (b *build) open(key string, argv []string) []string {
	if joined := strings.Join(argv, " "); b.hide.Text(joined) != joined {
		b.refuse(b, "%s holds what looks like a password or a token, which would stand in the manifest: put it into env_file, where the program can read it", key)
	}
	return argv
}

// process is a Deployment for each process, or one for each instance where they differ.
func (b *build) process(p config.Process) []*node {
	command := b.open("process "+p.Name+": command", p.Command)
	numbered := slices.ContainsFunc(command, func(arg string) bool {
		return strings.Contains(arg, config.BraceIndex) || strings.Contains(arg, "MEDCTRL_PROCESS_INDEX")
	})
	own := []string{"MEDCTRL_PROCESS=" + p.Name}
	switch {
	case !numbered && p.Count > 1:
		b.say(b, "process %s: its pods are equal, and none has MEDCTRL_PROCESS_INDEX: where they have to differ, name {index} in the command", p.Name)
		return []*node{b.worker(p, p.Name, p.Count, own, command)}
	case p.Count == 1:
		return []*node{b.worker(p, p.Name, 1, append(own, "MEDCTRL_PROCESS_INDEX=0"), indexed(command, "0"))}
	}
	var all []*node
	for i := range p.Count {
		index := strconv.Itoa(i)
		all = append(all, b.worker(p, p.Name+"-"+index, 1, append(own[:1:1], "MEDCTRL_PROCESS_INDEX="+index), indexed(command, index)))
	}
	return all
}

// indexed fills in {index}.
func indexed(command []string, index string) []string {
	one := make([]string, len(command))
	for i, arg := range command {
		one[i] = strings.ReplaceAll(arg, config.BraceIndex, index)
	}
	return one
}

// with is a command that has variables in addition to those of the build, NAME=VALUE.
func with(variables, command []string) []string {
	all := append([]string{"env"}, variables...)
	switch command[0] { // which `+"`run`"+` knows, and env does not
	case "python":
		return append(append(all, "{python}"), command[1:]...)
	case "manage.py":
		return append(append(all, "{python}", "{app}/manage.py"), command[1:]...)
	}
	return append(all, command...)
}

// worker is a Deployment of count equal instances of a process, which have these variables of ours.
func (b *build) worker(p config.Process, called string, count int, own, command []string) *node {
	for _, name := range sorted(p.Env) {
		if b.hide.Secret(name, p.Env[name]) {
			b.refuse(b, "process %s: env.%s looks like a secret, which would stand in the manifest: put it into the build's env_file", p.Name, name)
			continue
		}
		own = append(own, name+"="+p.Env[name])
	}
	run := []string{"medctrl-supervisor", "-c", b.file(), "run", "--prebuilt", prebuiltDir}
	if p.StopSignal != "TERM" {
		run = append(run, "--stop-signal", p.StopSignal)
	}
	run = append(append(run, b.Name), with(own, command)...)
	component := dns("process-" + called)
	strategy := note(row("type", "Recreate"), "never two releases of it at once: overlap = false")
	if p.Overlap {
		strategy = row("type", "RollingUpdate", "rollingUpdate", row("maxUnavailable", 0, "maxSurge", 1))
	}
	name := b.name("Deployment", b.id+"-"+called, longestName)
	return above(obj("apiVersion", "apps/v1", "kind", "Deployment", "metadata", b.meta(name, component), "spec", obj(
		"replicas", b.pods(count),
		"revisionHistoryLimit", b.KeepReleases,
		"strategy", strategy,
		"selector", row("matchLabels", b.ref(component)),
		"template", b.pod(component, graceOf(p.Grace(b.GracefulTimeout), 0), count > 1, "", b.waits(), list(b.container("process", run))),
	)), "[[build.process]] "+called)
}

// waits are the containers that wait for the migration of the release.
func (b *build) waits() *node {
	var all []*node
	for i, database := range b.databases() {
		all = append(all, b.container("migrated-"+strconv.Itoa(i+1), b.inRelease(migrate(database, "--check")...)))
	}
	return list(all...)
}

// schedule is a CronJob, or nil, which is said.
func (b *build) schedule(s config.Schedule) *node {
	command := b.open("schedule "+s.Name+": command", s.Command)
	when, why := cronOf(s)
	if why != "" {
		b.say(b, "schedule %s: %s", s.Name, why)
		return nil
	}
	var zone, late any
	switch {
	case s.Timezone != "":
		zone = s.Timezone
	case s.Cron != "":
		b.say(b, "schedule %s: it has no timezone, and the cluster's may be another one than the host's (mostly it is UTC): set timezone", s.Name)
	}
	if !s.CatchUp {
		late = note(60, "catch_up = false: what is missed by more is left out")
	}
	overlap := "Forbid"
	if s.Overlap {
		overlap = "Allow"
	}
	component := dns("schedule-" + s.Name)
	return above(obj("apiVersion", "batch/v1", "kind", "CronJob", "metadata", b.meta(b.name("CronJob", b.id+"-"+s.Name, longestCronJob), component), "spec", obj(
		"schedule", note(when, "%s", strings.TrimSpace(s.Times())),
		"timeZone", zone,
		"concurrencyPolicy", note(overlap, "overlap"),
		"startingDeadlineSeconds", late,
		"suspend", map[bool]any{true: nil, false: true}[b.Autostart],
		"successfulJobsHistoryLimit", 1,
		"failedJobsHistoryLimit", 3,
		"jobTemplate", obj("spec", obj(
			"backoffLimit", note(0, "a run that failed is not repeated"),
			"activeDeadlineSeconds", note(seconds(s.Timeout), "timeout"),
			"template", b.pod(component, graceOf(b.GracefulTimeout, 0), false, "Never", nil, list(b.container("run", b.inRelease(with([]string{"MEDCTRL_SCHEDULE=" + s.Name}, command)...)))),
		)))), "[[build.schedule]] "+s.Name)
}

// cronOf returns the times of a schedule as a CronJob has them, or why it cannot have them.
func cronOf(s config.Schedule) (when, why string) {
	const none = ": there is no CronJob for it; let a process wait between its runs"
	switch every := s.Every; {
	case every == 0:
		return cronFields(s.Cron)
	case every%time.Minute != 0:
		return "", fmt.Sprintf("every = %q is no number of minutes, the least that Kubernetes knows%s", short(every), none)
	case every < time.Hour && time.Hour%every == 0:
		if every == time.Minute {
			return "* * * * *", ""
		}
		return fmt.Sprintf("*/%d * * * *", every/time.Minute), ""
	case every == time.Hour:
		return "0 * * * *", ""
	case every < 24*time.Hour && (24*time.Hour)%every == 0 && every%time.Hour == 0:
		return fmt.Sprintf("0 */%d * * *", every/time.Hour), ""
	case every == 24*time.Hour:
		return "0 0 * * *", ""
	default:
		return "", fmt.Sprintf("every = %q does not divide an hour or a day, as a CronJob's times have to%s", short(every), none)
	}
}

// cronFields writes an expression so that Kubernetes reads the same (robfig/cron): Sunday is 0 there,
// and a day of the month or of the week such as */2 does not count as any.
func cronFields(text string) (when, why string) {
	words := strings.Fields(text)
	if len(words) != 5 {
		return words[0], "" // @daily and the like
	}
	days, weekdays := words[2], words[4]
	stepped := func(field string) bool {
		return (field[0] == '*' || field[0] == '?') && field != "*" && field != "?"
	}
	if stepped(days) && weekdays != "*" && weekdays != "?" || stepped(weekdays) && days != "*" && days != "?" {
		return "", fmt.Sprintf("cron = %q: with */N in a field of days and another restricted, Kubernetes runs on the days of either, not of both: there is no CronJob for it; list the days", text)
	}
	words[4] = sundays(weekdays)
	return strings.Join(words, " "), ""
}

// sundays writes a field of weekdays without the number 7.
func sundays(field string) string {
	parts := strings.Split(field, ",")
	for i, part := range parts {
		span, stepText, stepped := strings.Cut(part, "/")
		low, high, ranged := strings.Cut(span, "-")
		if low != "7" && high != "7" {
			continue
		}
		step := 1
		if stepped {
			step, _ = strconv.Atoi(stepText) // it was parsed before
		}
		from := weekday(low)
		if !ranged {
			parts[i] = "0"
			continue
		}
		var all []string
		for day := from; day <= 7; day += max(step, 1) {
			all = append(all, strconv.Itoa(day%7))
		}
		parts[i] = strings.Join(all, ",")
	}
	return strings.Join(parts, ",")
}

// weekday returns the number of a day that was parsed before.
func weekday(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return max(0, slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, strings.ToLower(text)))
}
