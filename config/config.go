package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Config is a valid builds.toml, with the files that it includes. Its paths are absolute.
type Config struct {
	Path       string // the path given to Load, made absolute
	Root       string
	Supervisor Supervisor
	Builds     []Build    // in the order of the file, and of those that it includes
	Include    []string   // paths and patterns of the files that it includes, absolute
	Included   []Included // these files
	// FrontProxies are the addresses of proxies between clients and the front.
	FrontProxies []netip.Prefix
	Sum          string // hash of all their bytes
	Text         []byte // the file's bytes

	sites *sites // where everything stands; only of Check
}

// Supervisor is the table [supervisor].
type Supervisor struct {
	LogLevel          string // trace, debug, info, warn or error
	LogFormat         string // text or json
	LogDir            string
	MaxParallelBuilds int
	Front             string // host:port of the embedded front; "" for none
	Dashboard         string // host:port of the dashboard; "" for none
	DashboardRead     string // file with the token of those who may see logs and output; "" for nobody
	DashboardWrite    string // the same of those who may act; they may also see
	Metrics           string // host:port of the metrics; "" for none
	ControlGroup      string // group whose members may read over the control socket; "" for nobody
}

// Restart says when a server that ended without being told to is started again.
type Restart string

// The values of Restart.
const (
	RestartAlways    Restart = "always"
	RestartOnFailure Restart = "on-failure"
	RestartNever     Restart = "never"
)

// Expect is a range of HTTP statuses, both ends included.
type Expect struct{ Min, Max int }

// Health says how a build's server is probed.
type Health struct {
	Path, Host                      string
	Expect                          Expect
	Interval, Timeout, StartTimeout time.Duration
	Failures                        int
}

// Hooks are commands that events of a build call.
type Hooks struct{ AfterSwap, OnFailure, OnRecovery []string } // with braces

// Steps are commands that run while a release is made.
type Steps struct{ BeforeMigrate, AfterMigrate [][]string }

// Build is one entry [[build]], with [defaults] and the defaults of the keys filled in.
type Build struct {
	Name               string
	Source             string
	AppDir             string
	Requirements       string
	SettingsDir        string
	WSGI               string
	Location           string
	StripPrefix        bool // of Location, from the paths of requests
	Python             string
	SystemSitePackages bool
	PipArgs            []string
	Migrate            bool
	Databases          []string // that are migrated; none: as manage.py does by itself
	OnceOn             string   // the host that does what is done once, and not on each host; "": each does
	WorkingDir         string   // with braces
	Steps              Steps
	Sandbox            Sandbox
	CollectStatic      bool
	Check              bool
	Workers            int
	Threads            int
	WorkerClass        string
	Timeout            time.Duration
	GracefulTimeout    time.Duration
	Command            []string
	GunicornArgs       []string
	Env                map[string]string
	EnvFile            string
	PassEnv            []string // variables of our own environment that are handed down
	User               string
	Group              string
	Umask              os.FileMode
	NoNewPrivs         bool   // nothing that runs can gain privileges, or has any
	SocketGroup        string // of the public socket; "": Group, or that of the user
	SocketMode         os.FileMode
	Autostart          bool
	Restart            Restart
	RestartDelayMax    time.Duration
	StableAfter        time.Duration
	WatchSource        bool
	KeepReleases       int
	StepTimeout        time.Duration
	Health             Health
	Hooks              Hooks
	Limits             Limits
	Replicas           int        // server trees side by side
	Processes          []Process  // in the order of the file
	Schedules          []Schedule // in the order of the file

	// Private are the files of the supervisor and of all builds that no sandbox opens: builds.toml,
	// env_file and tokens, without links on the way. They are no key, and part of no comparison.
	Private []string

	// Elsewhere is what another host does, of a Config that is On a host. It is no key either.
	Elsewhere Elsewhere
}

// SettingsFile is the build's own settings file in the source.
func (b Build) SettingsFile() string {
	return filepath.Join(b.AppPath(), b.SettingsDir, "deploy_"+b.Name+".py")
}

// SettingsModule is the build's value of DJANGO_SETTINGS_MODULE.
func (b Build) SettingsModule() string {
	return strings.ReplaceAll(filepath.ToSlash(b.SettingsDir), "/", ".") + ".deploy_" + b.Name
}

// RequirementsFile is the requirements file in the source. A build that names none has its
// dependencies in a pyproject.toml, in the source or next to manage.py.
func (b Build) RequirementsFile() string {
	if b.Requirements != "" {
		return filepath.Join(b.Source, b.Requirements)
	}
	path, below := filepath.Join(b.Source, pyproject), filepath.Join(b.AppPath(), pyproject)
	if !isFile(path) && isFile(below) {
		return below
	}
	return path
}

const pyproject = "pyproject.toml"

// AppPath is the Django project in the source.
func (b Build) AppPath() string { return filepath.Join(b.Source, b.AppDir) }

// Socket is the public socket of a build.
func (c *Config) Socket(name string) string { return layout.Root(c.Root).Build(name).Socket() }

// Build returns the entry of that name.
func (c *Config) Build(name string) (Build, bool) {
	for i := range c.Builds { // no copy of each entry: they are large, and files have many
		if c.Builds[i].Name == name {
			return c.Builds[i], true
		}
	}
	return Build{}, false
}
