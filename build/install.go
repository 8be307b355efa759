package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// installRequirements runs uv where that has the same result, else pip.
func (j *job) installRequirements(ctx context.Context) error {
	in, err := j.prepareInstall(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(j.temp, copiesFolder)) // else it goes with the attempt
	if uv, err := lookPath("uv", j.env); err == nil && j.uvWillDo() {
		argv := []string{uv, "pip", "install", "--no-config", "--link-mode", "copy", "--compile-bytecode",
			"--python", j.venvPython(),
			"-r", in.requirements}
		box := j.installBox()
		box.Read = append(box.Read, uv)
		err := j.exec(ctx, Command{Argv: argv, Dir: j.b.Source, Box: box})
		if err == nil || ctx.Err() != nil || j.python.Pip == nil {
			return err
		}
		fmt.Fprintf(j.log, "uv could not install the requirements (%v): pip tries\n", err) // it is a remark
	}
	return j.pip(ctx, in)
}

// uvWillDo says whether uv installs what pip would: it reads none of pip's settings and does not
// see the interpreter's own packages (docs.astral.sh/uv/pip/compatibility). It copies from its
// cache: a linked file would change with the cache, and the cache with ours.
func (j *job) uvWillDo() bool {
	if j.b.SystemSitePackages || len(j.b.PipArgs) > 0 {
		return false
	}
	for _, entry := range j.env {
		if strings.HasPrefix(entry, "PIP_") {
			return false
		}
	}
	home := inputs.EnvValue(j.env, "HOME")
	for _, conf := range append(slices.Clone(j.maker.pipConf), filepath.Join(home, ".pip/pip.conf"), filepath.Join(home, ".config/pip/pip.conf")) {
		if _, err := os.Stat(conf); err == nil {
			return false
		}
	}
	return true
}

func (j *job) pip(ctx context.Context, in *installation) error {
	if j.python.Pip == nil {
		return fmt.Errorf("there is no pip for %s: apt install python3-pip, or python3-venv", j.python.Path)
	}
	argv := make([]string, 0, 16)
	for _, arg := range j.python.Pip {
		argv = append(argv, strings.ReplaceAll(arg, "{venv}", j.venv))
	}
	argv = append(argv, "install", "--no-input", "--disable-pip-version-check", "--no-warn-script-location")
	args, hidden, proxy := hideSecrets(in.args)
	if len(hidden) > 0 {
		path := filepath.Join(j.temp, "pip-options.txt")
		defer os.Remove(path) // it goes with the folder otherwise
		if err := os.WriteFile(path, []byte(strings.Join(hidden, "\n")+"\n"), 0o640); err != nil {
			return fmt.Errorf("write options for pip: %w", err)
		}
		if err := seal(j.temp, j.as.GID, j.as.UID); err != nil {
			return err
		}
		argv = append(argv, "-r", path)
	}
	argv = append(argv, "-r", in.requirements)
	c := Command{Argv: append(argv, args...), Dir: j.b.Source, Box: j.installBox()}
	if proxy != "" {
		c.Env = []string{"PIP_PROXY=" + proxy}
	}
	return j.exec(ctx, c)
}
