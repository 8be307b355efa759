package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Cost is what a change of a key costs a running build.
type Cost int

// The costs, cheapest first. A key declares its own next to its name, in keys; zero means
// undeclared and is refused by a test.
const (
	CostLive    Cost = iota + 1 // applies to what is running
	CostRestart                 // a new generation takes over
	CostRebuild                 // a new release is built, and takes over
)

func (c Cost) String() string {
	return [...]string{"nothing", "live", "restart", "rebuild"}[c]
}

// key is one key of [[build]] and of [defaults].
type key struct {
	name  string
	cost  Cost
	field func(*Build) any // pointer to the field it sets
	check func(v any) (want string)
	parts func(v any) []part // returns what is wrong in a list or table
}

// ofMachine are the keys whose check asks this machine.
var ofMachine = map[string]bool{"user": true, "group": true, "socket_group": true}

// part is a wrong element of a list or entry of a table.
type part struct {
	below string // its key or number
	shown any
	want  string
}

// name returns the name of the part in a message.
func (p part) name(key string) string {
	if numbers.MatchString(p.below) {
		return key + "[" + strings.ReplaceAll(p.below, ".", "][") + "]"
	}
	return key + "." + shownKey(p.below)
}

// path is the position of the part of what stands at a path.
func (p part) path(at string) string {
	if !numbers.MatchString(p.below) {
		return join(at, p.below)
	}
	for _, number := range strings.Split(p.below, ".") {
		at = join(at, number)
	}
	return at
}

// numbers are those of an element of a list, or of a list of lists.
var numbers = regexp.MustCompile(`^\d+(\.\d+)*$`)

// keys are all keys of a build but name, in the order of the documentation.
var keys = []key{
	{"source", CostRebuild, func(b *Build) any { return &b.Source }, notEmpty, nil},
	{"app_dir", CostRebuild, func(b *Build) any { return &b.AppDir }, inside, nil},
	{"requirements", CostRebuild, func(b *Build) any { return &b.Requirements }, insideOrNone, nil},
	{"settings_dir", CostRebuild, func(b *Build) any { return &b.SettingsDir }, modulePath, nil},
	{"wsgi", CostRestart, func(b *Build) any { return &b.WSGI }, wsgi, nil},
	{"location", CostLive, func(b *Build) any { return &b.Location }, location, nil},
	{"strip_prefix", CostLive, func(b *Build) any { return &b.StripPrefix }, nil, nil},
	{"python", CostRebuild, func(b *Build) any { return &b.Python }, notEmpty, nil},
	{"system_site_packages", CostRebuild, func(b *Build) any { return &b.SystemSitePackages }, nil, nil},
	{"pip_args", CostRebuild, func(b *Build) any { return &b.PipArgs }, nil, pipArgs},
	{"migrate", CostRebuild, func(b *Build) any { return &migration{&b.Migrate, &b.Databases} }, nil, nil},
	{"once_on", CostLive, func(b *Build) any { return &b.OnceOn }, onlyHost, nil},
	{"collectstatic", CostRebuild, func(b *Build) any { return &b.CollectStatic }, nil, nil},
	{"check", CostRebuild, func(b *Build) any { return &b.Check }, nil, nil},
	{"working_dir", CostRebuild, func(b *Build) any { return &b.WorkingDir }, workingDir, nil},
	{"workers", CostRestart, func(b *Build) any { return &b.Workers }, whole(1, 64), nil},
	{"threads", CostRestart, func(b *Build) any { return &b.Threads }, whole(1, 256), nil},
	{"worker_class", CostRestart, func(b *Build) any { return &b.WorkerClass }, workerClass, nil},
	{"timeout", CostRestart, func(b *Build) any { return &b.Timeout }, between(time.Second, 24*time.Hour), nil},
	{"graceful_timeout", CostRestart, func(b *Build) any { return &b.GracefulTimeout }, between(time.Second, time.Hour), nil},
	{"command", CostRestart, func(b *Build) any { return &b.Command }, nil, serverCommand},
	{"gunicorn_args", CostRestart, func(b *Build) any { return &b.GunicornArgs }, nil, gunicornArgs},
	{"env", CostRestart, func(b *Build) any { return &b.Env }, nil, environment},
	{"env_file", CostRestart, func(b *Build) any { return &b.EnvFile }, nil, nil},
	{"pass_env", CostRestart, func(b *Build) any { return &b.PassEnv }, nil, passedOn},
	{"user", CostRebuild, func(b *Build) any { return &b.User }, userName, nil},
	{"group", CostRebuild, func(b *Build) any { return &b.Group }, groupName, nil},
	{"umask", CostRebuild, func(b *Build) any { return &b.Umask }, umask, nil},
	{"no_new_privs", CostRestart, func(b *Build) any { return &b.NoNewPrivs }, nil, nil},
	{"socket_group", CostRestart, func(b *Build) any { return &b.SocketGroup }, groupName, nil},
	{"socket_mode", CostRestart, func(b *Build) any { return &b.SocketMode }, socketMode, nil},
	{"replicas", CostRestart, func(b *Build) any { return &b.Replicas }, whole(1, 16), nil},
	{"autostart", CostLive, func(b *Build) any { return &b.Autostart }, nil, nil},
	{"restart", CostLive, func(b *Build) any { return &b.Restart }, nil, nil},
	{"restart_delay_max", CostLive, func(b *Build) any { return &b.RestartDelayMax }, between(time.Second, time.Hour), nil},
	{"stable_after", CostLive, func(b *Build) any { return &b.StableAfter }, between(time.Millisecond, time.Hour), nil},
	{"watch_source", CostLive, func(b *Build) any { return &b.WatchSource }, nil, nil},
	{"keep_releases", CostLive, func(b *Build) any { return &b.KeepReleases }, whole(1, 1000), nil},
	{"step_timeout", CostLive, func(b *Build) any { return &b.StepTimeout }, between(time.Second, 24*time.Hour), nil},
}

// healthKeys are the keys of [build.health].
var healthKeys = []key{
	{"path", CostLive, func(b *Build) any { return &b.Health.Path }, urlPath, nil},
	{"expect", CostLive, func(b *Build) any { return &b.Health.Expect }, nil, nil},
	{"interval", CostLive, func(b *Build) any { return &b.Health.Interval }, between(10*time.Millisecond, time.Hour), nil},
	{"timeout", CostLive, func(b *Build) any { return &b.Health.Timeout }, between(10*time.Millisecond, time.Hour), nil},
	{"failures", CostLive, func(b *Build) any { return &b.Health.Failures }, whole(1, 1000), nil},
	{"start_timeout", CostLive, func(b *Build) any { return &b.Health.StartTimeout }, between(100*time.Millisecond, time.Hour), nil},
	{"host", CostLive, func(b *Build) any { return &b.Health.Host }, hostName, nil},
}

// hookKeys are the keys of [build.hooks].
var hookKeys = []key{
	{"after_swap", CostLive, func(b *Build) any { return &b.Hooks.AfterSwap }, hookCommand, hookArgs},
	{"on_failure", CostLive, func(b *Build) any { return &b.Hooks.OnFailure }, hookCommand, hookArgs},
	{"on_recovery", CostLive, func(b *Build) any { return &b.Hooks.OnRecovery }, hookCommand, hookArgs},
}

// stepKeys are the keys of [build.steps].
var stepKeys = []key{
	{"before_migrate", CostRebuild, func(b *Build) any { return &b.Steps.BeforeMigrate }, nil, stepCommands},
	{"after_migrate", CostRebuild, func(b *Build) any { return &b.Steps.AfterMigrate }, nil, stepCommands},
}

// sandboxKeys are the keys of [build.sandbox].
var sandboxKeys = []key{
	{"enabled", CostRestart, func(b *Build) any { return &b.Sandbox.Enabled }, nil, nil},
	{"read", CostRestart, func(b *Build) any { return &b.Sandbox.Read }, nil, sandboxPaths},
	{"write", CostRestart, func(b *Build) any { return &b.Sandbox.Write }, nil, sandboxPaths},
	{"connect", CostRestart, func(b *Build) any { return &b.Sandbox.Connect }, nil, nil},
	{"bind", CostRestart, func(b *Build) any { return &b.Sandbox.Bind }, nil, nil},
}

// limitKeys are the keys of [build.limits]. To set one of the first three, or to unset it, costs a
// restart: see Limits.Groups.
var limitKeys = []key{
	{"memory", CostLive, func(b *Build) any { return &b.Limits.Memory }, memorySize, nil},
	{"cpu", CostLive, func(b *Build) any { return &b.Limits.CPU }, cores, nil},
	{"tasks", CostLive, func(b *Build) any { return &b.Limits.Tasks }, count(2, 4<<20), nil},
	{"nofile", CostRestart, func(b *Build) any { return &b.Limits.Nofile }, count(32, 1<<20), nil},
	{"core", CostRestart, func(b *Build) any { return &b.Limits.Core }, nil, nil},
}

// subtables are the tables of a build, with their keys.
func subtables() map[string][]key {
	return map[string][]key{"health": healthKeys, "hooks": hookKeys, "steps": stepKeys, "sandbox": sandboxKeys, "limits": limitKeys}
}

// younger are keys that came after releases had been made without them. At their default they are
// not part of a hash, so that no release is made anew for a new version of this program.
var younger = map[string]bool{
	"working_dir": true, "steps.before_migrate": true, "steps.after_migrate": true, "no_new_privs": true, "socket_group": true,
	"sandbox.enabled": true, "sandbox.read": true, "sandbox.write": true, "sandbox.connect": true, "sandbox.bind": true,
	"limits.nofile": true, "limits.core": true, "replicas": true, "pass_env": true,
}

// BuildKey identifies the values of all keys that cost a rebuild; it is part of a release's
// identity. Equal values have equal BuildKeys, in every version of this program that knows the same
// keys.
func BuildKey(b Build) string { return hashOf(b, CostRebuild) }

// RunKey identifies the run settings: the values of all keys that cost a restart.
func RunKey(b Build) string { return hashOf(b, CostRestart) }

func hashOf(b Build, c Cost) string {
	text, err := json.Marshal(valuesOf(b, c)) // map keys are sorted
	if err != nil {
		panic(fmt.Sprintf("config: hash of a build: %v", err)) // strings, numbers, bools
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// valuesOf returns the values of all keys of that cost, by name.
func valuesOf(b Build, c Cost) map[string]any {
	values, standard := map[string]any{}, defaultBuild()
	add := func(prefix string, known []key) {
		for _, k := range known {
			name := prefix + k.name
			old := younger[name] && reflect.DeepEqual(k.field(&b), k.field(&standard))
			if k.cost == c && !old {
				values[name] = k.field(&b)
			}
		}
	}
	add("", keys)
	add("health.", healthKeys)
	add("steps.", stepKeys)
	add("sandbox.", sandboxKeys)
	add("limits.", limitKeys)
	if groups := b.Limits.Groups(); c == CostRestart && groups != nil {
		values["limits"] = groups
	}
	return values
}
