package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Environ is the environment of a build's steps and of its server: of our own
// (own, as os.Environ has it) PATH, LANG, LC_*, TZ and HOME, then env_file, then
// env, each winning over what came before; sorted. The file is read at each
// call; an error names its line.
func Environ(b Build, own []string) ([]string, error) {
	env := map[string]string{}
	for _, entry := range own {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case name == "PATH", name == "LANG", name == "TZ", name == "HOME", strings.HasPrefix(name, "LC_"):
			env[name] = value
		}
	}
	if b.EnvFile != "" {
		more, err := readEnvFile(b.EnvFile)
		if err != nil {
			return nil, err
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

// readEnvFile reads lines NAME=VALUE, as systemd's EnvironmentFile has them:
// empty lines and those that begin with # or ; are comments, "export " may
// stand before, quotes around a value are taken off.
func readEnvFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read env_file: %w", err)
	}
	env := map[string]string{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || !envName.MatchString(name) {
			// The line itself is not shown: it may hold a secret.
			return nil, fmt.Errorf("%s:%d: want NAME=VALUE", path, n)
		}
		if want := environment(map[string]string{name: ""}); want != "" {
			return nil, fmt.Errorf("%s:%d: want %s", path, n, want)
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("%s:%d: the value holds a NUL byte", path, n)
		}
		env[name] = unquote(strings.TrimSpace(value))
	}
	return env, nil
}

func unquote(value string) string {
	if len(value) < 2 || value[0] != value[len(value)-1] {
		return value
	}
	held := value[1 : len(value)-1]
	switch value[0] {
	case '\'':
		return held
	case '"':
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`).Replace(held)
	}
	return value
}
