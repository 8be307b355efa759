package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// Look finds what is wrong with a configuration that config.Check returned, as far as it can be seen
// without starting anything: mistakes, and what may pass by itself.
func Look(ctx context.Context, c *config.Config, environ []string) (wrong, warnings config.Errors) {
	var static []collects
	for _, b := range c.Builds {
		if b.Name == "" || b.Source == "" || c.Root == "" {
			continue // that was reported
		}
		seen, err := build.Inspect(c.Root, b, environ)
		if err != nil {
			continue // so was that, or it is for the attempt to say
		}
		l := look{c, b, seen}
		if root := seen.StaticRoot(); root != "" && !c.Refused(b.Name, "app_dir", "settings_dir", "collectstatic") {
			static = append(static, collects{b.Name, root})
			if at := unwritable(root, b, seen.As); at != "" && !c.Refused(b.Name, "user", "group") {
				wrong = append(wrong, c.Wrong(b.Name, "collectstatic", "the build's user may not write to STATIC_ROOT, %s: see the rights of %s", root, at))
			}
		}
		if !c.Refused(b.Name, "app_dir", "settings_dir") {
			wrong = append(wrong, seen.Placeholders()...)
		}
		wrong = append(wrong, l.interpreter()...)
		wrong = append(wrong, l.folders()...)
		wrong = append(wrong, l.programs()...)
		warnings = append(warnings, l.apart()...)
		warnings = append(warnings, l.replicas()...)
		if missing := config.MissingPassed(b, environ); len(missing) > 0 {
			warnings = append(warnings, c.Wrong(b.Name, "pass_env", "pass_env: %s: not in the environment here; the supervisor's has to have them, or the build goes without", strings.Join(missing, ", ")))
		}
		missing, sure := seen.Gunicorn(nil)
		switch {
		case missing == nil, b.SystemSitePackages, c.Refused(b.Name, "requirements", "command", "pip_args", "env", "env_file", "system_site_packages"):
		case sure:
			wrong = append(wrong, c.Wrong(b.Name, "requirements", "%v", missing))
		default:
			warnings = append(warnings, c.Wrong(b.Name, "requirements", "%v; a release has it, so another package may bring it along", missing))
		}
	}
	refused, weaker := lookSandbox(c, sandbox.Here)
	wrong, warnings = append(wrong, refused...), append(warnings, weaker...)
	limited, perhaps := lookAtLimits(c)
	wrong, warnings = append(wrong, limited...), append(warnings, perhaps...)
	for _, pattern := range c.Unmatched() {
		warnings = append(warnings, c.Wrong("", "include", "include: no file matches %s", pattern))
	}
	_, exposed := c.Exposed() // what is wrong, config.Check said
	warnings = append(append(warnings, exposed...), asRoot(c)...)
	wrong = append(wrong, sharedStaticRoots(c, static)...)
	return wrong.Sorted(), append(warnings, lookAround(ctx, c)...).Sorted()
}

// collects is a build that collects static files, and where.
type collects struct{ build, root string }

// sharedStaticRoots finds builds whose STATIC_ROOT is another one's too, which each attempt would refuse.
func sharedStaticRoots(c *config.Config, all []collects) (wrong config.Errors) {
	for i, one := range all {
		for _, other := range all[:i] {
			if build.StaticOverlaps(one.root, other.root) {
				wrong = append(wrong, c.Wrong(one.build, "collectstatic", "STATIC_ROOT of the build %s is %s, and that of the build %s is %s: "+
					"each would remove the other's files. Give each one of its own in its settings, or set collectstatic = false for one of them",
					one.build, one.root, other.build, other.root))
			}
		}
	}
	return wrong
}

// asRoot warns where builds run as root, once for all of them.
func asRoot(c *config.Config) config.Errors {
	if os.Geteuid() != 0 {
		return nil
	}
	var names []string
	for _, b := range c.Builds {
		if id, err := config.IdentityOf(b); err == nil && id.UID <= 0 && b.Name != "" && !c.Refused(b.Name, "user") {
			names = append(names, b.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	const shown = 5
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return config.Errors{c.Wrong(names[0], "user",
		"no user is set, so what these builds run, with every package installed for them, runs as root: %s; set user, here or in [defaults]", text)}
}

// lookAround finds what the machine lacks.
func lookAround(ctx context.Context, c *config.Config) config.Errors {
	if c.Root == "" {
		return nil
	}
	var all config.Errors
	if running := WhoRuns(ctx, c.Root); !running.Unknown {
		for _, a := range addresses(c) {
			if f := portFinding(ctx, a, running); f.Level != OK {
				all = append(all, c.Wrong("", a.key, "%s: %s", f.Message, f.Fix))
			}
		}
	}
	if room, err := build.Room(c.Root); err == nil && (room.Bytes < tight.Bytes || room.Inodes < tight.Inodes) {
		f := roomFinding(c.Root, room, tight)
		all = append(all, c.WrongRoot("%s: %s", f.Message, f.Fix))
	}
	return all
}

// look is at one build.
type look struct {
	c    *config.Config
	b    config.Build
	seen *build.Inspection
}

func (l look) interpreter() config.Errors {
	if l.c.Refused(l.b.Name, "python", "user", "group", "env", "env_file") {
		return nil
	}
	path, err := build.Program(l.b.Python, l.seen.Env)
	if err != nil {
		return nil // that was reported
	}
	if err := build.MayNotExecute(path, l.seen.As); err != nil {
		return config.Errors{l.c.Wrong(l.b.Name, "python", "python = %q: %v", l.b.Python, err)}
	}
	return nil
}

// folders are those that the steps are started in: the build's user has to enter them.
func (l look) folders() config.Errors {
	if l.c.Refused(l.b.Name, "user", "group") {
		return nil
	}
	var all config.Errors
	if err := build.MayNotEnter(l.c.Root, l.seen.As); err != nil {
		all = append(all, l.c.WrongRoot("root = %q: %v", l.c.Root, err))
	}
	if err := build.MayNotEnter(l.b.Source, l.seen.As); err != nil {
		all = append(all, l.c.Wrong(l.b.Name, "source", "source = %q: %v", l.b.Source, err))
	}
	return all
}

// replicas are probed each by itself where the server serves a second listener.
func (l look) replicas() config.Errors {
	if l.b.Replicas < 2 || l.b.TakesTwo() || l.c.Refused(l.b.Name, "replicas", "command") {
		return nil
	}
	return config.Errors{l.c.Wrong(l.b.Name, "replicas", "replicas = %d: %s is probed on the socket of its clients, so a tree that hangs is not found while another serves; "+
		"have it serve the listener {private} as well: docs/servers.md has the commands", l.b.Replicas, l.b.ServerName())}
}

// programs looks for the programs of the build's commands.
func (l look) programs() config.Errors {
	if l.c.Refused(l.b.Name, "user", "group", "app_dir") {
		return nil
	}
	var all config.Errors
	find := func(key string, argv []string, anywhere bool) {
		if len(argv) == 0 || l.c.Refused(l.b.Name, key) {
			return
		}
		if why := l.missing(argv[0], anywhere); why != "" {
			all = append(all, l.c.Wrong(l.b.Name, key, "%s: %q: %s", key, argv[0], why))
		}
	}
	find("command", l.b.Command, false)
	for _, argv := range l.b.Steps.BeforeMigrate {
		find("steps.before_migrate", argv, false)
	}
	for _, argv := range l.b.Steps.AfterMigrate {
		find("steps.after_migrate", argv, false)
	}
	find("hooks.after_swap", l.b.Hooks.AfterSwap, true)
	find("hooks.on_failure", l.b.Hooks.OnFailure, true)
	find("hooks.on_recovery", l.b.Hooks.OnRecovery, true)
	return all
}

// missing says why a program cannot be executed, "" where it can, or where that is not known before
// there is a release. onPath says that a name alone is looked for on the PATH, where nothing of the
// release is.
func (l look) missing(program string, onPath bool) string {
	path := program
	inApp, isInApp := strings.CutPrefix(program, "{app}/")
	switch {
	case isInApp && !strings.ContainsAny(inApp, "{}"):
		path = filepath.Join(l.b.AppPath(), inApp)
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return "there is no file " + path
		} else if info.Mode()&0o111 == 0 {
			return path + " is not executable: chmod a+x it"
		}
		return "" // a release's own rights are ours to set
	case strings.ContainsAny(program, "{}"):
		return ""
	case strings.HasPrefix(program, "/"):
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return "there is no such program: install it, or correct its path"
		}
	case strings.Contains(program, "/") || !onPath:
		return "" // relative to a folder of the release, or one of its environment
	default:
		var err error
		if path, err = build.Program(program, l.seen.Env); err != nil {
			return "there is no such program on the build's PATH: install it, or give its path"
		}
	}
	if err := build.MayNotExecute(path, l.seen.As); err != nil {
		return err.Error()
	}
	return ""
}
