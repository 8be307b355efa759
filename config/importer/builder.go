package importer

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/importer/redact"
	"github.com/medctrl/medctrl-supervisor/config/importer/script"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// builder is a script that made a build, build.sh.
type builder struct {
	from         string
	dirs         []string // in which it works, that may be a checkout
	commands     []script.Command
	names        []string // of the variables that it exports
	requirements []string
	python       string
}

var versioned = regexp.MustCompile(`^python3\.\d+$`)

// addScript reads a build script. A script that starts a server is a service.
func (w *work) addScript(file, text string) {
	dir := path.Dir(file)
	if !path.IsAbs(file) {
		dir = ""
	}
	sc, err := script.Read(text, dir, nil)
	if err != nil {
		w.lose("%s: %v", redact.Plain(file), err)
		return
	}
	for _, c := range sc.Commands {
		if isServer(c.Words) {
			w.services = append(w.services, &service{
				from: path.Base(file), name: strings.TrimSuffix(path.Base(file), path.Ext(file)), dir: dir, words: []string{"sh", file}, count: 1,
			})
			w.cache[file] = cached{text: text}
			return
		}
	}
	b := &builder{from: path.Base(file), commands: sc.Commands, names: sc.Unknown}
	for _, v := range sc.Exported {
		b.names = append(b.names, v.Name)
	}
	if dir != "" {
		b.dirs = append(b.dirs, dir)
	}
	for _, c := range sc.Commands {
		if (isManage(c.Words) || slices.Contains([]string{"git", "pip", "pip3"}, path.Base(c.Words[0]))) && path.IsAbs(c.Dir) && !strings.Contains(c.Dir, "$") && !slices.Contains(b.dirs, c.Dir) {
			b.dirs = append(b.dirs, c.Dir)
		}
		b.look(c.Words)
	}
	w.builders = append(w.builders, b)
}

// look finds the interpreter and the requirements.
func (b *builder) look(words []string) {
	program := path.Base(words[0])
	if program == "sudo" {
		if rest := (&service{}).sudo(words[1:]); len(rest) > 0 {
			b.look(rest)
		}
		return
	}
	if versioned.MatchString(program) && (slices.Contains(words, "venv") || slices.Contains(words, "virtualenv")) {
		b.python = program
		if path.IsAbs(words[0]) && path.Dir(words[0]) != "/usr/bin" {
			b.python = words[0]
		}
	}
	if strings.HasPrefix(program, "virtualenv") || slices.Contains(words, "virtualenv") {
		for i, word := range words {
			if value, ok := strings.CutPrefix(word, "--python="); ok && value != "" {
				b.python = value
			} else if (word == "-p" || word == "--python") && i+1 < len(words) {
				b.python = words[i+1]
			}
		}
	}
	if slices.Contains(words, "install") && slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(path.Base(word), "pip") }) {
		for i, word := range words {
			if value, ok := strings.CutPrefix(word, "--requirement="); ok {
				b.requirements = append(b.requirements, value)
			} else if (word == "-r" || word == "--requirement") && i+1 < len(words) {
				b.requirements = append(b.requirements, words[i+1])
			} else if strings.HasPrefix(word, "-r") && len(word) > 2 && !strings.HasPrefix(word, "--") {
				b.requirements = append(b.requirements, word[2:])
			}
		}
	}
}

// buildersOf returns the scripts that an entry was made with.
func (w *work) buildersOf(e *entry) []*builder {
	var all []*builder
	for _, b := range w.builders {
		if slices.Contains(e.from, b.from) || len(w.builders) == 1 && w.o.Source != "" {
			all = append(all, b)
		}
	}
	return all
}

// idlePrograms are what a build script runs and a supervisor does by itself.
var idlePrograms = strings.Fields("systemctl service supervisorctl git cp rsync rm mkdir ln mv chown chmod pip pip3 virtualenv nginx kill pkill killall daemon-reload find tar hostname whoami date tee cat read id ls sed grep source journalctl apt apt-get sleep")

// never are commands of manage.py that no release runs by itself.
var never = map[string]string{
	"makemigrations": "it writes migrations, which belong into the checkout", "shell": "it waits for somebody", "dbshell": "it waits for somebody", "test": "tests are for before a deploy", "flush": "it empties the database", "reset_db": "it empties the database",
	"createsuperuser": "once is enough: medctrl-supervisor run NAME manage.py createsuperuser", "runserver": "it is for developing", "changepassword": "it waits for somebody", "clearsessions": "a [[build.schedule]] is for that",
}

// steps turns what ran before the server, and what build scripts did, into migrate, collectstatic and
// [build.steps].
func (w *work) steps(e *entry, pre [][]string) {
	migrates, told := false, false
	var databases []string
	var before, after [][]string
	one := func(words []string, plainly bool, from string) {
		s := &service{from: from, dir: e.dir}
		w.following = 0
		c, ok := w.unwrap(s, words)
		text := redact.Shown(strings.Join(words, " "))
		if !ok || c.program != "manage.py" || len(c.args) < 2 {
			switch program := path.Base(words[0]); {
			case slices.Contains(idlePrograms, program), program == "sudo" && len(words) > 1 && slices.Contains(idlePrograms, path.Base(words[1])), versioned.MatchString(program), slices.Contains(words, "venv"), slices.Contains(words, "pip"), program == "python3" || program == "python":
				if slices.Contains(words, "install") && !slices.Contains(words, "-r") && !isTool(words) {
					e.note("%s: «%s» installs what requirements.txt may lack: put it there", from, text)
				} else if program == "python3" || program == "python" {
					if !slices.Contains(words, "venv") && !slices.Contains(words, "pip") && !slices.Contains(words, "virtualenv") {
						e.note("%s: «%s»: no key, unless as a command of [build.steps]", from, text)
					} else {
						e.unneeded(program + " of " + from)
					}
				} else {
					e.unneeded(program + " of " + from)
				}
			default:
				e.note("%s: «%s»: no key, unless as a command of [build.steps]", from, text)
			}
			return
		}
		args := c.args[1:]
		told = true
		switch {
		case args[0] == "migrate" && plainArgs(args[1:], &databases):
			migrates = true
			if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--database") }) && !slices.Contains(databases, "default") {
				databases = append(databases, "default")
			}
		case args[0] == "collectstatic":
			e.set("collectstatic", "true", "")
		case args[0] == "check":
		case never[args[0]] != "":
			e.note("%s: manage.py %s: not done for each release; %s", from, redact.Shown(args[0]), never[args[0]])
		case !plainly || redact.SecretsIn(args):
			e.note("%s: «%s»: not taken over, as it has what is only known while it runs, or what may be a password; [build.steps] is for it", from, text)
		default:
			step := append([]string{"{python}", "{app}/manage.py"}, withoutSettings(args)...)
			if migrates {
				after = append(after, step)
			} else {
				before = append(before, step)
			}
		}
	}
	for _, words := range pre {
		one(words, true, e.s.from)
	}
	scripts := w.buildersOf(e)
	for _, b := range scripts {
		for _, name := range b.names {
			if !slices.Contains(ownVariables, name) && name != "PATH" && name != "PYTHONPATH" {
				e.note("%s sets %s for its commands: where the settings read it, write it into [build.env], or env_file if it is secret", b.from, name)
			}
		}
		for _, c := range b.commands {
			one(c.Words, c.Plain, b.from)
		}
	}
	if len(scripts) > 0 && !migrates {
		e.set("migrate", "false", "no script migrates")
	} else if len(databases) > 1 || len(databases) == 1 && databases[0] != "default" {
		e.set("migrate", tomltext.Texts(databases), "")
	} else if !told || !migrates {
		e.note("each new release runs manage.py migrate before it serves, which none of these files did: `migrate = false` leaves that to you")
	}
	if len(before) > 0 {
		e.sub("steps", "before_migrate", tomltext.Lists(before), "")
	}
	if len(after) > 0 {
		e.sub("steps", "after_migrate", tomltext.Lists(after), "")
	}
}

// isTool reports whether pip installs only what makes environments.
func isTool(words []string) bool {
	for i, word := range words {
		if word == "install" {
			for _, what := range words[i+1:] {
				if !strings.HasPrefix(what, "-") && !slices.Contains([]string{"pip", "setuptools", "wheel", "virtualenv", "poetry", "pipenv", "uv"}, what) {
					return false
				}
			}
		}
	}
	return true
}

// plainArgs reports whether the arguments of migrate are those that the supervisor gives it, and notes
// the database.
func plainArgs(args []string, databases *[]string) bool {
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		switch name {
		case "--noinput", "--no-input", "--no-color":
		case "-v", "--verbosity", "--settings":
			if !joined {
				i++
			}
		case "--database":
			if !joined && i+1 < len(args) {
				i++
				value = args[i]
			}
			if !slices.Contains(*databases, value) {
				*databases = append(*databases, value)
			}
		default:
			return strings.HasPrefix(name, "-v")
		}
	}
	return true
}

// withoutSettings leaves --settings out: the supervisor says which they are.
func withoutSettings(args []string) []string {
	var all []string
	for i := 0; i < len(args); i++ {
		if strings.HasPrefix(args[i], "--settings=") {
			continue
		}
		if args[i] == "--settings" {
			i++
			continue
		}
		all = append(all, args[i])
	}
	return all
}
