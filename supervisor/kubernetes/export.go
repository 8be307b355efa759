package kubernetes

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	maker "github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Options say what is written, beside the configuration.
type Options struct {
	Image     string // with a tag or a digest
	Release   string // names the Jobs of a release; "": the image's tag
	Namespace string
	Replicas  int      // pods of each build
	Plain     bool     // gunicorn alone, without a supervisor
	Ingress   bool     // for ingress-nginx, in place of an HTTPRoute
	Gateway   string   // [NAMESPACE/]NAME of the Gateway that HTTPRoutes belong to
	Hosts     []string // of the routes; none: any
	Data      string   // size of the volume of data; "": none outlives its pod
	StepsIn   StepsIn  // where [build.steps] run
	Program   string   // the image that has medctrl-supervisor
}

// StepsIn says where the commands of [build.steps] run.
type StepsIn string

// The values of StepsIn.
const (
	StepsInJob   StepsIn = "job"   // before and after the migration
	StepsInImage StepsIn = "image" // when the image is made
)

// File is one text of an Export.
type File struct{ Name, Text string }

// Export is what New has made.
type Export struct {
	Said          []string // what has no counterpart, or needs a hand: a line each
	Containerfile string
	Files         []File // a kustomize base with all that the image is made of

	head    string
	objects []object
}

// Marker begins each file that is written.
const Marker = "# Written by `medctrl-supervisor export kubernetes`"

// Where things lie in the image and in a pod. The root is a folder in a volume, because the volume
// itself may be written by everybody, which a supervisor refuses.
const (
	configDir   = "/etc/medctrl"
	prebuiltDir = "/opt/medctrl/prebuilt"
	runDir      = "/run/medctrl"
	rootDir     = runDir + "/builds"
	dataDir     = "/data"
	uid         = 10001
	webPort     = 8000
)

// object is one manifest, of the file it goes to.
type object struct {
	file string
	node *node
}

var (
	tags       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	images     = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$`)
	namespaces = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	hostNames  = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	sizes      = regexp.MustCompile(`^[1-9][0-9]*(Mi|Gi|Ti)$`)
)

// OptionError says which option is wrong, by its flag.
type OptionError struct{ text string }

func (e *OptionError) Error() string { return e.text }

// check completes the options, or says what is wrong with them.
func (o *Options) check() *OptionError {
	wrong := func(format string, args ...any) *OptionError { return &OptionError{fmt.Sprintf(format, args...)} }
	tag := ""
	if at := strings.LastIndexByte(o.Image, ':'); at > strings.LastIndexByte(o.Image, '/') && !strings.Contains(o.Image, "@") {
		tag = o.Image[at+1:]
	}
	switch {
	case o.Image == "":
		return wrong("the image is missing: --image registry.example/medctrl:r1, with another tag for each release")
	case !images.MatchString(o.Image):
		return wrong("--image %q: want REGISTRY/NAME:TAG", o.Image)
	case o.Release == "" && tag == "":
		return wrong("--image %s has no tag: give it one for each release (:r1), or name the release by --release", o.Image)
	case o.Release == "" && tag == "latest":
		return wrong("--image %s: a release needs a tag of its own, or nothing would be rolled out, nor back; name it by --release if :latest has to be", o.Image)
	}
	if o.Release == "" {
		o.Release = tag
	}
	switch {
	case !tags.MatchString(o.Release):
		return wrong("--release %q: want letters, digits, _, . and -", o.Release)
	case !namespaces.MatchString(o.Namespace):
		return wrong("--namespace %q: want small letters, digits and -", o.Namespace)
	case o.Replicas < 1:
		return wrong("--replicas %d: want at least 1", o.Replicas)
	case o.Data != "" && !sizes.MatchString(o.Data):
		return wrong("--data %q: want a size such as 1Gi, or none", o.Data)
	case o.StepsIn != StepsInJob && o.StepsIn != StepsInImage:
		return wrong("--steps %q: want job or image", o.StepsIn)
	}
	namespace, name, ok := strings.Cut(o.Gateway, "/")
	if !ok {
		namespace, name = o.Namespace, o.Gateway
	}
	if !namespaces.MatchString(namespace) || !namespaces.MatchString(name) {
		return wrong("--gateway %q: want NAME or NAMESPACE/NAME", o.Gateway)
	}
	for _, host := range o.Hosts {
		if !hostNames.MatchString(host) {
			return wrong("--host %q: want a host name in small letters", host)
		}
	}
	return nil
}

// New writes what the builds of a configuration need on a cluster: those that are named, or all. It
// fails where a build cannot run there, with all reasons.
func New(c *config.Config, names []string, o Options) (*Export, error) {
	if wrong := o.check(); wrong != nil {
		return nil, wrong
	}
	w := &writer{Options: o, hide: maker.Secrets(), config: c, taken: map[string]bool{}, said: map[*build][]string{}}
	for _, name := range names {
		if _, ok := c.Build(name); !ok {
			var all []string
			for _, b := range c.Builds {
				all = append(all, b.Name)
			}
			return nil, fmt.Errorf("no build %q in %s%s", name, c.Path, config.Near(name, all))
		}
	}
	for _, b := range c.Builds {
		if len(names) == 0 || slices.Contains(names, b.Name) {
			w.builds = append(w.builds, w.newBuild(b))
		}
	}
	if len(w.builds) == 0 {
		return nil, fmt.Errorf("%s has no build", c.Path)
	}
	w.shared = w.apply(nil, "", c.Written())
	w.object("namespace.yaml", w.namespace())
	for _, b := range w.builds {
		b.write()
	}
	if len(w.wrong) > 0 {
		return nil, errors.Join(w.wrong...)
	}
	return w.finish()
}

// writer makes an Export.
type writer struct {
	Options
	config  *config.Config
	hide    config.Hider // takes out what may be secret
	builds  []*build
	shared  []config.Written // keys of [supervisor] that pods have
	taken   map[string]bool  // names, by kind
	objects []object
	said    map[*build][]string // nil: of the whole file
	wrong   []error
}

func (w *writer) object(file string, n *node) {
	if n != nil {
		w.objects = append(w.objects, object{file, n})
	}
}

// say adds what people should know of a build, or of all where b is nil.
func (w *writer) say(b *build, format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if b != nil {
		text = b.Name + ": " + text
	}
	if !slices.Contains(w.said[b], text) {
		w.said[b] = append(w.said[b], text)
	}
}

func (w *writer) refuse(b *build, format string, args ...any) {
	what := oneLine(fmt.Sprintf(format, args...))
	if b != nil {
		what = "build " + b.Name + ": " + what
	}
	w.wrong = append(w.wrong, errors.New(what))
}

// oneLine keeps a text in one line, for comments.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}

func (w *writer) finish() (*Export, error) {
	e := &Export{Containerfile: w.containerfile(), objects: w.objects} // what it says is at the head
	e.Said = w.said[nil]
	for _, b := range w.builds {
		e.Said = append(e.Said, w.said[b]...)
	}
	e.head = w.head(e.Said)
	var names []string
	texts := map[string]*bytes.Buffer{}
	for _, o := range w.objects {
		if texts[o.file] == nil {
			names, texts[o.file] = append(names, o.file), bytes.NewBufferString(Marker+".\n")
		} else {
			texts[o.file].WriteString("---\n")
		}
		if err := dump(texts[o.file], o.node); err != nil {
			return nil, fmt.Errorf("write %s: %w", o.file, err)
		}
	}
	kustomization := bytes.NewBufferString(e.head)
	if err := dump(kustomization, obj("apiVersion", "kustomize.config.k8s.io/v1beta1", "kind", "Kustomization", "resources", names)); err != nil {
		return nil, fmt.Errorf("write kustomization.yaml: %w", err)
	}
	e.Files = []File{{"kustomization.yaml", kustomization.String()}}
	for _, name := range names {
		e.Files = append(e.Files, File{name, texts[name].String()})
	}
	for _, b := range w.builds {
		e.Files = append(e.Files, File{b.Name + ".toml", b.toml()})
	}
	e.Files = append(e.Files, File{"Containerfile", e.Containerfile})
	return e, nil
}

// YAML is all manifests in one text.
func (e *Export) YAML() (string, error) {
	text := bytes.NewBufferString(e.head)
	for i, o := range e.objects {
		if i > 0 {
			text.WriteString("---\n")
		}
		if err := dump(text, o.node); err != nil {
			return "", fmt.Errorf("write manifests: %w", err)
		}
	}
	return text.String(), nil
}
