package doctor

import (
	"context"
	_ "embed" // the probe
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/custody"
)

//go:embed index.py
var askIndex string

// indexQuestion is what the probe is told, and indexReply a line of what it says.
type (
	indexQuestion struct {
		URLs     []string `json:"urls"`
		Proxy    string   `json:"proxy"`
		CA       string   `json:"ca"`
		Insecure []string `json:"insecure"`
	}
	indexReply struct {
		N      int    // of the address
		Status int    // HTTP; 0: there was no answer
		Error  string // why
	}
)

// index tries where packages come from.
func (p *patient) index(ctx context.Context, python *build.Interpreter) {
	const check = "index"
	where := p.seen.Indexes()
	p.links(where.Links)
	if len(where.URLs) == 0 {
		p.add(ok(check, "no index is asked: packages come from what is listed with --find-links"))
		return
	}
	question, err := json.Marshal(indexQuestion{where.URLs, where.Proxy, where.CA, where.Insecure})
	if err != nil {
		p.add(warn(check, "", "not tried: %v", err))
		return
	}
	out, err := p.run(ctx, p.seen.Command(python.Path, "-I", "-c", askIndex), question)
	replies := map[int]indexReply{}
	for line := range strings.Lines(string(out)) {
		var a indexReply
		if json.Unmarshal([]byte(line), &a) == nil {
			replies[a.N] = a
		}
	}
	for n, address := range where.URLs {
		p.add(p.indexFinding(n, address, replies, err))
	}
}

// indexFinding says what came of one address. Without an index an environment that is there stays
// usable, and so do the interpreter's own packages.
func (p *patient) indexFinding(n int, address string, replies map[int]indexReply, err error) Finding {
	const check = "index"
	shown := bare(address)
	how, fix := fail, "look at the network and the proxy, or name an index that can be reached: PIP_INDEX_URL in env, pip_args or pip.conf"
	switch {
	case len(p.seen.Releases) > 0:
		how = warn
		fix += "; until then the environment that is there serves, and no other can be made"
	case p.b.SystemSitePackages:
		how = warn
		fix += "; until then there are only the interpreter's own packages"
	}
	a, replied := replies[n]
	switch {
	case !replied && err == nil:
		err = fmt.Errorf("the probe said nothing of it")
		fallthrough
	case !replied:
		return how(check, fix, "%s cannot be reached: %v", shown, err)
	case a.Status == 0:
		return how(check, fix, "%s cannot be reached: %s", shown, a.Error)
	case a.Status == 401, a.Status == 403, a.Status == 407:
		return how(check, "put a name and a password that it accepts into its address, or into ~/.netrc of the build's user",
			"%s refuses the login (HTTP %d)", shown, a.Status)
	case a.Status >= 500:
		return how(check, fix, "%s does not work (HTTP %d)", shown, a.Status)
	}
	return ok(check, "%s responds", shown)
}

// bare returns an address without its user and password.
func bare(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be parsed"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// links tries the folders of --find-links.
func (p *patient) links(all []string) {
	const check = "index"
	for _, link := range all {
		path, isFile := strings.CutPrefix(link, "file://")
		if !isFile && strings.Contains(link, "://") {
			continue // pip goes on without it
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.b.Source, path)
		}
		if _, err := os.Stat(path); err != nil {
			p.add(warn(check, "make it, or take it out of --find-links", "%s is named by --find-links and is not there", path))
		} else if at := config.Denied(path, p.seen.As, config.Read); at != "" {
			p.add(fail(check, "chmod a+rX "+custody.ShellWord(at), "the build's user may not read %s, which --find-links names, because of the rights of %s", path, at))
		}
	}
}
