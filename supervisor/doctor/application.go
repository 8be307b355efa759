package doctor

import (
	"cmp"
	"context"
	_ "embed" // the probe
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

//go:embed application.py
var askApplication string

// applicationAnswer is a line of what the probe of an application says.
type applicationAnswer struct {
	Settings string  // why they cannot be loaded
	Database string  // its alias
	Engine   string  // of it
	Error    *string // of the database: why it cannot be used; "": it can
	Static   *string // STATIC_ROOT; "": there is none
	Writable bool    // it, or where it would be made
	At       string  // what decides that
}

// application tries what the settings name: databases and STATIC_ROOT, as the newest release does it.
func (p *patient) application(ctx context.Context) {
	if len(p.seen.Releases) == 0 {
		p.add(warn("database", "", "not tried yet: the first release has to be built, which has what it takes"), p.writtenStatic())
		return
	}
	changed := p.seen.SettingsChanged()
	if changed {
		p.add(warn("settings", "run doctor again once there is a release of it",
			"%s has changed since release %s was built, whose settings are tried", p.b.SettingsFile(), p.newest()))
	}
	argv := append([]string{"-c", askApplication, p.seen.App()}, p.b.Databases...)
	out, err := p.run(ctx, p.seen.InRelease(argv...), nil)
	tried := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var a applicationAnswer
		if json.Unmarshal([]byte(line), &a) != nil {
			continue // what the settings print
		}
		switch {
		case a.Settings != "":
			p.add(fail("settings", "correct "+p.b.SettingsFile(), "the settings of release %s cannot be loaded: %s", p.newest(), a.Settings))
			return
		case a.Static != nil:
			tried["static"] = true
			if f := p.writtenStatic(); changed && f.Level == Fail {
				p.add(f) // as it is by now
				continue
			}
			p.static(a)
		case a.Database != "" && a.Error == nil:
			tried[a.Database] = false
		case a.Database != "":
			tried[a.Database] = true
			p.database(a.Database, a.Engine, *a.Error)
		}
	}
	for alias, done := range tried {
		if !done {
			p.database(alias, "", errorText(err))
		}
	}
	if len(tried) == 0 {
		p.add(warn("database", "", "not tried: the settings of release %s could not be asked: %s", p.newest(), errorText(err)))
	}
}

func (p *patient) newest() string { return p.seen.Releases[len(p.seen.Releases)-1].ID }

func errorText(err error) string {
	if err == nil {
		return "the probe ended without a word"
	}
	return err.Error()
}

func (p *patient) database(alias, engine, wrong string) {
	const check = "database"
	if wrong == "" {
		p.add(ok(check, "%s (%s) can be used", alias, engine))
		return
	}
	p.add(fail(check, "correct DATABASES in "+p.b.SettingsFile()+" or the variables in env and env_file that it reads, or the rights of the user in the database",
		"%s cannot be used: %s", alias, wrong))
}

func (p *patient) static(a applicationAnswer) {
	const check = "static"
	if p.staticRoot == "" && p.b.CollectStatic { // else the settings say what it is by now
		p.staticRoot = *a.Static
	}
	switch root := *a.Static; {
	case !p.b.CollectStatic:
	case root == "":
		p.add(fail(check, "set STATIC_ROOT in "+p.b.SettingsFile()+", or collectstatic = false", "collectstatic = true, and the settings have no STATIC_ROOT"))
	case !a.Writable:
		p.add(fail(check, "chown it to the build's user, or name another folder", "the build's user may not write to STATIC_ROOT, %s: see the rights of %s", root, cmp.Or(a.At, root)))
	default:
		p.add(ok(check, "STATIC_ROOT is %s", root))
	}
}

// writtenStatic says whether the build's user may write to the STATIC_ROOT that the settings write out;
// nothing where they do not.
func (p *patient) writtenStatic() Finding {
	const check = "static"
	if p.staticRoot == "" || !p.b.CollectStatic {
		return Finding{}
	}
	if at := unwritable(p.staticRoot, p.b, p.seen.As); at != "" {
		return fail(check, "chown it to the build's user, or name another folder", "the build's user may not write to STATIC_ROOT, %s: see the rights of %s", p.staticRoot, at)
	}
	return ok(check, "STATIC_ROOT is %s", p.staticRoot)
}

// unwritable returns what keeps the user of a build from writing to a STATIC_ROOT, or from making it where
// it is missing; "" where nothing does. One inside the source lies in the release.
func unwritable(dir string, b config.Build, id config.Identity) string {
	if !filepath.IsAbs(dir) || build.StaticOverlaps(dir, b.Source) {
		return ""
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			continue
		case err != nil: // a file in the place of a folder on the way
			return dir
		case !info.IsDir():
			return dir
		}
		return config.Denied(dir, id, config.Write)
	}
}

// sharedStatic finds builds that collect into one folder: each would serve the other's files.
func sharedStatic(patients []*patient) {
	for i, p := range patients {
		for _, other := range slices.Concat(patients[:i], patients[i+1:]) {
			if !build.StaticOverlaps(p.staticRoot, other.staticRoot) {
				continue
			}
			f := fail("static", "give each build a STATIC_ROOT of its own", "STATIC_ROOT, %s, is that of build %s too", p.staticRoot, other.b.Name)
			if filepath.Clean(p.staticRoot) != filepath.Clean(other.staticRoot) {
				f.Message = fmt.Sprintf("STATIC_ROOT, %s, overlaps with that of build %s, %s", p.staticRoot, other.b.Name, other.staticRoot)
			}
			p.add(f)
		}
	}
}
