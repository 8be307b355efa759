package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	maker "github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// samples are values of each key, other than its default.
var samples = map[string]string{
	"root": `"other"`, "supervisor.log_level": `"debug"`, "supervisor.log_format": `"json"`, "supervisor.log_dir": `"logs"`, "supervisor.max_parallel_builds": "2",
	"supervisor.front": `"127.0.0.1:8080"`, "supervisor.front_proxies": `["10.0.0.7"]`, "supervisor.dashboard": `"127.0.0.1:8081"`, "supervisor.dashboard_read": `"token"`, "supervisor.dashboard_write": `"token"`,
	"supervisor.metrics": `"127.0.0.1:9105"`, "supervisor.control_group": `"root"`, "supervisor.include": `["more.toml"]`,

	"source": `"other"`, "app_dir": `"Other"`, "requirements": `"reqs/all.txt"`, "settings_dir": `"other"`, "wsgi": `"x:y"`, "location": `"/x"`, "strip_prefix": "false",
	"python": `"/usr/bin/python3"`, "system_site_packages": "true", "pip_args": `["-q"]`, "migrate": "false", "once_on": `"web-1"`, "collectstatic": "true", "check": "false", "working_dir": `"{data}"`,
	"workers": "3", "threads": "3", "worker_class": `"gthread"`, "timeout": `"31s"`, "graceful_timeout": `"31s"`, "command": `["{python}", "x.py"]`, "gunicorn_args": `["--preload"]`,
	"env": `{ A = "b" }`, "env_file": `"development.env"`, "pass_env": `["A"]`, "user": `"root"`, "group": `"root"`, "umask": `"0077"`, "no_new_privs": "false",
	"socket_group": `"root"`, "socket_mode": `"0600"`, "replicas": "2", "autostart": "false", "restart": `"never"`, "restart_delay_max": `"31s"`, "stable_after": `"11s"`,
	"watch_source": "true", "keep_releases": "4", "step_timeout": `"16m"`,

	"health.path": `"/x"`, "health.expect": `"200"`, "health.interval": `"6s"`, "health.timeout": `"3s"`, "health.failures": "4", "health.start_timeout": `"61s"`, "health.host": `"x"`,
	"hooks.after_swap": `["x"]`, "hooks.on_failure": `["x"]`, "hooks.on_recovery": `["x"]`, "steps.before_migrate": `[["x"]]`, "steps.after_migrate": `[["x"]]`,
	"sandbox.enabled": "true", "sandbox.read": `["/usr"]`, "sandbox.write": `["/dev/shm"]`, "sandbox.connect": "[1]", "sandbox.bind": "[1]",
	"limits.memory": `"1G"`, "limits.cpu": "1.5", "limits.tasks": "10", "limits.nofile": "1000", "limits.core": `"1M"`,

	"process.name": `"other"`, "process.command": `["y"]`, "process.count": "2", "process.restart": `"never"`, "process.stop_signal": `"INT"`, "process.graceful_timeout": `"31s"`,
	"process.env": `{ A = "b" }`, "process.ready": `"notify"`, "process.once": "true", "process.overlap": "true", "process.required": "true",
	"schedule.name": `"other"`, "schedule.command": `["y"]`, "schedule.cron": `"1 1 * * *"`, "schedule.every": `"15m"`, "schedule.timezone": `"UTC"`, "schedule.timeout": `"31s"`,
	"schedule.catch_up": "true", "schedule.once": "false", "schedule.overlap": "true", "schedule.spread": `"31s"`,
}

// unseen are keys of which nothing needs to be said: a pod has a root and a front of its own, and the
// builds of an included file are builds like others.
var unseen = []string{"root", "supervisor.front", "supervisor.include"}

// keysOf are all keys that a file can have.
func keysOf(c *config.Config) []string {
	var all []string
	for _, list := range [][]config.Written{c.Written(), c.Builds[0].Written(), c.Builds[0].Processes[0].Written(), c.Builds[0].Schedules[0].Written()} {
		for _, k := range list {
			all = append(all, k.Key)
		}
	}
	return append(all, "name")
}

// fileWith is a file in which one key has another value, "" for none of them.
func fileWith(key, value string) string {
	table, name, nested := strings.Cut(key, ".")
	if !nested {
		table, name = "build", key
	}
	line := func(in string) string {
		if in != table || key == "" {
			return ""
		}
		return name + " = " + value + "\n"
	}
	var t strings.Builder
	say := func(in, usual string) { // usual are lines NAME = VALUE
		for l := range strings.Lines(usual) {
			if in == table && strings.HasPrefix(l, name+" = ") || key == "schedule.every" && in == "schedule" && strings.HasPrefix(l, "cron") {
				continue
			}
			t.WriteString(l)
		}
		t.WriteString(line(in))
	}
	if key == "root" {
		fmt.Fprintf(&t, "root = %s\n", value)
	} else {
		t.WriteString("root = \"run\"\n")
	}
	t.WriteString("[supervisor]\n")
	say("supervisor", "")
	t.WriteString("[[build]]\nname = \"one\"\n")
	if key != "root" {
		say("build", "source = \"src\"\nlocation = \"/one\"\n")
	} else {
		t.WriteString("source = \"src\"\nlocation = \"/one\"\n")
	}
	if strings.Contains("health hooks steps sandbox limits", table) && nested {
		fmt.Fprintf(&t, "%s = %s\n", key, value)
	}
	t.WriteString("[[build.process]]\n")
	say("process", "name = \"p\"\ncommand = [\"x\"]\n")
	t.WriteString("[[build.schedule]]\n")
	say("schedule", "name = \"s\"\ncommand = [\"x\"]\ncron = \"0 0 * * *\"\n")
	return t.String()
}

// Nothing is dropped: whatever key a file sets, what is made of it changes by that, or it is said.
func TestEveryKeyIsSeenInWhatIsMade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files()
	s.write("token", "0123456789abcdef0123456789abcdef\n")
	s.write("more.toml", "")
	if err := chmod(s.dir+"/token", 0o600); err != nil {
		t.Fatal(err)
	}
	plain := s.whole(s.export(fileWith("", "")))
	without := s.whole(s.export(fileWith("", ""), func(o *Options) { o.Plain = true }))
	known := keysOf(s.load(fileWith("", "")))
	for _, key := range known {
		if r, ok := rules[key]; !ok || !r.toml && !r.handled && r.said == "" {
			t.Errorf("key %s has no rule", key)
			continue
		}
		if key == "name" {
			continue
		}
		value, ok := samples[key]
		if !ok {
			t.Errorf("key %s has no value to try", key)
			continue
		}
		text, before := fileWith(key, value), plain
		if strings.HasPrefix(key, "supervisor.dashboard_") {
			with := func(text string) string {
				return strings.Replace(text, "[supervisor]\n", "[supervisor]\ndashboard = \"127.0.0.1:8081\"\n", 1)
			}
			text, before = with(text), s.whole(s.export(with(fileWith("", ""))))
		}
		if seen := s.whole(s.export(text)) != before; seen == slices.Contains(unseen, key) {
			t.Errorf("%s = %s changes something: %v", key, value, seen)
		}
		if key == "command" {
			continue // no plain server
		}
		if seen := s.whole(s.export(text, func(o *Options) { o.Plain = true })) != without; !seen && !slices.Contains(unseen, key) {
			t.Errorf("%s = %s changes nothing with --plain", key, value)
		}
	}
	for key := range rules {
		if !slices.Contains(known, key) {
			t.Errorf("there is a rule for %s, which is no key", key)
		}
	}
}

func TestAKeyWithoutARuleIsSaid(t *testing.T) {
	t.Parallel()
	w := &writer{Options: options(), hide: maker.Secrets(), said: map[*build][]string{}}
	b := &build{Build: config.Build{Name: "one"}, writer: w}
	kept := w.apply(b, "", []config.Written{{Key: "no_such_key", Value: "1"}, {Key: "another", Value: "1", Default: true}})
	if len(kept) != 0 || !slices.Equal(w.said[b], []string{"one: no_such_key: nothing is known about it here"}) {
		t.Errorf("%v, %q", kept, w.said[b])
	}
}
