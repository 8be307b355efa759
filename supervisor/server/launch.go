package server

import (
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Server is one kind of server.
type Server interface {
	// Argv is the command that starts it from a release, and the files that must be there first.
	Argv(p Place) (argv []string, files []File)
	// SaysReady reports whether each of its workers sends a message once it has loaded the
	// application (Await).
	SaysReady() bool
	// FinishesAtTerm reports whether it is known to finish the requests it has accepted when it gets
	// SIGTERM. Of any other, nobody is to be connected by then.
	FinishesAtTerm() bool
	// TakesTwo reports whether it serves a second listener beside the first, as LISTEN_FDS=2 says.
	TakesTwo() bool
	// KeepsQueue reports whether it leaves the length of its queue as it is told to.
	KeepsQueue() bool
	// Exit adds the meaning of an exit code to an exit in words. code is -1 if a signal ended the
	// server.
	Exit(words string, code int) string
	// LastWords picks from its last output the lines that say why it ended.
	LastWords(output []string) []string
}

// Of returns the server that a build's entry asks for.
func Of(b *config.Build) Server {
	if len(b.Command) > 0 {
		return Command{Entry: b}
	}
	return Gunicorn{Entry: b}
}

// Place is where a server is started.
type Place struct {
	Release build.Release
	App     string // the Django project in the release
	Paths   layout.Build
	RunKey  string
	GID     int // group that may read generated files; -1: the supervisor's own
}

// braces are what is filled in in a command that is started there.
func (p Place) braces() config.Braces {
	return config.Braces{Python: p.Release.Python(), Venv: p.Release.Venv, Release: p.Release.Dir, App: p.App, Data: p.Paths.Data()}
}

// Recipe is all that is needed to start a version again without reading anything: a crash is
// answered from memory. What it comes to is worked out at each start and kept by nobody: of a thousand
// builds that would be a thousand environments.
type Recipe struct {
	Entry   *config.Build
	Environ []string // the build's environment (config.Environ)
	Release *build.Release
	Paths   layout.Build
	RunKey  string
	Owner   config.Identity // the user and groups it runs as
	Process *config.Process // nil: the server itself
	box     *build.Box
}

// NewRecipe returns r, with what only the disk tells of its sandbox.
func NewRecipe(r Recipe) *Recipe {
	r.box = r.place().box(r.Entry, r.Owner)
	return &r
}

func (r *Recipe) place() Place {
	return Place{Release: *r.Release, Paths: r.Paths, RunKey: r.RunKey}.of(r.Entry, r.Owner)
}

// Launch returns how to start it.
func (r *Recipe) Launch() *Launch {
	if r.Process != nil {
		return prepareProcess(r.Entry, *r.Process, r.Environ, r.place(), r.Owner, r.box)
	}
	return prepare(r.Entry, r.Environ, r.place(), r.Owner, r.box)
}

// Server returns what is known of what it starts.
func (r *Recipe) Server() Server {
	if r.Process != nil {
		return Process{Of: r.Process}
	}
	return Of(r.Entry)
}

// of returns p with what depends on the entry.
func (p Place) of(b *config.Build, owner config.Identity) Place {
	p.App, p.GID = p.Release.App(*b), owner.GID
	return p
}

// box is what the build's sandbox opens there; nil: it has none.
func (p Place) box(b *config.Build, owner config.Identity) *build.Box {
	return p.Release.ServerBox(*b, p.Paths, owner, p.braces())
}

// Launch is how to start something.
type Launch struct {
	Server Server
	Argv   []string
	Env    []string // the whole environment
	Dir    string
	From   build.Release
	Data   string // the folder that the server may write to, there when it starts
	Files  []File
	User   config.Identity
	Umask  fs.FileMode
	// NewPrivs lets it gain privileges by set-user-ID programs. Capable has it keep the capabilities
	// that its user has.
	NewPrivs, Capable bool
	StopSignal        syscall.Signal // asks it to end; 0: SIGTERM
	Notify            bool           // it says by sd_notify(3) when it is up (Note)
	Box               *build.Box     // what the server may reach; nil: all that its user may
	Limits            config.Limits  // of each of its processes (Nofile, Core); what the tree may use is for its start
}

// The environment variables in which a server carries what it runs (VersionOf).
const (
	releaseKey = "MEDCTRL_RELEASE"
	runKeyKey  = "MEDCTRL_RUN_KEY"
)

// prepare returns how to start the server of entry b from a release. environ is the build's
// environment (config.Environ), owner the user and groups it runs as.
func prepare(b *config.Build, environ []string, p Place, owner config.Identity, box *build.Box) *Launch {
	l := &Launch{
		Server: Of(b),
		Env:    append(environment(b, environ, p, owner), runKeyKey+"="+p.RunKey),
		Dir:    p.braces().Dir(b.WorkingDir),
		From:   p.Release,
		Data:   p.Paths.Data(),
		User:   owner,
		Umask:  b.Umask,

		NewPrivs: !b.NoNewPrivs, Capable: !b.NoNewPrivs || owner.Capable,
		Box:    box,
		Limits: b.Limits,
	}
	l.Argv, l.Files = l.Server.Argv(p)
	return l
}

// environment returns the environment of the build's server.
func environment(b *config.Build, environ []string, p Place, owner config.Identity) []string {
	env := append([]string(nil), environ...)
	set := func(k, v string) {
		for i, e := range env {
			if strings.HasPrefix(e, k+"=") {
				env[i] = k + "=" + v
				return
			}
		}
		env = append(env, k+"="+v)
	}
	if owner.Home != "" && b.Env["HOME"] == "" {
		set("HOME", owner.Home)
	}
	set("PYTHONUNBUFFERED", "1")
	set("PYTHONDONTWRITEBYTECODE", "1") // the release is compiled and not the server's to write
	set("DJANGO_SETTINGS_MODULE", b.SettingsModule())
	set("SPT_NOENV", "1") // setproctitle, if installed, would overwrite our mark
	set("VIRTUAL_ENV", p.Release.Venv)
	set("MEDCTRL_BUILD", b.Name)
	set(releaseKey, p.Release.ID)
	set("MEDCTRL_DATA", p.Paths.Data())
	if static := p.Release.Static(); static != "" {
		set("MEDCTRL_STATIC", static)
	}
	return build.WithApp(env, p.App, p.braces().Dir(b.WorkingDir))
}

// names is what a release and run settings are called. Paths are made of them.
var names = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$`)

// VersionOf reads from a server's environment which release it runs, and with which run settings. ok
// is false unless it says both, in a form that they can have: the server may say what it likes.
func VersionOf(environ []string) (release, runKey string, ok bool) {
	for _, entry := range environ {
		if id, is := strings.CutPrefix(entry, releaseKey+"="); is {
			release = id
		}
		if key, is := strings.CutPrefix(entry, runKeyKey+"="); is {
			runKey = key
		}
	}
	return release, runKey, names.MatchString(release) && names.MatchString(runKey)
}
