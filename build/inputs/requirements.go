package inputs

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// How pip splits a requirements file (_internal/req/req_file.py, the same from 20.0 to 25):
// TestRequirementsAreReadAsPipReadsThem holds this against the pips that are there.

// requirementLine is one line as pip sees it: continued lines are joined and comments are gone.
type requirementLine struct {
	number int // of the first line that it is made of
	text   string
}

var (
	requirementComment = regexp.MustCompile(`(^|\s+)#.*$`)
	wholeComment       = regexp.MustCompile(`^\s*#`)
)

// requirementLines returns the lines of a requirements file that say something.
func requirementLines(text string) []requirementLine {
	var all []requirementLine
	begun, joined := 0, ""
	end := func(number int, text string) {
		if strings.Contains(text, "#") {
			text = requirementComment.ReplaceAllString(text, "")
		}
		text = strings.TrimSpace(text)
		if text != "" {
			all = append(all, requirementLine{number, text})
		}
	}
	for i := 0; text != ""; i++ {
		var line string
		line, text = cutLine(text)
		comment := strings.Contains(line, "#") && wholeComment.MatchString(line)
		if comment {
			line = " " + line // it ends a continued line, and is never a part of it
		}
		switch {
		case strings.HasSuffix(line, "\\") && !comment:
			if begun == 0 {
				begun = i + 1
			}
			joined += strings.Trim(line, "\\")
		case begun > 0:
			end(begun, joined+line)
			begun, joined = 0, ""
		default:
			end(i+1, line)
		}
	}
	if begun > 0 {
		end(begun, joined)
	}
	return all
}

// cutLine cuts the first line off, at an end of line as str.splitlines of Python knows them.
func cutLine(text string) (line, rest string) {
	at := strings.IndexFunc(text, func(c rune) bool {
		return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029
	})
	if at < 0 {
		return text, ""
	}
	_, width := utf8.DecodeRuneInString(text[at:])
	if strings.HasPrefix(text[at:], "\r\n") {
		width = 2
	}
	return text[:at], text[at+width:]
}

var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

// expand puts environment variables into a requirements file, as pip does: one that is empty stays
// as it is written.
func expand(text string, env []string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		return cmp.Or(EnvValue(env, name[2:len(name)-1]), name)
	})
}

// pipOption is an option of pip and its value.
type pipOption struct{ name, value string }

// pipLine is what one line of a requirements file asks for, or all arguments of pip.
type pipLine struct {
	words   []string // requirements; of a line there is at most one
	options []pipOption
	rest    string // of a line with a requirement, its options as they are written
}

// value returns the first value of an option: of several in a line pip takes the first.
func (l pipLine) value(name string) string {
	for _, o := range l.options {
		if o.name == name {
			return o.value
		}
	}
	return ""
}

// readLine splits a line whose variables have been expanded. A requirement comes before all
// options.
func readLine(text string) pipLine {
	words := strings.Split(text, " ")
	at := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") })
	if at < 0 {
		return pipLine{words: []string{text}}
	}
	requirement, rest := strings.TrimSpace(strings.Join(words[:at], " ")), strings.Join(words[at:], " ")
	l := readArguments(shellWords(rest))
	l.words, l.rest = nil, rest
	if requirement != "" {
		l.words = []string{requirement}
	}
	return l
}

// shortOptions are options by their letter, longOptions those that take a value.
var (
	shortOptions = map[byte]string{
		'r': "--requirement", 'c': "--constraint", 'e': "--editable", 'i': "--index-url", 'f': "--find-links",
		't': "--target", 'C': "--config-settings", 'b': "--build",
	}
	longOptions = []string{
		"--abi", "--build", "--build-constraint", "--cache-dir", "--cert", "--client-cert", "--config-settings", "--constraint",
		"--default-timeout", "--editable", "--exists-action", "--extra-index-url", "--find-links", "--global-option", "--group",
		"--hash", "--implementation", "--index-url", "--install-option", "--keyring-provider", "--log", "--log-file", "--local-log",
		"--no-binary", "--only-binary", "--platform", "--prefix", "--progress-bar", "--proxy", "--pypi-url", "--python",
		"--python-version", "--report", "--requirement", "--resume-retries", "--retries", "--root",
		"--root-user-action", "--src", "--target", "--timeout", "--trusted-host", "--upgrade-strategy", "--use-deprecated", "--use-feature",
	}
	flagOptions = []string{ // that begin like one that takes a value
		"--build-isolation", "--check-build-dependencies", "--no-build-isolation", "--prefer-binary", "--pre", "--require-hashes",
		"--require-virtualenv", "--upgrade", "--use-pep517", "--user", "--ignore-installed", "--ignore-requires-python", "--isolated",
		"--force-reinstall", "--compile", "--no-index", "--no-input", "--no-deps", "--no-cache-dir", "--no-clean",
	}
)

// readArguments splits arguments as pip does, which takes any beginning of an option's name that is
// of only one (Python, optparse).
func readArguments(args []string) pipLine {
	var l pipLine
	for i := 0; i < len(args); i++ {
		arg, name, value, joined := args[i], "", "", false
		switch {
		case arg == "--":
			l.words = append(l.words, args[i+1:]...)
			return l
		case strings.HasPrefix(arg, "--"):
			name, value, joined = strings.Cut(arg, "=")
			name = inFull(name)
			if !slices.Contains(longOptions, name) {
				continue
			}
		case len(arg) > 1 && arg[0] == '-':
			for at := 1; at < len(arg) && name == ""; at++ { // flags may come before it: -Ur base.txt
				name, value, joined = shortOptions[arg[at]], arg[at+1:], at+1 < len(arg)
			}
			if name == "" {
				continue
			}
		default:
			l.words = append(l.words, arg)
			continue
		}
		if i++; !joined && i < len(args) {
			value = args[i]
		} else {
			i--
		}
		l.options = append(l.options, pipOption{name, value})
	}
	return l
}

// inFull returns the name that a beginning of one stands for.
func inFull(name string) string {
	found := ""
	for _, full := range slices.Concat(longOptions, flagOptions) {
		switch {
		case full == name:
			return name
		case strings.HasPrefix(full, name) && found != "":
			return name // pip refuses it
		case strings.HasPrefix(full, name):
			found = full
		}
	}
	return cmp.Or(found, name)
}

// shellWords splits a text as shlex.split of Python does.
func shellWords(text string) []string {
	var all []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote == 0 && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			if begun {
				all = append(all, word.String())
				word.Reset()
				begun = false
			}
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(text) && (quote == 0 || text[i+1] == '"' || text[i+1] == '\\'):
			i++
			word.WriteByte(text[i])
			begun = true
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		all = append(all, word.String())
	}
	return all
}

func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", `'"'"'`) + "'" }
