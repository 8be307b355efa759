package build

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// applicationEnv is what the build's own commands and manage.py have in their environment beyond
// what every step has: the environment's programs first, and the application where Python looks.
func (j *job) applicationEnv() []string {
	path := filepath.Join(j.venv, "bin")
	if own := inputs.EnvValue(j.env, "PATH"); own != "" {
		path += string(filepath.ListSeparator) + own
	}
	var env []string
	if own := inputs.EnvValue(j.env, "PYTHONPATH"); own != "" {
		env = append(env, "PYTHONPATH="+own)
	}
	return append(WithApp(env, j.app(), j.workingDir()), "PATH="+path)
}

// ownSteps is a step of commands that [build.steps] lists.
func ownSteps(name string, commands func(*job) [][]string) step {
	return step{name, func(j *job, ctx context.Context) (bool, error) {
		for i, command := range commands(j) {
			c := Command{Argv: j.braces().Fill(command...), Env: j.applicationEnv(), Dir: j.workingDir()}
			if err := j.exec(ctx, c); err != nil {
				return false, fmt.Errorf("command %d, %s: %w", i+1, strings.Join(command, " "), err)
			}
		}
		return false, nil
	}}
}

// managing returns the steps that run the application, with those of [build.steps] where the build
// has any.
func (j *job) managing() []step {
	var all []step
	if j.owning {
		all = append(all, ownerStep)
	}
	all = append(all, step{"check", (*job).stepCheck})
	if len(j.b.Steps.BeforeMigrate) > 0 {
		all = append(all, ownSteps("before_migrate", func(j *job) [][]string { return j.b.Steps.BeforeMigrate }))
	}
	all = append(all, step{"migrate", (*job).stepMigrate})
	if len(j.b.Steps.AfterMigrate) > 0 {
		all = append(all, ownSteps("after_migrate", func(j *job) [][]string { return j.b.Steps.AfterMigrate }))
	}
	return append(all, step{"collectstatic", (*job).stepCollectStatic})
}
