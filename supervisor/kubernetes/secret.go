package kubernetes

import (
	"fmt"
	"strings"

	maker "github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// variables sorts those of a build: plain ones may be written; of the others, which env_file and
// pass_env name, and which look like secrets in env, the values may not.
func variables(b config.Build, hide config.Hider) (plain map[string]string, secret map[string]bool, err error) {
	environ, err := config.Environ(b, nil)
	if err != nil {
		return nil, nil, err
	}
	plain, secret = map[string]string{}, map[string]bool{}
	for _, name := range b.PassEnv {
		secret[name] = true
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if own, is := b.Env[name]; is && !hide.Secret(name, own) {
			plain[name] = value
			delete(secret, name)
			continue
		}
		secret[name] = true
	}
	return plain, secret, nil
}

// Secret returns the variables that a build's Secret has to have, a line NAME=VALUE each, as
// `kubectl create secret generic --from-env-file` reads them: without quotes and without export. own is
// our own environment, in the form of os.Environ, which has those of pass_env; missing are those that it
// lacks.
func Secret(b config.Build, own []string) (text string, missing []string, err error) {
	_, secret, err := variables(b, maker.Secrets())
	if err != nil {
		return "", nil, fmt.Errorf("build %s: %w", b.Name, err)
	}
	environ, err := config.Environ(b, own)
	if err != nil {
		return "", nil, fmt.Errorf("build %s: %w", b.Name, err)
	}
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	var lines strings.Builder
	for _, name := range sorted(secret) {
		value, ok := values[name]
		switch {
		case !ok:
			missing = append(missing, name)
		case strings.ContainsAny(value, "\n\r"):
			return "", nil, fmt.Errorf("build %s: the value of %s has more than one line, which kubectl reads from no file of variables: "+
				"add it to the Secret by --from-file=%s=FILE", b.Name, name, name)
		default:
			fmt.Fprintf(&lines, "%s=%s\n", name, value)
		}
	}
	return lines.String(), missing, nil
}
