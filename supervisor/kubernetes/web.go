package kubernetes

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// settle is how long a pod that is to end goes on serving: until every node and every proxy knows.
const settle = 5

// deployment is what serves.
func (b *build) deployment() *node {
	ports := []*node{row("name", "http", "containerPort", webPort)}
	if port := b.metricsPort(); port > 0 {
		ports = append(ports, row("name", "metrics", "containerPort", port))
	}
	command := []string{"medctrl-supervisor", "-c", b.file(), "--prebuilt", prebuiltDir, "--print-logs"}
	why := []string{b.Name + ".toml is in the image: this one build with root = " + strconv.Quote(rootDir) + ", which is a folder in the volume, as the volume itself is 0777,",
		"front = \"0.0.0.0:8000\", migrate = false (the Job did). The release was made with the image: a start costs gunicorn's boot."}
	if b.Plain {
		command, why = b.inRelease(b.gunicorn()...), []string{"--plain: gunicorn alone. kill -9 of its master loses requests, and one that hangs is restarted by the kubelet."}
	}
	alive := any(nil)
	if b.Plain {
		alive = note(b.httpProbe(b.Health.Interval, b.Health.Failures), "nobody in the pod restarts one that hangs")
	}
	web := b.container("web", command,
		"ports", flow(list(ports...)),
		"startupProbe", note(b.probe(time.Second, seconds(b.Health.StartTimeout)), "health.start_timeout = %q%s", short(b.Health.StartTimeout), b.expects()),
		"readinessProbe", note(b.probe(b.Health.Interval, b.Health.Failures), "health.interval, timeout, failures"),
		"livenessProbe", alive,
		"lifecycle", note(row("preStop", row("sleep", row("seconds", settle))), "until every kube-proxy and route knows; needs Kubernetes 1.30"),
	)
	for i := 0; i < len(web.Content); i += 2 {
		if web.Content[i].Value == "command" {
			above(web.Content[i], why...)
		}
	}
	var first []*node
	for i, database := range b.databases() {
		name := "migrated"
		if database != "" {
			name = b.step(name, database)
		}
		c := b.container(name, b.inRelease(migrate(database, "--check")...))
		if i == 0 {
			c.Content[1] = note(c.Content[1], "fails, and is tried again at growing intervals, until the Job is through")
		}
		first = append(first, c)
	}
	name := b.id
	pods := b.Options.Replicas
	count := b.pods(pods)
	if pods == 1 && b.Autostart {
		count = note(count, "one pod alone loses requests when it or its node dies")
	}
	start, stable := seconds(b.Health.StartTimeout), seconds(b.StableAfter)
	return above(obj("apiVersion", "apps/v1", "kind", "Deployment", "metadata", b.meta(name, "web"), "spec", obj(
		"replicas", count,
		"revisionHistoryLimit", note(b.KeepReleases, "keep_releases"),
		"minReadySeconds", note(stable, "stable_after: one that dies at once never counts as available"),
		"progressDeadlineSeconds", note(start+stable+120, "start_timeout, stable_after, and 2 minutes for the image and the Job; it only reports (rollout status fails)"),
		"strategy", note(row("type", "RollingUpdate", "rollingUpdate", row("maxUnavailable", 0, "maxSurge", 1)), "the old one serves until the new one is ready"),
		"selector", row("matchLabels", b.ref("web")),
		"template", b.pod("web", graceOf(b.GracefulTimeout, settle), true, "", list(first...), list(web)),
	)), "Nothing goes back by itself: kubectl -n "+b.Namespace+" rollout undo deploy/"+name)
}

// metricsPort is the port of [supervisor] metrics, 0 where there are none.
func (b *build) metricsPort() int {
	if b.Plain {
		return 0
	}
	return b.metrics()
}

// metrics is the port of the file's metrics; 0: it has none.
func (w *writer) metrics() int {
	_, text, err := net.SplitHostPort(w.config.Supervisor.Metrics)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil || port == webPort || port < 1024 { // which no pod without privileges has
		return 9105
	}
	return port
}

// narrow says whether a good answer is one for a probe of Kubernetes too.
func (b *build) narrow() bool { return b.Health.Expect.Min >= 200 && b.Health.Expect.Max <= 399 }

// expects says how what is asked differs from what the file has.
func (b *build) expects() string {
	switch expect := fmt.Sprintf("%d-%d", b.Health.Expect.Min, b.Health.Expect.Max); {
	case b.narrow():
		return ""
	case b.Plain:
		b.say(b, "health.expect: the kubelet takes 200-399 for good, not %s: %s has to return that, or no pod becomes ready", expect, b.Health.Path)
		return ""
	default:
		return "; asked of the supervisor: health.expect is " + expect + ", and httpGet would take 200-399"
	}
}

// probe asks whether the build serves. httpGet takes no other statuses than 200 to 399: then the
// supervisor is asked, which takes those of the file.
func (b *build) probe(every time.Duration, failures int) *node {
	if b.narrow() || b.Plain {
		return b.httpProbe(every, failures)
	}
	p := row("exec", row("command", []string{"medctrl-supervisor", "-c", b.file(), "status", "--serving", b.Name}))
	return b.times(p, every, max(5, seconds(b.Health.Timeout)), failures)
}

func (b *build) httpProbe(every time.Duration, failures int) *node {
	p := row("httpGet", row("path", b.Health.Path, "port", "http", "httpHeaders", flow(list(row("name", "Host", "value", b.Health.Host)))))
	return b.times(p, every, seconds(b.Health.Timeout), failures)
}

func (b *build) times(p *node, every time.Duration, timeout, failures int) *node {
	p.Content = append(p.Content, obj("periodSeconds", seconds(every), "timeoutSeconds", timeout, "failureThreshold", failures).Content...)
	return p
}

// gunicorn is the command of gunicorn without a supervisor.
func (b *build) gunicorn() []string {
	all := []string{"{python}", "-m", "gunicorn", "--bind", "0.0.0.0:" + strconv.Itoa(webPort),
		"--workers", strconv.Itoa(b.Workers), "--threads", strconv.Itoa(b.Threads), "--worker-class", b.WorkerClass,
		"--timeout", strconv.Itoa(seconds(b.Timeout)), "--graceful-timeout", strconv.Itoa(seconds(b.GracefulTimeout)),
		"--worker-tmp-dir", "/dev/shm"}
	return append(append(all, b.GunicornArgs...), b.WSGI)
}

// serviceName is what reaches the build in the cluster.
func (b *build) serviceName() string { return b.id }

func (b *build) service() *node {
	ports := []*node{row("name", "http", "port", 80, "targetPort", "http")}
	return obj("apiVersion", "v1", "kind", "Service", "metadata", b.meta(b.serviceName(), "web"),
		"spec", obj("selector", b.ref("web"), "ports", list(ports...)))
}

func (b *build) budget() *node {
	return obj("apiVersion", "policy/v1", "kind", "PodDisruptionBudget", "metadata", b.meta(b.id, "web"), "spec", obj(
		"maxUnavailable", note(1, "not minAvailable: 1, which with one pod blocks every drain"),
		"unhealthyPodEvictionPolicy", "AlwaysAllow",
		"selector", row("matchLabels", b.ref("web"))))
}

// route leads to the Service from outside.
func (b *build) route() *node {
	switch {
	case b.Location == "":
		return nil
	case b.Ingress:
		return b.ingress()
	}
	match := obj("matches", flow(list(row("path", row("type", "PathPrefix", "value", b.Location)))))
	what := []string{"location = " + strconv.Quote(b.Location) + ", kept for the application: strip_prefix = false."}
	if b.strips() {
		match.Content = append(match.Content, obj("filters", flow(list(row("type", "URLRewrite",
			"urlRewrite", row("path", row("type", "ReplacePrefixMatch", "replacePrefixMatch", "/")))))).Content...)
		what = []string{"location = " + strconv.Quote(b.Location) + ", taken off as `medctrl-supervisor nginx` does; FORCE_SCRIPT_NAME is for the settings to set. The Gateway API,",
			"because Ingress has no such thing of its own: each controller has another annotation (--ingress nginx writes that of ingress-nginx)."}
	} else if b.Location == "/" {
		what = []string{"location = \"/\""}
	}
	match.Content = append(match.Content, obj("backendRefs", flow(list(row("name", b.serviceName(), "port", 80)))).Content...)
	namespace, name := namespaceOf(b.Gateway, b.Namespace)
	return above(obj("apiVersion", "gateway.networking.k8s.io/v1", "kind", "HTTPRoute", "metadata", b.meta(b.id, "web"), "spec", obj(
		"parentRefs", note(flow(list(row("name", name, "namespace", namespace))), "your Gateway"),
		"hostnames", b.Hosts,
		"rules", list(match))), what...)
}

// strips says whether the location is taken off paths.
func (b *build) strips() bool { return b.StripPrefix && b.Location != "/" }

func (b *build) ingress() *node {
	at, kind := b.Location, "Prefix"
	var how *node
	if b.strips() {
		at, kind = strings.ReplaceAll(b.Location, ".", `\.`)+"(/|$)(.*)", "ImplementationSpecific"
		how = obj("nginx.ingress.kubernetes.io/use-regex", "true", "nginx.ingress.kubernetes.io/rewrite-target", "/$2",
			"nginx.ingress.kubernetes.io/x-forwarded-prefix", b.Location)
	}
	paths := func() *node {
		return obj("paths", list(row("path", at, "pathType", kind, "backend", row("service", row("name", b.serviceName(), "port", row("name", "http"))))))
	}
	var rules []*node
	for _, host := range b.Hosts {
		rules = append(rules, obj("host", host, "http", paths()))
	}
	if len(rules) == 0 {
		rules = append(rules, obj("http", paths()))
	}
	meta := b.meta(b.id, "web")
	if how != nil {
		meta.Content = append(meta.Content, obj("annotations", how).Content...)
	}
	return above(obj("apiVersion", "networking.k8s.io/v1", "kind", "Ingress", "metadata", meta,
		"spec", obj("ingressClassName", "nginx", "rules", list(rules...))),
		"location = "+strconv.Quote(b.Location)+", for ingress-nginx. Other controllers have other annotations.")
}

// short writes a time as a file has it: "1m" for what String calls "1m0s".
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
