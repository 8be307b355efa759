package kubernetes

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/medctrl/medctrl-supervisor/config"
)

// types are what manifests are decoded into.
var types = map[string]func() any{
	"v1 Namespace": func() any { return &core.Namespace{} }, "v1 Service": func() any { return &core.Service{} },
	"v1 PersistentVolumeClaim": func() any { return &core.PersistentVolumeClaim{} },
	"apps/v1 Deployment":       func() any { return &apps.Deployment{} },
	"batch/v1 Job":             func() any { return &batch.Job{} }, "batch/v1 CronJob": func() any { return &batch.CronJob{} },
	"policy/v1 PodDisruptionBudget":          func() any { return &policy.PodDisruptionBudget{} },
	"networking.k8s.io/v1 Ingress":           func() any { return &networking.Ingress{} },
	"gateway.networking.k8s.io/v1 HTTPRoute": func() any { return &gateway.HTTPRoute{} },
}

// decoded reads every document strictly, by the libraries that kubectl and the API server have.
func decoded(t *testing.T, text string) []meta.Object {
	t.Helper()
	var all []meta.Object
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		var kind meta.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		blank := types[kind.APIVersion+" "+kind.Kind]
		if blank == nil {
			t.Fatalf("nobody knows %+v:\n%s", kind, document)
		}
		into := blank()
		if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
		all = append(all, into.(meta.Object))
	}
	return all
}

var (
	dnsLabel = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	labelled = regexp.MustCompile(`^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
)

func TestManifestsAreThoseOfKubernetesAndFitTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files()
	for name, c := range cases {
		e := s.export(c.text, c.change)
		text, err := e.YAML()
		if err != nil {
			t.Fatal(err)
		}
		x := cluster{T: t, name: name, config: s.load(c.text), names: map[string]bool{}, services: map[string]*core.Service{}, claims: map[string]bool{}}
		all := decoded(t, text)
		for _, o := range all {
			x.object(o)
		}
		for _, o := range all {
			x.refers(o)
		}
		if len(x.templates) < 2 {
			t.Errorf("%s: %d pods", name, len(x.templates))
		}
		// Of a kustomize base all files are there, and hold the same.
		var base struct{ Resources []string }
		files := map[string]string{}
		for _, f := range e.Files {
			files[f.Name] = f.Text
			if !strings.HasPrefix(f.Text, Marker) {
				t.Errorf("%s does not say who wrote it", f.Name)
			}
		}
		if err := yaml.Unmarshal([]byte(files["kustomization.yaml"]), &base); err != nil {
			t.Fatal(err)
		}
		var again []meta.Object
		for _, file := range base.Resources {
			again = append(again, decoded(t, files[file])...)
		}
		if !reflect.DeepEqual(all, again) {
			t.Errorf("%s: the files hold other objects than what is printed", name)
		}
	}
}

// cluster is what is checked of objects that no schema sees.
type cluster struct {
	*testing.T
	name      string
	config    *config.Config
	names     map[string]bool
	services  map[string]*core.Service
	claims    map[string]bool
	templates []*core.PodTemplateSpec
}

func (x *cluster) wrong(o meta.Object, format string, args ...any) {
	x.Helper()
	x.Errorf("%s: %T %s: %s", x.name, o, o.GetName(), fmt.Sprintf(format, args...))
}

func (x *cluster) object(o meta.Object) {
	id := fmt.Sprintf("%T %s", o, o.GetName())
	if x.names[id] {
		x.wrong(o, "there are two")
	}
	x.names[id] = true
	if !dnsLabel.MatchString(o.GetName()) {
		x.wrong(o, "that is no name")
	}
	for key, value := range o.GetLabels() {
		if !labelled.MatchString(value) {
			x.wrong(o, "label %s is %q", key, value)
		}
	}
	switch o := o.(type) {
	case *core.Service:
		x.services[o.Name] = o
	case *core.PersistentVolumeClaim:
		x.claims[o.Name] = true
	case *apps.Deployment:
		x.selects(o, o.Spec.Selector, &o.Spec.Template)
		if p := o.Spec.ProgressDeadlineSeconds; p != nil && *p <= o.Spec.MinReadySeconds {
			x.wrong(o, "it never progresses in time")
		}
	case *batch.Job:
		x.pod(o, &o.Spec.Template, true)
	case *batch.CronJob:
		x.pod(o, &o.Spec.JobTemplate.Spec.Template, true)
		if len(o.Name) > 52 {
			x.wrong(o, "its Jobs would have no room for their names")
		}
	}
}

// selects checks that a selector finds the pods of its own template, and of no other.
func (x *cluster) selects(o meta.Object, selector *meta.LabelSelector, template *core.PodTemplateSpec) {
	found, err := meta.LabelSelectorAsSelector(selector)
	if err != nil || found.Empty() || !found.Matches(labels.Set(template.Labels)) {
		x.wrong(o, "its selector does not find its pods: %v", err)
	}
	for _, other := range x.templates {
		if found.Matches(labels.Set(other.Labels)) {
			x.wrong(o, "its selector finds other pods")
		}
	}
	x.pod(o, template, false)
}

// refers checks what objects name of others.
func (x *cluster) refers(o meta.Object) {
	pods := func(selector map[string]string) (n int) {
		for _, t := range x.templates {
			if labels.SelectorFromSet(selector).Matches(labels.Set(t.Labels)) {
				n++
			}
		}
		return n
	}
	switch o := o.(type) {
	case *core.Service:
		if pods(o.Spec.Selector) != 1 {
			x.wrong(o, "it leads to %d kinds of pods", pods(o.Spec.Selector))
		}
		for _, t := range x.templates {
			if labels.SelectorFromSet(o.Spec.Selector).Matches(labels.Set(t.Labels)) && !slices.ContainsFunc(t.Spec.Containers[0].Ports, func(p core.ContainerPort) bool {
				return intstr.FromString(p.Name) == o.Spec.Ports[0].TargetPort
			}) {
				x.wrong(o, "its port is none of the pods'")
			}
		}
	case *policy.PodDisruptionBudget:
		if pods(o.Spec.Selector.MatchLabels) != 1 {
			x.wrong(o, "it is for %d kinds of pods", pods(o.Spec.Selector.MatchLabels))
		}
	case *gateway.HTTPRoute:
		for _, rule := range o.Spec.Rules {
			for _, to := range rule.BackendRefs {
				x.leads(o, string(to.Name), int32(*to.Port), "")
			}
			for _, f := range rule.Filters {
				if f.URLRewrite.Path.ReplacePrefixMatch == nil || len(rule.Matches) != 1 || *rule.Matches[0].Path.Type != gateway.PathMatchPathPrefix {
					x.wrong(o, "a prefix is taken off that is not matched")
				}
			}
		}
	case *networking.Ingress:
		for _, rule := range o.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				x.leads(o, path.Backend.Service.Name, path.Backend.Service.Port.Number, path.Backend.Service.Port.Name)
				if *path.PathType == networking.PathTypeImplementationSpecific {
					if _, err := regexp.Compile(path.Path); err != nil || o.Annotations["nginx.ingress.kubernetes.io/use-regex"] != "true" {
						x.wrong(o, "path %q, %v", path.Path, err)
					}
				}
			}
		}
	}
}

func (x *cluster) leads(o meta.Object, service string, number int32, name string) {
	s := x.services[service]
	if s == nil || !slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Port == number || name != "" && p.Name == name }) {
		x.wrong(o, "there is no service %s with port %d%s", service, number, name)
	}
}

// pod checks a pod, of the level `restricted` (Pod Security Standards) too.
func (x *cluster) pod(o meta.Object, template *core.PodTemplateSpec, once bool) {
	x.templates = append(x.templates, template)
	spec := template.Spec
	if once != (spec.RestartPolicy == core.RestartPolicyNever) {
		x.wrong(o, "restartPolicy is %q", spec.RestartPolicy)
	}
	for key, value := range template.Labels {
		if !labelled.MatchString(value) {
			x.wrong(o, "label %s of its pods is %q", key, value)
		}
	}
	sc := spec.SecurityContext
	if sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || *sc.RunAsUser == 0 || sc.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || sc.FSGroup == nil {
		x.wrong(o, "its pods are not restricted: %+v", sc)
	}
	if *spec.AutomountServiceAccountToken || *spec.EnableServiceLinks {
		x.wrong(o, "its pods are told of the cluster")
	}
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
		if v.PersistentVolumeClaim == nil && v.EmptyDir == nil || v.HostPath != nil {
			x.wrong(o, "volume %s is of no kind that is restricted", v.Name)
		}
		if c := v.PersistentVolumeClaim; c != nil && !x.claims[c.ClaimName] {
			x.wrong(o, "claim %s is not there", c.ClaimName)
		}
	}
	seen, used := map[string]bool{}, map[string]bool{}
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		if seen[c.Name] || !dnsLabel.MatchString(c.Name) {
			x.wrong(o, "container %q", c.Name)
		}
		seen[c.Name] = true
		if s := c.SecurityContext; s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			x.wrong(o, "container %s is not restricted", c.Name)
		}
		for _, m := range c.VolumeMounts {
			if used[m.Name] = true; !volumes[m.Name] {
				x.wrong(o, "container %s has a volume %s that there is not", c.Name, m.Name)
			}
		}
		ports := map[string]bool{}
		for _, p := range c.Ports {
			if ports[p.Name] || len(p.Name) > 15 || p.ContainerPort < 1024 {
				x.wrong(o, "port %+v", p)
			}
			ports[p.Name] = true
		}
		for _, p := range []*core.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if p != nil && p.HTTPGet != nil && !ports[p.HTTPGet.Port.StrVal] {
				x.wrong(o, "a probe of port %s, which there is not", p.HTTPGet.Port.StrVal)
			}
			if p != nil && (p.PeriodSeconds < 1 || p.TimeoutSeconds < 1 || p.FailureThreshold < 1) {
				x.wrong(o, "a probe at %+v", p)
			}
		}
		for name, asked := range c.Resources.Requests {
			if most, ok := c.Resources.Limits[name]; ok && asked.Cmp(most) > 0 {
				x.wrong(o, "container %s asks for more %s than it may have", c.Name, name)
			}
		}
		if l := c.Lifecycle; l != nil {
			const spare = 5
			var graceful int64
			for _, b := range x.config.Builds {
				if dns(b.Name) == template.Labels["app.kubernetes.io/name"] {
					graceful = int64(b.GracefulTimeout.Seconds())
				}
			}
			if least := l.PreStop.Sleep.Seconds + graceful + spare; graceful == 0 || *spec.TerminationGracePeriodSeconds < least {
				x.wrong(o, "its pods have %d s to end, want %d", *spec.TerminationGracePeriodSeconds, least)
			}
		} else if c.Name == "web" {
			x.wrong(o, "its pods end at once")
		}
	}
	if len(used) != len(volumes) {
		x.wrong(o, "volumes %v, used %v", slices.Sorted(maps.Keys(volumes)), slices.Sorted(maps.Keys(used)))
	}
}

func commandOf(o meta.Object) []string {
	return o.(*apps.Deployment).Spec.Template.Spec.Containers[0].Command
}
