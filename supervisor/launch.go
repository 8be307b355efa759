package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// launch is all that is needed to start a version again without reading
// anything: a crash is answered from memory.
type launch struct {
	spec    process.Spec // without Listener, Ready, Mark
	workers bool         // its workers report that they are ready
	conf    string       // path of the generated configuration
}

// settingsOf is a build's entry as one RunKey stands for it: kept as long as a
// generation may be started with it, also after the file has moved on.
type settingsOf struct {
	build   *config.Build
	environ []string
}

// runKey answers what stands for everything a restart applies: the keys of the
// entry and the environment as it reads now.
func (s *settingsOf) runKey() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", config.RunKey(*s.build), strings.Join(s.environ, "\n"))
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// prepare answers how to start v.
func (a *actor) prepare(v machine.Version) (*launch, error) {
	if l, ok := a.launches[v]; ok {
		return l, nil
	}
	set, ok := a.settings[v.RunKey]
	if !ok {
		// Of an earlier run, and edited since: with the settings of now is better
		// than not at all, and a candidate that has them is on its way.
		if set, ok = a.settings[a.state.RunKey]; !ok {
			return nil, fmt.Errorf("start release %s: its run settings are not known", v.Release)
		}
	}
	b := *set.build
	rel, err := build.Get(a.sup.root, a.name, v.Release)
	if err != nil {
		return nil, err
	}
	owner, err := config.IdentityOf(b)
	if err != nil {
		return nil, err
	}
	app := rel.App(b)
	l := &launch{spec: process.Spec{
		Env:   append(a.childEnv(b, set.environ, rel, owner), runKeyKey+"="+v.RunKey),
		Dir:   app,
		Log:   a.logPath(),
		User:  credential(owner),
		Umask: b.Umask,
	}}
	if len(b.Command) > 0 {
		l.spec.Argv = fill(b.Command, rel, app, a.dataDir())
	} else if err := a.gunicorn(l, b, rel, v, owner); err != nil {
		return nil, err
	}
	a.launches[v] = l
	return l, nil
}

func (a *actor) gunicorn(l *launch, b config.Build, rel build.Release, v machine.Version, o config.Identity) error {
	run := filepath.Join(a.dir, "run")
	if err := makeFolder(run, 0o750, o.GID); err != nil {
		return err
	}
	conf, err := writeConf(run, v.RunKey, gunicornConf(b), o.GID)
	if err != nil {
		return err
	}
	// python -m: a script's #! line has a length limit. The user's own
	// arguments come after the file and win over it.
	l.spec.Argv = append([]string{rel.Python(), "-m", "gunicorn", "-c", conf}, b.GunicornArgs...)
	l.spec.Argv = append(l.spec.Argv, b.WSGI)
	l.workers, l.conf = true, conf
	return nil
}

// makeFolder makes a folder, whatever our umask, and gives it to the group gid
// (-1: our own). One that is there is left as it is.
func makeFolder(path string, mode os.FileMode, gid int) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil && gid >= 0 {
		err = os.Chown(path, -1, gid)
	}
	if err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}

// childEnv is the environment of the build's server.
func (a *actor) childEnv(b config.Build, environ []string, rel build.Release, o config.Identity) []string {
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
	if o.Home != "" && b.Env["HOME"] == "" {
		set("HOME", o.Home)
	}
	set("PYTHONUNBUFFERED", "1")
	set("PYTHONDONTWRITEBYTECODE", "1") // the release is compiled and not the child's to write
	set("DJANGO_SETTINGS_MODULE", b.SettingsModule())
	set("SPT_NOENV", "1") // setproctitle, where it is installed, would write over our mark
	set("VIRTUAL_ENV", rel.Venv)
	set("MEDCTRL_BUILD", b.Name)
	set(releaseKey, rel.ID)
	set("MEDCTRL_DATA", a.dataDir())
	return env
}

// fill puts the places of a release into a command's braces.
func fill(command []string, rel build.Release, app, data string) []string {
	r := strings.NewReplacer("{python}", rel.Python(), "{venv}", rel.Venv,
		"{release}", rel.Dir, "{app}", app, "{data}", data)
	argv := make([]string, len(command))
	for i, arg := range command {
		argv[i] = r.Replace(arg)
	}
	return argv
}

// forget drops what was kept for versions that will not be started again.
func (a *actor) forget() {
	st := a.state
	for v, l := range a.launches {
		if v == st.Proven || v == st.Fallback || v == st.Candidate.Version || v == st.Serving.Version ||
			v.Release == st.Release && v.RunKey == st.RunKey {
			continue
		}
		delete(a.launches, v)
		if l.conf != "" && !a.confInUse(l.conf) {
			a.warn("remove old gunicorn configuration", os.Remove(l.conf))
		}
	}
	for key := range a.settings {
		if key != st.RunKey && key != st.Proven.RunKey && key != st.Fallback.RunKey {
			delete(a.settings, key)
		}
	}
}

func (a *actor) confInUse(path string) bool {
	for _, l := range a.launches {
		if l.conf == path {
			return true
		}
	}
	for _, g := range a.generations {
		if g.launch.conf == path {
			return true
		}
	}
	return false
}
