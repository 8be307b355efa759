package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// command refuses a command that cannot be started. An empty list is none, so that a build can go
// without the command of [defaults].
func command(v any) []part { return commandWith(v.([]string), braces) }

// serverCommand is command for a server, which may have a second listener.
func serverCommand(v any) []part {
	return commandWith(v.([]string), append(slices.Clip(braces), BracePrivate))
}

// commandWith is command with these braces.
func commandWith(argv, braces []string) []part {
	var all []part
	for i, arg := range argv {
		at := strconv.Itoa(i)
		if strings.ContainsRune(arg, 0) {
			all = append(all, part{at, arg, "no NUL byte"})
		}
		if i == 0 && arg == "" {
			all = append(all, part{at, arg, `a program, such as "{python}"`})
		}
		for _, name := range braced.FindAllString(arg, -1) {
			if !slices.Contains(braces, name) {
				all = append(all, part{at, arg, "in braces one of " + strings.Join(braces, " ") + Near(name, braces)})
			}
		}
	}
	return all
}

// hookArgs refuses what cannot be an argument, and what looks like a brace that was misspelt. Other
// braces are left alone: many a hook is a line of shell or JSON.
func hookArgs(v any) []part {
	var all []part
	for i, arg := range v.([]string) {
		at := strconv.Itoa(i)
		if strings.ContainsRune(arg, 0) {
			all = append(all, part{at, arg, "no NUL byte"})
		}
		for _, name := range braced.FindAllString(arg, -1) {
			if near := Near(name, braces); near != "" && !slices.Contains(braces, name) && !strings.Contains(arg, "$"+name) {
				all = append(all, part{at, arg, "in braces one of " + strings.Join(braces, " ") + near})
			}
		}
	}
	return all
}

// stepCommands refuses commands of [build.steps] that cannot be started.
func stepCommands(v any) []part {
	var all []part
	for i, one := range v.([][]string) {
		for _, p := range commandWith(one, braces) {
			p.below = strconv.Itoa(i) + "." + p.below
			all = append(all, p)
		}
	}
	return all
}

func pipArgs(v any) []part {
	var all []part
	for i, arg := range v.([]string) {
		if strings.ContainsRune(arg, 0) {
			all = append(all, part{strconv.Itoa(i), arg, "no NUL byte"})
		}
	}
	return all
}

func environment(v any) []part {
	env := v.(map[string]string)
	var all []part
	for _, name := range slices.Sorted(maps.Keys(env)) {
		want := variable(name)
		if want == "" && strings.ContainsRune(env[name], 0) {
			want = "no NUL byte"
		}
		if want != "" {
			all = append(all, part{name, "…", want}) // the value may be a secret
		}
	}
	return all
}

// passedOn refuses names of variables that a build may not set, and so may not be given either.
func passedOn(v any) []part {
	var all []part
	names := v.([]string)
	for i, name := range names {
		want := variable(name)
		if want == "" && slices.Contains(names[:i], name) {
			want = "each name once"
		}
		if want != "" {
			all = append(all, part{strconv.Itoa(i), name, want})
		}
	}
	return all
}

// ownVariables are the variables that the supervisor itself sets, for a server, a step or a hook, or
// that tell a server of the supervisor's own service manager. PYTHONUNBUFFERED and
// PYTHONDONTWRITEBYTECODE are set too, but many files have them for the same purpose.
var ownVariables = []string{
	"MEDCTRL_BUILD", "MEDCTRL_RELEASE", "MEDCTRL_DATA", "MEDCTRL_GENERATION", "MEDCTRL_READY_FD", "MEDCTRL_RUN_KEY",
	"MEDCTRL_STEP", "MEDCTRL_MIGRATES", "MEDCTRL_HANDOVER", "MEDCTRL_EVENT", "MEDCTRL_REASON", "MEDCTRL_SCHEDULE",
	"VIRTUAL_ENV", "SPT_NOENV", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
}

// variable returns what is wanted in place of a variable that a build may not set, or "".
func variable(name string) string {
	switch {
	case !envName.MatchString(name):
		return "a name of letters, digits and _, no digit first"
	case strings.HasPrefix(name, "LISTEN_"), slices.Contains(ownVariables, name):
		return "another name: this one is the supervisor's"
	case name == "DJANGO_SETTINGS_MODULE":
		return "it left out: the supervisor sets it, from settings_dir and the build's name"
	case name == "GUNICORN_CMD_ARGS":
		return "gunicorn's arguments in gunicorn_args"
	}
	return ""
}

// refusedArgs are gunicorn's flags that would conflict with the supervisor, and why.
var refusedArgs = map[string]string{
	"bind": "the supervisor makes the socket", "reuse-port": "the supervisor makes the socket",
	"pid": "the supervisor knows the process", "daemon": "the supervisor must stay its parent",
	"config": "the supervisor writes the configuration", "control-socket": "builds would share it",
	"chdir": "it runs in the release", "paste": "use the key wsgi", "paster": "use the key wsgi",
	"reload": "a release does not change; use watch_source",
	"user":   "use the key user", "group": "use the key group", "umask": "use the key umask",
	"workers": "use the key workers", "graceful-timeout": "use the key graceful_timeout",
	"check-config": "it does not serve", "print-config": "it does not serve", "version": "it does not serve", "help": "it does not serve",
}

var refusedShort = map[byte]string{
	'b': "bind", 'p': "pid", 'D': "daemon", 'c': "config", 'u': "user", 'g': "group", 'm': "umask", 'w': "workers",
	'v': "version", 'h': "help",
}

// gunicornArgs refuses arguments that would conflict with the supervisor, written in any way that
// gunicorn's parser (argparse) accepts: --pid=X, -pX, -Rp X (-R has no value), --pi X (any
// unambiguous prefix of a long flag; gunicorn itself refuses an ambiguous one). A word that is not
// the value of a flag would be the application, and so would anything after --.
func gunicornArgs(v any) []part {
	var all []part
	wrong := func(i int, arg, want string) { all = append(all, part{strconv.Itoa(i), arg, want}) }
	takesValue := false
	for i, arg := range v.([]string) {
		name, _, hasValue := strings.Cut(arg, "=")
		mayTake := takesValue
		takesValue = false
		flag := ""
		switch {
		case strings.ContainsRune(arg, 0):
			wrong(i, arg, "no NUL byte")
		case arg == "--":
			wrong(i, arg, "no application here: use the key wsgi")
			return all
		case strings.HasPrefix(arg, "--"):
			takesValue = !hasValue
			flag = longFlag(name[2:])
		case len(arg) > 1 && arg[0] == '-':
			short := strings.TrimLeft(arg[1:], "R")
			takesValue = len(short) == 1
			if short != "" {
				flag = refusedShort[short[0]]
			}
		case !mayTake:
			wrong(i, arg, "a flag: the application is the key wsgi")
		}
		if flag != "" {
			wrong(i, arg, fmt.Sprintf("no --%s: %s", flag, refusedArgs[flag]))
		}
		if text, ok := variableArg(v.([]string), i); ok {
			name, _, _ := strings.Cut(text, "=")
			if want := variable(name); want != "" && name != "GUNICORN_CMD_ARGS" { // which is read before
				wrong(i, "--env "+name, want)
			}
		}
	}
	return all
}

// variableArg returns NAME=VALUE where the argument at i sets a variable: --env=N=V, -eN=V, or the flag
// alone with the next argument.
func variableArg(args []string, i int) (text string, ok bool) {
	arg := args[i]
	switch {
	case strings.HasPrefix(arg, "--env="):
		return arg[len("--env="):], true
	case arg == "--env":
		arg = ""
	case len(arg) > 1 && arg[0] == '-' && strings.HasPrefix(strings.TrimLeft(arg[1:], "R"), "e"):
		arg = strings.TrimLeft(arg[1:], "R")[1:]
	default:
		return "", false
	}
	if arg == "" && i+1 < len(args) {
		arg = args[i+1]
	}
	return arg, true
}

// longFlag returns the refused flag that name means, or "".
func longFlag(name string) string {
	if _, ok := refusedArgs[name]; ok {
		return name
	}
	for _, long := range slices.Sorted(maps.Keys(refusedArgs)) {
		if name != "" && strings.HasPrefix(long, name) {
			return long
		}
	}
	return ""
}
