package control

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape returns what Prometheus would get.
func scrape(t *testing.T) string {
	t.Helper()
	ln, err := Listen(shortDir(t)+"/c", NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics("1.4.0", fakeSource{})
	m.Built("development", "built")
	m.Step("development", "install", 1200*time.Millisecond)
	m.Probed("development", 3*time.Millisecond, true)
	m.Ran("development", "nightly", ResultFailed, time.Minute)
	m.Ran("development", "nightly", ResultUnknown, time.Hour) // nobody knows when it ended
	m.Built("gone", "failed")
	m.Forget("gone")
	stop := serveWith(t, ln, &fake{}, m)
	defer stop()
	body, err := Client{Socket: ln.path}.do(t.Context(), "GET", "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMetricsSayWhatIsTrueAndPassTheLint(t *testing.T) {
	t.Parallel()
	text := scrape(t)
	for _, line := range []string{
		`medctrl_supervisor_info{version="1.4.0"} 1`, `medctrl_build_up{build="development"} 1`, `medctrl_build_up{build="new"} 0`,
		`medctrl_build_state{build="new",state="building"} 1`, `medctrl_build_state{build="new",state="running"} 0`,
		`medctrl_builds_total{build="development",result="built"} 1`, `medctrl_build_step_seconds_count{build="development",step="install"} 1`,
		`medctrl_probe_seconds_count{build="development",result="good"} 1`, `medctrl_build_accept_queue{build="development"} 3`,
		`medctrl_build_memory_bytes{build="development"} 1.048576e+06`, `medctrl_build_cpu_seconds{build="development"} 1.5`,
		`medctrl_build_last_release_timestamp_seconds{build="development"} 1.7e+09`, `medctrl_config_error 0`,
		`medctrl_build_replicas{build="development"} 2`, `medctrl_build_replicas_ready{build="development"} 1`,
		`medctrl_process_instances{build="development",process="worker"} 2`, `medctrl_process_instances_ready{build="development",process="worker"} 1`,
		`medctrl_process_restarts_total{build="development",process="worker"} 7`, `medctrl_process_memory_bytes{build="development",process="worker"} 524288`,
		`medctrl_process_cpu_seconds{build="development",process="worker"} 1`,
		`medctrl_process_instances{build="development",process="beat"} 1`, `medctrl_process_instances_ready{build="development",process="beat"} 0`,
		`medctrl_schedule_runs_total{build="development",result="unknown",schedule="nightly"} 1`, `medctrl_schedule_run_seconds_sum{build="development",schedule="nightly"} 60`,
		`medctrl_builds_total{build="new",result="failed"} 0`, `medctrl_oom_kills_total{build="new"} 0`, // or an alert misses the first
		`medctrl_build_requests_total{build="development",code="2xx"} 4`, `medctrl_build_requests_total{build="development",code="5xx"} 1`,
		`medctrl_build_request_seconds_bucket{build="development",le="0.1"} 2`, `medctrl_build_request_seconds_bucket{build="development",le="1"} 3`,
		`medctrl_build_request_seconds_bucket{build="development",le="+Inf"} 5`, `medctrl_build_request_seconds_sum{build="development"} 5`,
		`medctrl_build_request_seconds_count{build="development"} 5`, `medctrl_build_responses_cut_total{build="development"} 1`,
		`medctrl_front_requests_total{result="lost"} 1`, `medctrl_front_requests_total{result="passed on"} 5`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if strings.Contains(text, `build="gone"`) {
		t.Error("a build that is gone still has series")
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// The dashboard asks only for metrics that exist.
func TestGrafanaDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	have := scrapedNames(t)
	text, err := os.ReadFile("../../examples/grafana/medctrl.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			for _, name := range regexp.MustCompile(`medctrl_[a-z_]+`).FindAllString(target.Expr, -1) {
				if asked++; !have[name] {
					t.Errorf("panel %q asks for %s, which does not exist", p.Title, name)
				}
			}
		}
	}
	if asked < 8 {
		t.Errorf("the dashboard asks for only %d metrics", asked)
	}
}

// scrapedNames are those of all metrics.
func scrapedNames(t *testing.T) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(medctrl_[a-z_]+)[{ ]`).FindAllStringSubmatch(scrape(t), -1) {
		have[m[1]] = true
	}
	return have
}

// Each alert is tested by promtool: that it fires, and that it does not where all is well.
func TestAlertsFireWhereTheyShould(t *testing.T) {
	t.Parallel()
	const folder = "../../examples/prometheus"
	rules, err := os.ReadFile(folder + "/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(folder + "/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllSubmatch(rules, -1)
	for _, m := range alerts {
		name := string(m[1])
		if !regexp.MustCompile(`alertname: `+name+`\}`).Match(tests) || !regexp.MustCompile(`alertname: `+name+`\n +exp_alerts: \[\{`).Match(tests) {
			t.Errorf("alerts_test.yml does not say when %s fires and when not", name)
		}
	}
	if len(alerts) < 10 {
		t.Errorf("only %d alerts", len(alerts))
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("the rules themselves are not run: %v (it is in the distribution's package prometheus)", err)
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestAlertsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	have := scrapedNames(t)
	text, err := os.ReadFile("../../examples/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`medctrl_[a-z_]+`).FindAllString(string(text), -1)
	for _, name := range asked {
		if !have[name] {
			t.Errorf("an alert asks for %s, which does not exist", name)
		}
	}
	for _, m := range regexp.MustCompile(`state="([a-z]+)"`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(states[:], m[1]) {
			t.Errorf("an alert asks for the state %s, which does not exist", m[1])
		}
	}
	if len(asked) < 5 {
		t.Errorf("the alerts ask for only %d metrics", len(asked))
	}
}
