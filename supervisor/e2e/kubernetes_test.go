package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cluster is the node that .ci/kubernetes-node has started, with two applications on it: what `export
// kubernetes` writes for build one, and beside it the manifest that people usually write.
type cluster struct {
	t    *testing.T
	w    *World
	dir  string // of this run
	base string // the Debian that images begin with
	node string // its address
}

// onCluster returns the cluster, and skips the test where there is none.
func onCluster(t *testing.T) *cluster {
	t.Helper()
	dir := os.Getenv("MEDCTRL_TEST_KUBERNETES")
	if dir == "" {
		t.Skip("needs a cluster: make test-kubernetes")
	}
	return &cluster{t: t, dir: dir, base: os.Getenv("MEDCTRL_TEST_KUBERNETES_BASE"), node: os.Getenv("NODE_IP")}
}

func (c *cluster) run(input string, argv ...string) (string, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, lastLines(out.String(), 10), lastLines(errOut.String(), 30))
	}
	return out.String(), err
}

func (c *cluster) must(input string, argv ...string) string {
	c.t.Helper()
	out, err := c.run(input, argv...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	return c.must("", append([]string{"kubectl"}, args...)...)
}

// release is an image's tag, and the banner of what it serves.
func release(n int) string { return fmt.Sprint("r", n) }

const (
	updates    = 5
	broken     = updates + 2 // its release; that of the start is 1
	kubeImage  = "medctrl.test/one"
	kubeLabels = "app.kubernetes.io/name=one,app.kubernetes.io/component=web"
	kubePath   = "/things" // asks the database
)

// usual is what the first page of a guide has: no probe, no grace, and gunicorn as the first process.
const usual = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: usual, namespace: usual}
spec:
  replicas: 2
  selector: {matchLabels: {app: usual}}
  template:
    metadata: {labels: {app: usual}}
    spec:
      containers:
      - name: web
        image: %s:r1
        command: [python3, "-m", gunicorn, "--bind", "0.0.0.0:8000", "--workers", "2", "api_settings.wsgi"]
        workingDir: %s/API
        env:
        - {name: DJANGO_SETTINGS_MODULE, value: api_settings.settings.deploy_one}
        - {name: MEDCTRL_DATA, value: /tmp}
        envFrom: [{secretRef: {name: one-env}}]
        ports: [{containerPort: 8000}]
---
apiVersion: v1
kind: Service
metadata: {name: usual, namespace: usual}
spec:
  type: NodePort
  selector: {app: usual}
  ports: [{port: 80, targetPort: 8000, nodePort: 30080}]
`

// The volume that a class of storage would make.
const kubeVolume = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: one}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  hostPath: {path: %q}
  claimRef: {namespace: medctrl, name: one-data}
`

// TestKubernetesLosesNothing is `export kubernetes` from a builds.toml to a cluster, and what happens there
// afterwards, with 50 requests a second that ask a MariaDB on the node: none is lost. The usual manifest loses
// some of those that it gets at the same time. Each part proves that it has happened.
func TestKubernetesLosesNothing(t *testing.T) {
	c := onCluster(t)
	c.w = NewWorld(t, One("workers = 2", "migrate = true", "check = true", `env_file = "one.env"`, `stable_after = "3s"`,
		`health.timeout = "10s"`, `health.start_timeout = "3m"`)) // a node may have much else to do
	c.w.WithDjango()
	const password = "it's a long, random password"
	port, _ := mariaDBAt(t, filepath.Join(c.w.Dir, "db"), strings.ReplaceAll(password, "'", "''"), c.node, "%")
	if err := os.WriteFile(filepath.Join(c.w.Dir, "one.env"), []byte(fmt.Sprintf("export DB_PASSWORD=%q\n", password)), 0o600); err != nil {
		t.Fatal(err)
	}
	database := fmt.Sprintf(`DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": "medctrl", "USER": "medctrl", "PASSWORD": os.environ["DB_PASSWORD"], "HOST": %q, "PORT": %s}}`, c.node, port)
	c.makeImages(database)
	c.deploy()

	address := strings.TrimSpace(c.kubectl("-n", "medctrl", "get", "service", "one", "-o", "jsonpath={.spec.clusterIP}")) + ":80"
	// during has both serve their load while something happens, and returns what became of it.
	during := func(t *testing.T, what func()) (ours, theirs Result) {
		t.Helper()
		load := Load{Network: "tcp", Addr: address, Path: kubePath, Rate: 50}
		a := StartLoad(t, load)
		load.Addr = c.node + ":30080"
		b := StartLoad(t, load)
		a.WaitMore(t, 100)
		what()
		a.WaitMore(t, 250)
		ours, theirs = a.Stop(), b.Stop()
		t.Logf("exported: %d lost: %s\nusual: %d lost: %s", ours.Lost(), ours, theirs.Lost(), theirs)
		ours.NoneLost(t)
		return ours, theirs
	}
	loses := func(t *testing.T, theirs Result) {
		t.Helper()
		if theirs.Lost() == 0 {
			t.Error("the usual manifest has lost nothing: what is compared with it may not have happened")
		}
	}
	// Each is needed by the next.
	must := func(name string, what func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { c.t = t; what(t) }) {
			t.FailNow()
		}
		c.t = t
	}

	must("five updates", func(t *testing.T) {
		before := c.pods("medctrl", kubeLabels)
		ours, theirs := during(t, func() {
			for n := 2; n <= 1+updates; n++ {
				c.update(n)
				c.kubectl("-n", "medctrl", "rollout", "status", "deploy/one", "--timeout=4m")
				c.kubectl("-n", "usual", "rollout", "status", "deploy/usual", "--timeout=4m")
			}
		})
		loses(t, theirs)
		for n := 1; n <= 1+updates; n++ {
			if ours.ByBanner[release(n)] == 0 || theirs.ByBanner[release(n)] == 0 {
				t.Errorf("nobody was served by %s: %v, %v", release(n), ours.ByBanner, theirs.ByBanner)
			}
			if done := c.kubectl("-n", "medctrl", "get", "job", "one-migrate-"+release(n), "-o", "jsonpath={.status.succeeded}"); done != "1" {
				t.Errorf("the Job of %s has succeeded %q times", release(n), done)
			}
		}
		c.areNew(before, 2, release(1+updates))
	})
	must("a broken release", func(t *testing.T) {
		before := c.pods("medctrl", kubeLabels)
		var failed error
		ours, theirs := during(t, func() {
			c.update(broken)
			_, failed = c.run("", "kubectl", "-n", "medctrl", "rollout", "status", "deploy/one", "--timeout=45s")
			now := c.pods("medctrl", kubeLabels)
			if !slices.ContainsFunc(now, func(p pod) bool { return p.Image == kubeImage+":"+release(broken) && p.Started && !p.Ready }) {
				t.Errorf("no pod has tried the broken release: %+v", now)
			}
			c.kubectl("-n", "medctrl", "rollout", "undo", "deploy/one")
			c.kubectl("-n", "medctrl", "rollout", "status", "deploy/one", "--timeout=4m")
			c.kubectl("-n", "usual", "rollout", "undo", "deploy/usual")
			c.kubectl("-n", "usual", "rollout", "status", "deploy/usual", "--timeout=4m")
		})
		loses(t, theirs)
		if failed == nil {
			t.Error("the broken release was rolled out")
		}
		if ours.ByBanner[release(broken)] != 0 {
			t.Errorf("it has served: %v", ours.ByBanner)
		}
		now := c.pods("medctrl", kubeLabels)
		for _, p := range before {
			if !slices.ContainsFunc(now, func(q pod) bool { return q.UID == p.UID && q.Ready }) {
				t.Errorf("pod %s has not served on: %+v", p.Name, now)
			}
		}
	})
	must("kill -9 of a gunicorn master", func(t *testing.T) {
		victim, other := c.pods("medctrl", kubeLabels)[0], c.pods("usual", "app=usual")[0]
		restarts := func() (n, pid int) {
			var status struct {
				Builds []struct{ Restarts, Pid int }
			}
			said := c.kubectl("-n", "medctrl", "exec", victim.Name, "--", "medctrl-supervisor", "-c", "/etc/medctrl/one.toml", "status", "--json")
			if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Builds) != 1 {
				t.Fatalf("%v: %s", err, said)
			}
			return status.Builds[0].Restarts, status.Builds[0].Pid
		}
		_, first := restarts()
		_, theirs := during(t, func() {
			for _, p := range []pod{victim, other} {
				if err := syscall.Kill(c.master(p), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			Eventually(t, time.Minute, "another master", func() (bool, string) {
				n, pid := restarts()
				return n == 1 && pid != 0 && pid != first, fmt.Sprintf("%d restarts, pid %d, was %d", n, pid, first)
			})
			Eventually(t, time.Minute, "the usual one's container to be restarted", func() (bool, string) {
				for _, p := range c.pods("usual", "app=usual") {
					if p.UID == other.UID && p.Restarts == 1 && p.Ready {
						return true, ""
					}
				}
				return false, fmt.Sprint(c.pods("usual", "app=usual"))
			})
		})
		loses(t, theirs)
		if now := c.pods("medctrl", kubeLabels); !slices.ContainsFunc(now, func(p pod) bool { return p.UID == victim.UID && p.Restarts == 0 && p.Ready }) {
			t.Errorf("the pod was %+v, now %+v", victim, now)
		}
	})
	must("a deleted pod", func(t *testing.T) {
		before := c.pods("medctrl", kubeLabels)
		during(t, func() {
			c.kubectl("-n", "medctrl", "delete", "pod", before[0].Name, "--wait=false")
			c.kubectl("-n", "usual", "delete", "pod", c.pods("usual", "app=usual")[0].Name, "--wait=false")
			c.ready("medctrl", kubeLabels, before[:1])
			c.kubectl("-n", "usual", "rollout", "status", "deploy/usual", "--timeout=4m")
		})
		c.areNew(before[:1], 2, release(1+updates))
	})
	must("a drained node", func(t *testing.T) {
		before := c.pods("medctrl", kubeLabels)
		_, theirs := during(t, func() {
			drained := make(chan error, 1)
			var said string
			go func() {
				cmd := exec.Command("kubectl", "drain", "node1", "--delete-emptydir-data", "--timeout=5m")
				out, err := cmd.CombinedOutput()
				said = string(out)
				drained <- err
			}()
			// There is no other node: the first pod's place stays empty, and the budget keeps the second.
			Eventually(t, 2*time.Minute, "the first pod to be gone, and its successor to wait for a node", func() (bool, string) {
				now := c.pods("medctrl", kubeLabels)
				waiting, kept := 0, 0
				for _, p := range now {
					if p.Node == "" {
						waiting++
					}
					if p.Ready && slices.ContainsFunc(before, func(q pod) bool { return q.UID == p.UID }) {
						kept++
					}
				}
				return len(now) == 2 && waiting == 1 && kept == 1, fmt.Sprintf("%+v", now)
			})
			c.kubectl("uncordon", "node1")
			if err := <-drained; err != nil || !strings.Contains(said, "disruption budget") {
				t.Errorf("drain: %v\n%s", err, said)
			}
			c.ready("medctrl", kubeLabels, before)
			c.kubectl("-n", "usual", "rollout", "status", "deploy/usual", "--timeout=4m")
		})
		loses(t, theirs)
		c.areNew(before, 2, release(1+updates))
	})
}

// pod is what a test asks about a pod.
type pod struct {
	Name, UID, Image, Node string
	Restarts               int
	Ready, Started         bool
}

// pods returns those with these labels that nobody has deleted.
func (c *cluster) pods(namespace, labels string) []pod {
	c.t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name, UID, DeletionTimestamp string }
			Spec     struct {
				NodeName   string
				Containers []struct{ Image string }
			}
			Status struct {
				ContainerStatuses []struct {
					RestartCount int
					Ready        bool
					State        struct{ Running *struct{ StartedAt string } }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(c.kubectl("-n", namespace, "get", "pods", "-l", labels, "-o", "json")), &list); err != nil {
		c.t.Fatal(err)
	}
	var pods []pod
	for _, i := range list.Items {
		if i.Metadata.DeletionTimestamp != "" {
			continue
		}
		p := pod{Name: i.Metadata.Name, UID: i.Metadata.UID, Image: i.Spec.Containers[0].Image, Node: i.Spec.NodeName}
		for _, s := range i.Status.ContainerStatuses {
			p.Restarts, p.Ready, p.Started = s.RestartCount, s.Ready, s.State.Running != nil
		}
		pods = append(pods, p)
	}
	return pods
}

// ready waits until two pods are ready, and none of those before is one of them.
func (c *cluster) ready(namespace, labels string, before []pod) {
	c.t.Helper()
	Eventually(c.t, 4*time.Minute, "two ready pods", func() (bool, string) {
		now := c.pods(namespace, labels)
		good := len(now) == 2
		for _, p := range now {
			good = good && p.Ready && !slices.ContainsFunc(before, func(q pod) bool { return q.UID == p.UID })
		}
		return good, fmt.Sprintf("%+v", now)
	})
}

// areNew asserts that there are n pods of a release, and none of those before among them.
func (c *cluster) areNew(before []pod, n int, tag string) {
	c.t.Helper()
	now := c.pods("medctrl", kubeLabels)
	for _, p := range now {
		if p.Image != kubeImage+":"+tag || !p.Ready || slices.ContainsFunc(before, func(q pod) bool { return q.UID == p.UID }) {
			c.t.Errorf("pod %+v is not a new one of %s, before there were %+v", p, tag, before)
		}
	}
	if len(now) != n || len(before) == 0 {
		c.t.Errorf("there are %d pods, want %d, and there were %d", len(now), n, len(before))
	}
}

// master returns the pid of a pod's first gunicorn: the one whose parent is none.
func (c *cluster) master(p pod) int {
	c.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		c.t.Fatal(err)
	}
	parent := map[int]int{}
	stat := regexp.MustCompile(`(?m)^PPid:\s*([0-9]+)$`)
	for _, file := range files {
		dir := filepath.Dir(file)
		if !strings.Contains(readAll(file), "pod"+p.UID) || !strings.Contains(readAll(filepath.Join(dir, "cmdline")), "gunicorn") {
			continue
		}
		if found := stat.FindStringSubmatch(readAll(filepath.Join(dir, "status"))); found != nil {
			pid, _ := strconv.Atoi(filepath.Base(dir)) // the pattern has digits only
			parent[pid], _ = strconv.Atoi(found[1])    // as has this one
		}
	}
	for pid, above := range parent {
		if _, is := parent[above]; !is && len(parent) > 1 {
			return pid
		}
	}
	c.t.Fatalf("pod %s has no gunicorn with workers: %v", p.Name, parent)
	return 0
}

// export writes the base of a release, as its user would.
func (c *cluster) export(n int) string {
	c.t.Helper()
	dir := filepath.Join(c.w.Dir, "k8s", release(n))
	c.w.MustCLI("export", "kubernetes", "--image", kubeImage+":"+release(n), "--out", dir)
	return dir
}

// deploy goes the way of docs/kubernetes.md, and puts the usual manifest beside it.
func (c *cluster) deploy() {
	c.t.Helper()
	c.kubectl("apply", "-f", os.Getenv("MEDCTRL_TEST_KUBERNETES_ROUTES"))
	c.kubectl("wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=1m")
	dir := filepath.Join(c.w.Dir, "k8s", release(1))
	c.kubectl("apply", "-f", filepath.Join(dir, "namespace.yaml"))
	c.kubectl("create", "namespace", "usual")
	secret := c.w.MustCLI("export", "env", "one")
	for _, namespace := range []string{"medctrl", "usual"} {
		c.must(secret, "kubectl", "-n", namespace, "create", "secret", "generic", "one-env", "--from-env-file=/dev/stdin")
	}
	data := filepath.Join(c.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chown(data, 10001, 10001); err != nil {
		c.t.Fatal(err)
	}
	c.must(fmt.Sprintf(kubeVolume, data), "kubectl", "apply", "-f", "-")
	c.kubectl("apply", "-k", dir)
	c.must(fmt.Sprintf(usual, kubeImage, c.w.Source), "kubectl", "apply", "-f", "-")
	c.kubectl("-n", "medctrl", "rollout", "status", "deploy/one", "--timeout=5m")
	c.kubectl("-n", "usual", "rollout", "status", "deploy/usual", "--timeout=5m")
}

// update rolls a release out in both places.
func (c *cluster) update(n int) {
	c.t.Helper()
	c.kubectl("apply", "-k", filepath.Join(c.w.Dir, "k8s", release(n)))
	c.kubectl("-n", "usual", "set", "image", "deploy/usual", "web="+kubeImage+":"+release(n))
}

// makeImages makes the image of each release by the steps of its Containerfile, and brings them to the node.
func (c *cluster) makeImages(settings string) {
	c.t.Helper()
	type image struct {
		Name       string
		User       string
		Entrypoint []string
		Layers     []string
	}
	var images []image
	for n := 1; n <= broken; n++ {
		c.w.SaveSettings("one", fmt.Sprintf("import os\nBANNER = %q\n%s", release(n), settings), RenameOver)
		if n == broken { // it boots, and has nothing good to say
			c.w.Replace(filepath.Join(c.w.Source, "API/api_settings/views.py"), "response = get_response(request)", `raise RuntimeError("broken on purpose")`, RenameOver)
		}
		im := image{Name: kubeImage + ":" + release(n)}
		layer := filepath.Join(c.dir, release(n)+".tar")
		im.User, im.Entrypoint = c.containerfile(c.export(n), layer)
		im.Layers = []string{filepath.Join(filepath.Dir(c.base), "base.tar"), layer}
		images = append(images, im)
	}
	list, err := json.Marshal(images)
	if err != nil {
		c.t.Fatal(err)
	}
	archive := filepath.Join(c.dir, "images.tar")
	c.must(string(list), "medctrl-image", archive)
	c.must("", "ctr", "-n", "k8s.io", "images", "import", archive)
	if err := os.Remove(archive); err != nil {
		c.t.Fatal(err)
	}
}

// containerfile does what the Containerfile in dir says, beginning with the base, and writes what that has
// changed as a layer. Of the base only the packages are believed: it has those of the RUN with apt-get.
func (c *cluster) containerfile(dir, layer string) (user string, entrypoint []string) {
	t := c.t
	t.Helper()
	work, err := os.MkdirTemp(c.dir, "layer")
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(work, name) }
	root := at("root")
	for _, name := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c.must("", "mount", "-t", "overlay", "-o", "lowerdir="+c.base+",upperdir="+at("upper")+",workdir="+at("work"), "overlay", root)
	for _, name := range []string{"proc", "dev"} { // as every builder of images has them
		c.must("", "mount", "--rbind", "/"+name, filepath.Join(root, name))
	}
	defer func() { c.must("", "umount", "--recursive", "--lazy", root) }()
	steps := 0
	for line := range strings.Lines(readAll(filepath.Join(dir, "Containerfile"))) {
		keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch keyword {
		case "", "#", "ARG", "FROM":
		case "RUN":
			if strings.HasPrefix(rest, "apt-get ") {
				continue
			}
			steps++
			argv := []string{"chroot"}
			if user != "" {
				argv = append(argv, "--userspec="+user)
			}
			c.must("", append(argv, root, "/bin/sh", "-c", rest)...)
		case "USER":
			user = rest
		case "COPY":
			steps++
			c.copyStep(dir, root, rest)
		case "ENTRYPOINT":
			if err := json.Unmarshal([]byte(rest), &entrypoint); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		default:
			t.Fatalf("the Containerfile has a step that this test does not know: %s", line)
		}
	}
	if steps < 5 || user == "" || entrypoint == nil {
		t.Fatalf("the Containerfile has %d steps, USER %q, ENTRYPOINT %q", steps, user, entrypoint)
	}
	c.must("", "tar", "--numeric-owner", "-C", at("upper"), "-cf", layer, ".")
	return user, entrypoint
}

// copyStep does COPY [--from=supervisor|source] [--chown=USER] FROM... TO, in words or as a list.
func (c *cluster) copyStep(dir, root, rest string) {
	t := c.t
	t.Helper()
	from, owner := dir, "0:0"
	for strings.HasPrefix(rest, "--") {
		var flag string
		flag, rest, _ = strings.Cut(rest, " ")
		switch name, value, _ := strings.Cut(flag, "="); {
		case name == "--chown":
			owner = value
		case flag == "--from=source":
			from = c.w.Source
		case flag == "--from=supervisor":
			from = ""
		default:
			t.Fatalf("COPY has a flag that this test does not know: %s", flag)
		}
	}
	words := strings.Fields(rest)
	if strings.HasPrefix(rest, "[") {
		words = nil
		if err := json.Unmarshal([]byte(rest), &words); err != nil {
			t.Fatalf("COPY %s: %v", rest, err)
		}
	}
	to := filepath.Join(root, words[len(words)-1])
	c.must("", "mkdir", "-p", to)
	for _, word := range words[:len(words)-1] {
		source := filepath.Join(from, word)
		if from == "" {
			source = Binary(t)
		} else if word == "." {
			source += "/."
		}
		c.must("", "cp", "-r", source, to+"/")
	}
	if owner != "0:0" {
		c.must("", "chown", "-R", owner, to)
	}
}
