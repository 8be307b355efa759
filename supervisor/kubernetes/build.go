package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// build is one build on its way to the cluster.
type build struct {
	config.Build
	*writer
	id     string            // what its objects are called
	keep   []config.Written  // of the pod's file
	plain  map[string]string // variables that the pod's file has
	secret []string          // names of those that a Secret has, sorted
}

func (w *writer) newBuild(b config.Build) *build {
	n := &build{Build: b, writer: w, id: w.name("Deployment", b.Name, 40)}
	plain, secret, err := variables(b, w.hide)
	if err != nil {
		w.refuse(n, "%v", err)
	}
	n.plain, n.secret = plain, slices.Sorted(maps.Keys(secret))
	n.keep = w.apply(n, "", b.Written())
	for _, p := range b.Processes {
		w.apply(n, "process "+p.Name, p.Written())
	}
	for _, s := range b.Schedules {
		w.apply(n, "schedule "+s.Name, s.Written())
	}
	return n
}

func (b *build) write() {
	file := b.id + ".yaml"
	b.about()
	b.object(file, b.volume())
	b.object(file, b.job())
	b.object(file, b.deployment())
	b.object(file, b.service())
	b.object(file, b.budget())
	b.object(file, b.route())
	for _, p := range b.Processes {
		for _, n := range b.process(p) {
			b.object(file, n)
		}
	}
	for _, s := range b.Schedules {
		b.object(file, b.schedule(s))
	}
}

// about says what people have to know beside the rules of keys.
func (b *build) about() {
	if b.SettingsFile() != "" && len(b.secret) == 0 {
		b.say(b, "it has no Secret: what its settings file holds, passwords too, is in the image, for whoever may pull that")
	}
	if rel, in := b.InSource(b.EnvFile); b.EnvFile != "" && in {
		b.say(b, "env_file lies in source, and would be copied into the image: put %q into a .dockerignore there", rel)
	}
	if b.Plain && len(b.Command) > 0 {
		b.refuse(b, "it has a command, which takes its socket from a supervisor: export it without --plain")
	}
	if len(b.Steps.BeforeMigrate)+len(b.Steps.AfterMigrate) > 0 && b.StepsIn == StepsInJob {
		b.say(b, "steps: they run in the Job of a release, which cannot write into it: with --steps image those that make files of the release run when the image is made")
	}
	if b.StepsIn == StepsInImage && len(b.Steps.AfterMigrate) > 0 {
		b.say(b, "steps.after_migrate: it runs when the image is made, where nothing has been migrated")
	}
	if b.Location == "" {
		b.say(b, "it has no location, so no route leads to its Service")
	}
	if !b.Autostart {
		b.say(b, "autostart = false: it has no pods and its schedules are suspended, until you scale its Deployments and set suspend to false")
	}
	if strings.Contains(b.Python, "/") && debianPython(b.Python) == "" && b.Python != "/usr/bin/python3" {
		b.say(b, "python: the image has to have %s: see to that in the Containerfile", b.Python)
	}
}

// ref is what tells the objects of a component of the build from others.
func (b *build) ref(component string) *node {
	return row("app.kubernetes.io/name", b.id, "app.kubernetes.io/component", component)
}

func (b *build) meta(name, component string) *node {
	return obj("name", name, "namespace", b.Namespace, "labels",
		row("app.kubernetes.io/name", b.id, "app.kubernetes.io/component", component, "app.kubernetes.io/managed-by", "medctrl-supervisor"))
}

func (b *build) file() string { return path.Join(configDir, b.Name+".toml") }

// inRelease is a command that runs in the release of the image.
func (b *build) inRelease(argv ...string) []string {
	return append([]string{"medctrl-supervisor", "-c", b.file(), "run", "--prebuilt", prebuiltDir, b.Name}, argv...)
}

// secretName is the Secret of the build, which has the variables that are not written.
func (b *build) secretName() string { return b.id + "-env" }

func (b *build) envFrom() *node {
	if len(b.secret) == 0 {
		return nil
	}
	return flow(list(row("secretRef", row("name", b.secretName()))))
}

// container is what all containers have. web has the volume of the root too.
func (b *build) container(name string, command []string, more ...any) *node {
	mounts := []*node{row("name", "data", "mountPath", dataDir), row("name", "tmp", "mountPath", "/tmp")}
	if name == "web" && !b.Plain {
		mounts = slices.Insert(mounts, 0, row("name", "run", "mountPath", runDir))
	}
	argv := make([]string, len(command))
	for i, arg := range command {
		argv[i] = strings.ReplaceAll(arg, "$", "$$") // of $(NAME) the kubelet would make the variable's value
	}
	n := obj("name", name, "image", b.Image, "command", argv, "envFrom", b.envFrom())
	n.Content = append(n.Content, obj(more...).Content...)
	n.Content = append(n.Content, obj(
		"resources", b.resources(name == "web" && !b.Plain),
		"securityContext", row("allowPrivilegeEscalation", false, "readOnlyRootFilesystem", true, "capabilities", row("drop", []string{"ALL"})),
		"volumeMounts", flow(list(mounts...)),
	).Content...)
	return n
}

// room is what the supervisor itself takes of a pod's memory, in bytes.
const room = 64 << 20

// The resources that a container asks for where nothing else is known.
const (
	usualMemory = 256 << 20
	usualMilli  = 100
)

// resources are those of one server, or of a supervisor with all of its own: the limits of a build are
// for each.
func (b *build) resources(supervised bool) *node {
	l, limits, trees := b.Limits, obj(), 1
	if supervised {
		trees = b.Build.Replicas
	}
	memory, milli := uint64(usualMemory), usualMilli
	if l.Memory > 0 {
		most := uint64(l.Memory) * uint64(trees)
		if supervised {
			most += room
		}
		memory = min(memory, most)
		limits.Content = append(limits.Content, obj("memory", quantity(most)).Content...)
	}
	if l.CPU > 0 {
		most := int(math.Ceil(float64(l.CPU) * 1000 * float64(trees)))
		milli = min(milli, most)
		limits.Content = append(limits.Content, obj("cpu", fmt.Sprintf("%dm", most)).Content...)
	}
	asks := row("cpu", fmt.Sprintf("%dm", milli), "memory", quantity(memory))
	if len(limits.Content) == 0 {
		return note(row("requests", asks), "measure what it takes; no limit, as in builds.toml")
	}
	what := "[build.limits]"
	if supervised && l.Memory > 0 {
		what += fmt.Sprintf(", %d times, and %s for the supervisor", trees, quantity(room))
		if trees == 1 {
			what = "[build.limits], and " + quantity(room) + " for the supervisor"
		}
	}
	if l.CPU == 0 {
		what += "; no CPU limit: it throttles"
	}
	return note(row("requests", asks, "limits", flow(limits)), "%s", what)
}

// quantity writes a number of bytes as Kubernetes does.
func quantity(n uint64) string {
	for i, unit := range []string{"Ti", "Gi", "Mi", "Ki"} {
		if size := uint64(1) << (10 * (4 - i)); n%size == 0 {
			return fmt.Sprintf("%d%s", n/size, unit)
		}
	}
	return fmt.Sprint(n)
}

// pod is the template of a pod of a component. grace is how long its containers may take to end.
func (b *build) pod(component string, grace *node, spread bool, restart string, first, containers *node) *node {
	volumes := []*node{b.dataVolume(), row("name", "tmp", "emptyDir", row())}
	if component == "web" && !b.Plain {
		volumes = slices.Insert(volumes, 0, row("name", "run", "emptyDir", row()))
	}
	var across *node
	if spread {
		across = list(row("maxSkew", 1, "topologyKey", "kubernetes.io/hostname", "whenUnsatisfiable", "ScheduleAnyway", "labelSelector", row("matchLabels", b.ref(component))))
	}
	spec := obj("automountServiceAccountToken", false, "enableServiceLinks", false)
	if restart != "" {
		spec = obj("restartPolicy", restart, "automountServiceAccountToken", false, "enableServiceLinks", false)
	}
	spec.Content = append(spec.Content, obj(
		"terminationGracePeriodSeconds", orNil(grace),
		"securityContext", row("runAsNonRoot", true, "runAsUser", uid, "runAsGroup", uid, "fsGroup", uid, "seccompProfile", row("type", "RuntimeDefault")),
		"topologySpreadConstraints", orNil(across),
		"initContainers", orNil(first),
		"containers", containers,
		"volumes", flow(list(volumes...)),
	).Content...)
	return obj("metadata", obj("labels", b.ref(component)), "spec", spec)
}

// orNil makes a nil node a nil value.
func orNil(n *node) any {
	if n == nil {
		return nil
	}
	return n
}

// seconds rounds up.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// volume is the claim of MEDCTRL_DATA.
func (b *build) volume() *node {
	if b.Data == "" {
		return nil
	}
	return above(obj("apiVersion", "v1", "kind", "PersistentVolumeClaim", "metadata", b.meta(b.dataName(), "data"),
		"spec", obj("accessModes", []string{"ReadWriteMany"}, "resources", row("requests", row("storage", b.Data)))),
		"MEDCTRL_DATA, for all pods of the build. Where nothing is kept in files, export with --data none; a class of storage",
		"that has no ReadWriteMany can have ReadWriteOnce if all pods run on one node.")
}

func (b *build) dataName() string { return b.id + "-data" }

func (b *build) dataVolume() *node {
	if b.Data == "" {
		return row("name", "data", "emptyDir", row())
	}
	return row("name", "data", "persistentVolumeClaim", row("claimName", b.dataName()))
}

// debianPython returns the minor version that the name of an interpreter says, as in python3.12.
func debianPython(python string) string {
	minor, ok := strings.CutPrefix(path.Base(python), "python3.")
	if !ok || minor == "" || strings.Trim(minor, "0123456789") != "" || strings.Contains(python, "/") && path.Dir(python) != "/usr/bin" {
		return ""
	}
	return minor
}

// pods is how many there are of what is wanted.
func (b *build) pods(n int) *node {
	if !b.Autostart {
		return note(0, "autostart = false; %d otherwise", n)
	}
	return valueOf(n)
}

// graceOf is how long something may take to end that has a time of its own, with room for the kubelet.
func graceOf(d time.Duration, before int) *node {
	const spare = 10
	all := before + seconds(d) + spare
	if before == 0 {
		return note(all, "graceful_timeout %d + %d of room", seconds(d), spare)
	}
	return note(all, "preStop %d + graceful_timeout %d + %d of room; less would be a SIGKILL", before, seconds(d), spare)
}

// namespaceOf splits [NAMESPACE/]NAME.
func namespaceOf(name, usual string) (namespace, rest string) {
	namespace, rest, ok := strings.Cut(name, "/")
	if !ok {
		return usual, name
	}
	return cmp.Or(namespace, usual), rest
}
