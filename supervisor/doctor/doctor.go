package doctor

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Options say what is looked at, and from where.
type Options struct {
	Config  *config.Config
	Builds  []string     // names; nil: all
	Runner  build.Runner // starts the probes
	Environ []string     // our own environment, as os.Environ has it
	Kernel  Kernel
	Running Running  // the supervisor that runs the file
	Nginx   []string // where Nginx's configuration may be
}

const (
	// limit is how long one probe may take.
	limit = 10 * time.Second
	// atOnce is how many builds are looked at concurrently.
	atOnce = 4
)

// NginxFiles are where distributions put Nginx's configuration.
func NginxFiles() []string {
	return []string{"/etc/nginx/nginx.conf", "/usr/local/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf"}
}

// Run tries what the builds need. It returns the findings about the machine first, then those of each
// build in the order of the file. When ctx ends first it ends what it started, and returns ctx's error.
func Run(ctx context.Context, o Options) ([]Finding, error) {
	maker := build.New(build.Options{Runner: o.Runner, Environ: o.Environ, Parallel: atOnce})
	var patients []*patient
	for _, b := range o.Config.Builds {
		if o.Builds == nil || slices.Contains(o.Builds, b.Name) {
			patients = append(patients, &patient{o: &o, b: b, maker: maker})
		}
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, p := range patients {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			p.examine(ctx)
		})
	}
	found := slices.Concat(o.Kernel.findings(), sandboxFindings(o.Kernel.Sandbox, o.Config.Builds), portFindings(ctx, o.Config, o.Running))
	all.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sharedStatic(patients)
	found = append(found, roomFindings(o.Config.Root, patients)...)
	for _, p := range patients {
		for _, f := range p.found {
			f.Build = p.b.Name
			found = append(found, f)
		}
	}
	return found, nil
}

// patient is a build that is looked at.
type patient struct {
	o     *Options
	b     config.Build
	maker *build.Maker
	seen  *build.Inspection
	needs build.Size
	found []Finding

	staticRoot string // "" where it is not known, or is not used
}

func (p *patient) add(found ...Finding) { p.found = append(p.found, found...) }

func (p *patient) examine(ctx context.Context) {
	var err error
	if p.seen, err = build.Inspect(p.o.Config.Root, p.b, p.o.Environ); err != nil {
		p.add(fail("build", "", "%v", err))
		return
	}
	p.needs, p.staticRoot = p.seen.Needs(ctx), p.seen.StaticRoot()
	p.folders()
	if missing := config.MissingPassed(p.b, p.o.Environ); len(missing) > 0 {
		p.add(warn("pass_env", "give them to what starts the supervisor, and to doctor",
			"not in the environment of doctor, which tries the build without: %s", strings.Join(missing, ", ")))
	}
	if os.Geteuid() != 0 && !p.seen.As.Own() {
		p.add(warn("user", "run doctor with sudo, as the supervisor is", "only root can try what the build does as %s", ownerOf(p.seen.As)))
		p.add(p.gunicorn(nil))
	} else if python := p.interpreter(ctx); python != nil {
		p.add(p.gunicorn(python))
		p.index(ctx, python)
		p.application(ctx)
	} else {
		p.add(p.gunicorn(nil))
	}
	p.add(p.nginx()...)
	p.add(p.limits())
	p.add(p.apart()...)
	p.found = slices.DeleteFunc(p.found, func(f Finding) bool { return f.Check == "" })
	for i := range p.found {
		p.found[i].Message = p.seen.Conceal(oneLine(p.found[i].Message))
	}
}

// folders says whether the build's user may enter what its steps are started in.
func (p *patient) folders() {
	const check = "folders"
	for _, folder := range []string{p.o.Config.Root, p.b.Source} {
		if err := build.MayNotEnter(folder, p.seen.As); err != nil {
			p.add(fail(check, "", "%s: %v", folder, err))
		}
	}
}

// gunicorn says whether what serves will be there.
func (p *patient) gunicorn(python *build.Interpreter) Finding {
	const check = "gunicorn"
	if len(p.b.Command) > 0 {
		return Finding{} // it is not needed
	}
	missing, sure := p.seen.Gunicorn(python)
	switch {
	case missing == nil:
		return ok(check, "the requirements list it, or name what may bring it along")
	case sure:
		return fail(check, "", "%v", missing)
	}
	return warn(check, "", "%v; a release has it, so another package may bring it along", missing)
}
