package kubernetes

import (
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// rule says what becomes of a key.
type rule struct {
	toml    bool   // it stays in the pod's own file
	handled bool   // manifests or the image carry it
	said    string // why it is not carried out, or what to do, where a build has it at another value than the default
	plain   string // the same with Plain, where there is no supervisor to carry it out
	open    bool   // its texts may hold what looks like a secret: it is left out then, and said
}

var (
	kept    = rule{toml: true}
	carried = rule{handled: true}
	both    = rule{toml: true, handled: true}
)

func lost(why string) rule { return rule{said: why} }

// bySupervisor is kept where there is a supervisor to carry it out.
func bySupervisor(instead string) rule { return rule{toml: true, plain: instead} }

const (
	noSocket   = "nobody but the supervisor in the pod connects to the build's socket"
	theUser    = "every container runs as user and group 10001, without privileges"
	theCluster = "the container is the sandbox: no privileges, a read-only file system; what it may connect to is for a NetworkPolicy to say"
	oneBuild   = "a pod has one build and one release, that of its image"
	oneCluster = "a cluster does it once, whatever its hosts are called: by a Job, a CronJob or a Deployment with `count` pods"
	dashboards = "the pods' supervisors have none: kubectl, and the metrics, show what runs"
)

// rules are what becomes of each key.
var rules = map[string]rule{
	"root":                           carried,
	"supervisor.log_level":           kept,
	"supervisor.log_format":          kept,
	"supervisor.log_dir":             lost("what the servers print is in the log of the pod (kubectl logs)"),
	"supervisor.max_parallel_builds": lost(oneBuild),
	"supervisor.front":               carried,
	"supervisor.front_proxies":       lost("a pod believes whatever reaches it from a private network, as only the cluster does: keep others out by a NetworkPolicy"),
	"supervisor.dashboard":           lost(dashboards),
	"supervisor.dashboard_read":      lost(dashboards),
	"supervisor.dashboard_write":     lost(dashboards),
	"supervisor.metrics":             {handled: true, plain: "they are the supervisor's"},
	"supervisor.control_group":       lost("whoever may `kubectl exec` into a pod is its user, and may command its supervisor"),
	"supervisor.include":             carried,

	"name":                 carried,
	"source":               both,
	"app_dir":              kept,
	"requirements":         kept,
	"settings_dir":         kept,
	"wsgi":                 both,
	"location":             carried,
	"strip_prefix":         carried,
	"python":               both,
	"system_site_packages": {toml: true, said: "the image has to have these packages: add them to PACKAGES in the Containerfile"},
	"pip_args":             {toml: true, open: true},
	"migrate":              carried,
	"once_on":              lost(oneCluster),
	"collectstatic":        {toml: true, said: "the files are collected when the image is made, with stand-ins for what the Secret has, and copied to STATIC_ROOT when a pod starts, so that has to be below MEDCTRL_DATA or in /tmp", plain: "the files are in the image, and nothing copies them to STATIC_ROOT: serve them from MEDCTRL_STATIC"},
	"check":                carried,
	"working_dir":          kept,
	"workers":              both,
	"threads":              both,
	"worker_class":         both,
	"timeout":              both,
	"graceful_timeout":     both,
	"command":              kept,
	"gunicorn_args":        both,
	"env":                  both,
	"env_file":             carried,
	"pass_env":             both,
	"user":                 lost(theUser),
	"group":                lost(theUser),
	"umask":                kept,
	"no_new_privs":         lost("no container can gain privileges: the cluster's level `restricted` asks for that"),
	"socket_group":         lost(noSocket),
	"socket_mode":          lost(noSocket),
	"replicas":             bySupervisor("a pod has one server"),
	"autostart":            carried,
	"restart":              bySupervisor("a container that ends is always started again"),
	"restart_delay_max":    bySupervisor("the cluster has its own times, up to 5 minutes"),
	"stable_after":         both,
	"watch_source":         lost("the source is in the image: a change of it is another image"),
	"keep_releases":        carried,
	"step_timeout":         both,

	"health.path":          both,
	"health.expect":        both,
	"health.interval":      both,
	"health.timeout":       both,
	"health.failures":      both,
	"health.start_timeout": both,
	"health.host":          both,

	"hooks.after_swap":  hook,
	"hooks.on_failure":  hook,
	"hooks.on_recovery": hook,

	"steps.before_migrate": carried,
	"steps.after_migrate":  carried,

	"sandbox.enabled": lost(theCluster),
	"sandbox.read":    lost(theCluster),
	"sandbox.write":   lost(theCluster),
	"sandbox.connect": lost(theCluster),
	"sandbox.bind":    lost(theCluster),

	"limits.memory": carried,
	"limits.cpu":    carried,
	"limits.tasks":  lost("a pod has no limit of its own: the kubelet's podPidsLimit is for all of a node"),
	"limits.nofile": kept,
	"limits.core":   kept,

	"process.name":             carried,
	"process.command":          carried,
	"process.count":            carried,
	"process.restart":          lost("a container that ends is always started again"),
	"process.stop_signal":      carried,
	"process.graceful_timeout": carried,
	"process.env":              carried,
	"process.ready":            lost("nobody takes READY=1 and WATCHDOG=1: a container counts as ready once it has started. Add a probe if the program has something to ask"),
	"process.once":             lost(oneCluster),
	"process.overlap":          carried,
	"process.required":         lost("a Deployment does not hold back another: `kubectl rollout status` of both tells"),

	"schedule.name":     carried,
	"schedule.command":  carried,
	"schedule.cron":     carried,
	"schedule.every":    carried,
	"schedule.timezone": carried,
	"schedule.timeout":  carried,
	"schedule.catch_up": carried,
	"schedule.once":     lost(oneCluster),
	"schedule.overlap":  carried,
	"schedule.spread":   lost("a CronJob starts at its minute: choose other minutes for builds that get into each other's way"),
}

// hook is the rule of [build.hooks].
var hook = rule{toml: true, open: true, said: "each pod runs it, and the program has to be in the image", plain: "there is no supervisor to run it"}

// ruleOf returns the rule of a key. One without a rule is said to be lost, not passed over.
func ruleOf(key string) rule {
	if r, ok := rules[key]; ok {
		return r
	}
	return lost("nothing is known about it here")
}

// apply says what of some keys needs to be said, and returns those that the pod's file keeps. called is
// what they are keys of, such as a process.
func (w *writer) apply(b *build, called string, all []config.Written) []config.Written {
	var keep []config.Written
	for _, k := range all {
		r := ruleOf(k.Key)
		if k.Default {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(k.Key, "supervisor."), "process."), "schedule.")
		if called != "" {
			name = called + ": " + name
		}
		if joined := strings.Join(k.Texts, " "); r.toml && k.Key != "env" && w.hide.Text(joined) != joined {
			if !r.open {
				w.refuse(b, "%s holds what looks like a password or a token, which would stand in the image: put it into env_file, where the program can read it", name)
			} else {
				w.say(b, "%s: left out, as it holds what looks like a password or a token: give it in another way", name)
			}
			continue
		}
		switch {
		case w.Plain && r.plain != "":
			w.say(b, "%s: %s", name, r.plain)
		case r.said != "":
			w.say(b, "%s: %s", name, r.said)
		}
		if r.toml {
			keep = append(keep, k)
		}
	}
	return keep
}
