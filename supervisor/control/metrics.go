package control

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// Usage is what a build uses at one moment.
type Usage struct {
	Build     string
	Queue     int           // clients waiting to be accepted; -1: not known
	Processes int           // of all its trees: of the server and beside it
	Memory    uint64        // bytes in RAM of them
	CPU       time.Duration // that they have used
	LastGood  time.Time     // when a release took over last; zero: none did

	Beside []ProcessUsage // processes beside the server, in the order of the file
}

// ProcessUsage is what the instances of a process beside the server use.
type ProcessUsage struct {
	Name   string
	Want   int    // instances, as the file says
	Memory uint64 // bytes in RAM of all of them
	CPU    time.Duration
}

// FrontCounts counts the requests of the embedded front since the start.
type FrontCounts struct {
	Requests, Unrouted, Retried, Refused, Lost uint64

	Builds []Requests // those that it passes requests to
}

// Requests counts the front's requests for one build.
type Requests struct {
	Build string
	Codes map[string]uint64 // responses, by the class of their status: "2xx"
	Cut   uint64            // responses that broke off
	// Took are numbers of requests by how long the build took to begin its response: at most as long as
	// the bound at the same place in Waits, and longer than the one before. The last are longer than all.
	Waits []time.Duration
	Took  []uint64
	Sum   time.Duration // that all of them took
}

// Total is how many there were.
func (r Requests) Total() (all uint64) {
	for _, n := range r.Codes {
		all += n
	}
	return all
}

// histogram returns how many requests took at most as long as each bound in seconds, and how many there
// were.
func (r Requests) histogram() (within map[float64]uint64, all uint64) {
	within = map[float64]uint64{}
	for i, n := range r.Took {
		if all += n; i < len(r.Waits) {
			within[r.Waits[i].Seconds()] = all
		}
	}
	return within, all
}

// Source is where metrics are read from on each scrape.
type Source interface {
	Status(usage bool) Status
	Usage(ctx context.Context) []Usage
	FrontCounts() FrontCounts
}

// Metrics counts what happens and serves it all as Prometheus text.
type Metrics struct {
	source   Source
	registry *prometheus.Registry
	builds   *prometheus.CounterVec
	steps    *prometheus.HistogramVec
	probes   *prometheus.HistogramVec
	kills    *prometheus.CounterVec
	killsOf  *prometheus.CounterVec
	runs     *prometheus.CounterVec
	ran      *prometheus.HistogramVec
}

// namespace is the prefix of the names of all metrics.
const namespace = "medctrl"

// NewMetrics makes the Metrics of a supervisor of that version.
func NewMetrics(version string, s Source) *Metrics {
	m := &Metrics{
		source: s,
		builds: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "builds_total",
			Help: "Builds that ended, by result: built, unchanged, failed or cancelled."}, []string{"build", "result"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "build_step_seconds",
			Help: "How long the steps of builds took.", Buckets: []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900}}, []string{"build", "step"}),
		probes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "probe_seconds",
			Help: "How long health probes of serving generations took, by result.", Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}},
			[]string{"build", "result"}),
		kills: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "oom_kills_total",
			Help: "Processes of the build that the kernel killed because memory ran out, where it has a limit of memory."}, []string{"build"}),
		killsOf: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "process_oom_kills_total",
			Help: "Those of them that instances of a process had started, or were."}, []string{"build", "process"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "schedule_runs_total",
			Help: "Runs of schedules that ended, by result: good, failed, timed_out, stopped or unknown; and times at which there was none: left_out or missed."},
			[]string{"build", "schedule", "result"}),
		ran: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "schedule_run_seconds",
			Help: "How long runs of schedules took.", Buckets: []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400}}, []string{"build", "schedule"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: "supervisor_info", Help: "The supervisor's version; always 1.",
		ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.builds, m.steps, m.probes, m.kills, m.killsOf, m.runs, m.ran, info, &collector{source: s})
	m.registry = registry
	return m
}

// ServeHTTP serves the text that Prometheus scrapes. (Not promhttp, whose compressors would be a
// tenth of our memory: this is a local socket.)
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.zero()
	families, err := m.registry.Gather()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "gather metrics: "+err.Error())
		return
	}
	form := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(form))
	// dropped: a test's recorder has none
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	enc := expfmt.NewEncoder(w, form)
	for _, family := range families {
		if enc.Encode(family) != nil {
			return // the client has gone
		}
	}
}

// zero makes the counters of failures that did not happen yet: increase() does not see the step from
// no series to 1, so an alert would miss the first one.
func (m *Metrics) zero() {
	for _, b := range m.source.Status(false).Builds {
		m.kills.WithLabelValues(b.Name)
		for _, result := range []string{"built", "failed"} {
			m.builds.WithLabelValues(b.Name, result)
		}
		for _, s := range b.Schedules {
			for _, result := range []string{ResultGood, ResultFailed, ResultLate} {
				m.runs.WithLabelValues(b.Name, s.Name, result)
			}
		}
	}
}

// Alone serves the metrics at /metrics and nothing else, to whoever may reach it: it takes no part of the
// control socket's API.
func (m *Metrics) Alone() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/metrics":
			refuse(w, http.StatusNotFound, "there is nothing but /metrics")
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", "GET")
			refuse(w, http.StatusMethodNotAllowed, "/metrics takes GET")
		default:
			m.ServeHTTP(w, r)
		}
	})
}

// Built counts an attempt that ended.
func (m *Metrics) Built(build, result string) { m.builds.WithLabelValues(build, result).Inc() }

// Step records how long a step of an attempt took.
func (m *Metrics) Step(build, step string, took time.Duration) {
	m.steps.WithLabelValues(build, step).Observe(took.Seconds())
}

// Probed records how long a probe took.
func (m *Metrics) Probed(build string, took time.Duration, good bool) {
	result := "good"
	if !good {
		result = "failed"
	}
	m.probes.WithLabelValues(build, result).Observe(took.Seconds())
}

// OOMKilled counts processes that the kernel killed because memory ran out, of instances of process or,
// where that is "", of another tree.
func (m *Metrics) OOMKilled(build, process string, processes int) {
	m.kills.WithLabelValues(build).Add(float64(processes))
	if process != "" {
		m.killsOf.WithLabelValues(build, process).Add(float64(processes))
	}
}

// Ran counts a run of a schedule, or a time at which there was none.
func (m *Metrics) Ran(build, schedule, result string, took time.Duration) {
	m.runs.WithLabelValues(build, schedule, result).Inc()
	if result != ResultLeftOut && result != ResultMissed && result != ResultUnknown { // of an end that nobody saw the time is not known
		m.ran.WithLabelValues(build, schedule).Observe(took.Seconds())
	}
}

// Forget drops the series of a build that is gone.
func (m *Metrics) Forget(build string) {
	for _, v := range []interface{ DeletePartialMatch(prometheus.Labels) int }{m.builds, m.steps, m.probes, m.kills, m.killsOf, m.runs, m.ran} {
		v.DeletePartialMatch(prometheus.Labels{"build": build})
	}
}

// collector reads the current values on each scrape.
type collector struct{ source Source }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	descUp       = desc("build_up", "Whether the build serves and is healthy.", "build")
	descState    = desc("build_state", "The build's state: 1 for the one it is in.", "build", "state")
	descRestarts = desc("build_restarts_total", "How often what served was replaced or came back, without a new release.", "build")
	descQueue    = desc("build_accept_queue", "Clients waiting to be accepted.", "build")
	descProcs    = desc("build_processes", "Live processes of the build's server and of its processes beside it.", "build")
	descMemory   = desc("build_memory_bytes", "Resident memory of the build's server and of its processes beside it; memory that they share counts for each.", "build")
	descCPU      = desc("build_cpu_seconds", "CPU time that the live processes of the build's server and beside it have used.", "build")
	descReplicas = desc("build_replicas", "Server trees that the build is to have, as the file says.", "build")
	descReady    = desc("build_replicas_ready", "Server trees of the build that passed their last probe.", "build")
	descWant     = desc("process_instances", "Instances that the process beside the server is to have, as the file says.", "build", "process")
	descWell     = desc("process_instances_ready", "Instances of the process that are up.", "build", "process")
	descAgain    = desc("process_restarts_total", "How often an instance of the process ended by itself and was started again.", "build", "process")
	descTheirs   = desc("process_memory_bytes", "Resident memory of the process's instances; memory that they share counts for each.", "build", "process")
	descTime     = desc("process_cpu_seconds", "CPU time that the live instances of the process have used.", "build", "process")
	descGood     = desc("build_last_release_timestamp_seconds", "When a release last took over, in Unix time.", "build")
	descRun      = desc("schedule_last_success_timestamp_seconds", "When a run of the schedule last ended well, in Unix time.", "build", "schedule")
	descNext     = desc("schedule_next_timestamp_seconds", "When the schedule runs next, in Unix time.", "build", "schedule")
	descBad      = desc("config_error", "Whether builds.toml as it is now could not be applied.")
	descCodes    = desc("build_requests_total", "Requests of the embedded front for the build, by the class of the response: 1xx to 5xx, other, or gone where the client left before.", "build", "code")
	descTook     = desc("build_request_seconds", "How long the build took to begin its response to a request that the embedded front had passed on.", "build")
	descCut      = desc("build_responses_cut_total", "Responses to the embedded front that broke off after they had begun.", "build")
	descFront    = desc("front_requests_total", "Requests of the embedded front, by result: passed on, unrouted, retried, refused or lost.", "result")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descState, descRestarts, descQueue, descProcs, descMemory, descCPU,
		descReplicas, descReady, descWant, descWell, descAgain, descTheirs, descTime, descGood, descRun, descNext, descBad, descCodes, descTook, descCut, descFront} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	used := c.source.Usage(ctx)
	st := c.source.Status(false) // usage was measured just now
	gauge(descBad, truthOf(st.Config.Error != ""))
	type instance struct{ build, process string }
	ready, again := map[instance]int{}, map[instance]int{}
	for _, b := range st.Builds {
		gauge(descUp, truthOf(b.Healthy && b.State == StateRunning), b.Name)
		count(descRestarts, float64(b.Restarts), b.Name)
		for _, state := range states {
			gauge(descState, truthOf(b.State == state), b.Name, state)
		}
		gauge(descReplicas, float64(b.Replicas.Want), b.Name)
		gauge(descReady, float64(b.Replicas.Ready), b.Name)
		for _, p := range b.Processes {
			at := instance{b.Name, p.Name}
			if again[at] += p.Restarts; p.State == ProcessRunning {
				ready[at]++
			}
		}
		for _, s := range b.Schedules {
			if !s.LastSuccess.IsZero() {
				gauge(descRun, float64(s.LastSuccess.UnixMilli())/1000, b.Name, s.Name)
			}
			if !s.Next.IsZero() {
				gauge(descNext, float64(s.Next.UnixMilli())/1000, b.Name, s.Name)
			}
		}
	}
	for _, u := range used {
		if u.Queue >= 0 {
			gauge(descQueue, float64(u.Queue), u.Build)
		}
		gauge(descProcs, float64(u.Processes), u.Build)
		gauge(descMemory, float64(u.Memory), u.Build)
		gauge(descCPU, u.CPU.Seconds(), u.Build)
		for _, p := range u.Beside {
			at := instance{u.Build, p.Name}
			gauge(descWant, float64(p.Want), u.Build, p.Name)
			gauge(descWell, float64(ready[at]), u.Build, p.Name) // none of a build that is stopped
			count(descAgain, float64(again[at]), u.Build, p.Name)
			gauge(descTheirs, float64(p.Memory), u.Build, p.Name)
			gauge(descTime, p.CPU.Seconds(), u.Build, p.Name)
		}
		if !u.LastGood.IsZero() {
			gauge(descGood, float64(u.LastGood.UnixMilli())/1000, u.Build)
		}
	}
	f := c.source.FrontCounts()
	for result, n := range map[string]uint64{
		"passed on": f.Requests - min(f.Requests, f.Unrouted+f.Refused+f.Lost), "unrouted": f.Unrouted, "retried": f.Retried, "refused": f.Refused, "lost": f.Lost,
	} {
		count(descFront, float64(n), result)
	}
	for _, r := range f.Builds {
		for code, n := range r.Codes {
			count(descCodes, float64(n), r.Build, code)
		}
		within, all := r.histogram()
		out <- prometheus.MustNewConstHistogram(descTook, all, r.Sum.Seconds(), within, r.Build)
		count(descCut, float64(r.Cut), r.Build)
	}
}

func truthOf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
