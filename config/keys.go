package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Cost is what a change of a key costs a build that runs.
type Cost int

// The costs, cheapest first. A key declares its own beside its name, in keys;
// zero says nothing and is refused by a test.
const (
	CostLive    Cost = iota + 1 // applies to what runs
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
}

// keys are all keys of a build but name, in the order of the documentation.
var keys = []key{
	{"source", CostRebuild, func(b *Build) any { return &b.Source }, notEmpty},
	{"app_dir", CostRebuild, func(b *Build) any { return &b.AppDir }, inside},
	{"requirements", CostRebuild, func(b *Build) any { return &b.Requirements }, inside},
	{"settings_dir", CostRebuild, func(b *Build) any { return &b.SettingsDir }, modulePath},
	{"wsgi", CostRestart, func(b *Build) any { return &b.WSGI }, wsgi},
	{"location", CostLive, func(b *Build) any { return &b.Location }, location},
	{"python", CostRebuild, func(b *Build) any { return &b.Python }, notEmpty},
	{"system_site_packages", CostRebuild, func(b *Build) any { return &b.SystemSitePackages }, nil},
	{"pip_args", CostRebuild, func(b *Build) any { return &b.PipArgs }, nil},
	{"migrate", CostRebuild, func(b *Build) any { return &b.Migrate }, nil},
	{"collectstatic", CostRebuild, func(b *Build) any { return &b.CollectStatic }, nil},
	{"check", CostRebuild, func(b *Build) any { return &b.Check }, nil},
	{"workers", CostRestart, func(b *Build) any { return &b.Workers }, whole(1, 64)},
	{"threads", CostRestart, func(b *Build) any { return &b.Threads }, whole(1, 256)},
	{"worker_class", CostRestart, func(b *Build) any { return &b.WorkerClass }, workerClass},
	{"timeout", CostRestart, func(b *Build) any { return &b.Timeout }, between(time.Second, 24*time.Hour)},
	{"graceful_timeout", CostRestart, func(b *Build) any { return &b.GracefulTimeout }, between(time.Second, time.Hour)},
	{"command", CostRestart, func(b *Build) any { return &b.Command }, command},
	{"gunicorn_args", CostRestart, func(b *Build) any { return &b.GunicornArgs }, gunicornArgs},
	{"env", CostRestart, func(b *Build) any { return &b.Env }, environment},
	{"env_file", CostRestart, func(b *Build) any { return &b.EnvFile }, nil},
	{"user", CostRebuild, func(b *Build) any { return &b.User }, userName},
	{"group", CostRebuild, func(b *Build) any { return &b.Group }, groupName},
	{"umask", CostRebuild, func(b *Build) any { return &b.Umask }, umask},
	{"socket_mode", CostRestart, func(b *Build) any { return &b.SocketMode }, socketMode},
	{"autostart", CostLive, func(b *Build) any { return &b.Autostart }, nil},
	{"restart", CostLive, func(b *Build) any { return &b.Restart }, nil},
	{"restart_delay_max", CostLive, func(b *Build) any { return &b.RestartDelayMax }, between(time.Second, time.Hour)},
	{"stable_after", CostLive, func(b *Build) any { return &b.StableAfter }, between(time.Millisecond, time.Hour)},
	{"watch_source", CostLive, func(b *Build) any { return &b.WatchSource }, nil},
	{"keep_releases", CostLive, func(b *Build) any { return &b.KeepReleases }, whole(1, 1000)},
	{"step_timeout", CostLive, func(b *Build) any { return &b.StepTimeout }, between(time.Second, 24*time.Hour)},
}

// healthKeys are the keys of [build.health].
var healthKeys = []key{
	{"path", CostLive, func(b *Build) any { return &b.Health.Path }, urlPath},
	{"expect", CostLive, func(b *Build) any { return &b.Health.Expect }, nil},
	{"interval", CostLive, func(b *Build) any { return &b.Health.Interval }, between(10*time.Millisecond, time.Hour)},
	{"timeout", CostLive, func(b *Build) any { return &b.Health.Timeout }, between(10*time.Millisecond, time.Hour)},
	{"failures", CostLive, func(b *Build) any { return &b.Health.Failures }, whole(1, 1000)},
	{"start_timeout", CostLive, func(b *Build) any { return &b.Health.StartTimeout }, between(100*time.Millisecond, time.Hour)},
	{"host", CostLive, func(b *Build) any { return &b.Health.Host }, hostName},
}

// laterTables are tables of a build whose effect comes later, with their keys.
var laterTables = map[string][]string{
	"limits":  {"memory", "cpu", "tasks", "nofile"},
	"sandbox": {"enabled", "read", "write"},
	"hooks":   {"after_swap", "on_failure"},
}

// BuildKey stands for the values of all keys that cost a rebuild; it is part
// of a release's identity. Equal values have equal keys, in every version of
// this program that knows the same keys.
func BuildKey(b Build) string { return hashOf(b, CostRebuild) }

// RunKey stands for the values of all keys that cost a restart.
func RunKey(b Build) string { return hashOf(b, CostRestart) }

func hashOf(b Build, c Cost) string {
	values := map[string]any{}
	for _, k := range keys {
		if k.cost == c {
			values[k.name] = k.field(&b)
		}
	}
	text, err := json.Marshal(values) // map keys are sorted
	if err != nil {
		panic(fmt.Sprintf("config: hash of a build: %v", err)) // strings, numbers, bools
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
