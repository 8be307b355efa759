package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Environ returns the sorted environment of a build's steps and of its server: PATH, LANG, LC_*, TZ,
// HOME and what pass_env names of our own environment (own, in the form of os.Environ), then
// env_file, then env, each overriding the ones before. The file is read at each call; an error names its line.
func Environ(b Build, own []string) ([]string, error) {
	env := map[string]string{}
	for _, entry := range own {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == "PATH", name == "LANG", name == "TZ", name == "HOME", strings.HasPrefix(name, "LC_"), slices.Contains(b.PassEnv, name):
			env[name] = value
		}
	}
	if b.EnvFile != "" {
		more, errs := readEnvFile(b)
		if len(errs) > 0 {
			return nil, fmt.Errorf("read env_file: %w", errors.Join(errs...))
		}
		maps.Copy(env, more)
	}
	maps.Copy(env, b.Env)
	all := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all, nil
}

// MissingPassed returns the names in pass_env that neither our own environment has (own, in the form
// of os.Environ), nor env or env_file: the build goes without them.
func MissingPassed(b Build, own []string) []string {
	if len(b.PassEnv) == 0 {
		return nil
	}
	env, err := Environ(b, own)
	if err != nil {
		return nil // which is reported
	}
	return slices.DeleteFunc(slices.Clone(b.PassEnv), func(name string) bool {
		return slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
	})
}

// Missing are variables that a build is to get and does not.
type Missing struct{ Build, Names string }

// MissingPassed returns what MissingPassed does for each build that lacks something.
func (c *Config) MissingPassed(own []string) []Missing {
	var all []Missing
	for _, b := range c.Builds {
		if names := MissingPassed(b, own); len(names) > 0 {
			all = append(all, Missing{b.Name, strings.Join(names, ", ")})
		}
	}
	return all
}

// readEnvFile reads lines NAME=VALUE, close to systemd's EnvironmentFile: empty lines and those
// that begin with # or ; are comments, a name may follow "export ", quotes around a value are
// removed. A value that continues in the next line is refused rather than misread. All mistakes are
// returned.
func readEnvFile(b Build) (map[string]string, []error) {
	text, err := readEnvText(b)
	if err != nil {
		return nil, []error{err}
	}
	env, errs := parseEnv(withoutBOM(text))
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s:%w", b.EnvFile, err)
	}
	return env, errs
}

// parseEnv returns the variables; its errors begin with the line's number and the column of the
// name, and never show the line, which may contain a secret.
func parseEnv(text []byte) (map[string]string, []error) {
	env := map[string]string{}
	var errs []error
	n := 0
	for raw := range strings.Lines(string(text)) {
		n++
		raw = strings.TrimRightFunc(raw, unicode.IsSpace)
		line := strings.TrimSpace(raw)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		wrong := func(format string, args ...any) {
			col := 1 + utf8.RuneCountInString(strings.TrimSuffix(raw, line))
			errs = append(errs, fmt.Errorf("%d:%d: "+format, append([]any{n, col}, args...)...))
		}
		if rest, ok := strings.CutPrefix(line, "export"); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			line = strings.TrimSpace(rest)
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !envName.MatchString(name) {
			wrong("want NAME=VALUE, the name of letters, digits and _")
			continue
		}
		if want := variable(name); want != "" {
			wrong("%s: want %s", shownKey(name), want)
			continue
		}
		value, err := unquote(strings.TrimSpace(value))
		if err == nil && strings.ContainsRune(value, 0) {
			err = errors.New("the value contains a NUL byte")
		}
		if err != nil {
			wrong("%s: %w", shownKey(name), err)
			continue
		}
		env[name] = value
	}
	return env, errs
}

var (
	errContinued = errors.New("the value continues in the next line: want it in one line")
	errQuote     = errors.New("a quote is not closed: want it around the whole value, in one line")
)

func unquote(value string) (string, error) {
	if value == "" || value[0] != '\'' && value[0] != '"' {
		if strings.HasSuffix(value, `\`) {
			return "", errContinued
		}
		return value, nil
	}
	held := value[1:]
	if value[0] == '\'' {
		if at := strings.IndexByte(held, '\''); at < 0 || at != len(held)-1 {
			return "", errQuote
		}
		return held[:len(held)-1], nil
	}
	var plain strings.Builder
	for i := 0; i < len(held); i++ {
		switch c := held[i]; {
		case c == '"' && i == len(held)-1:
			return plain.String(), nil
		case c == '\\' && i+1 < len(held) && strings.IndexByte("\\\"$`", held[i+1]) >= 0:
			i++
			plain.WriteByte(held[i])
		default:
			plain.WriteByte(c)
		}
	}
	return "", errQuote
}
