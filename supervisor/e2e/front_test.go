package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Index is what / of the tiny project returns about its request.
type Index struct {
	Banner, Path, Host string
	Pid                int
	Headers, Environ   map[string]string
}

func index(t *testing.T, answer Answer) Index {
	t.Helper()
	var said Index
	if err := json.Unmarshal([]byte(answer.Body), &said); err != nil {
		t.Fatalf("read the index from %+v: %v", answer, err)
	}
	return said
}

func TestFrontRoutesAndStripsAsNginxDoes(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"), `[[build]]
name = "two"
location = "/one/deeper"
workers = 1
`)
	w.Serve("one", "two")
	nginx := w.Nginx()
	for via, addr := range map[string][2]string{"front": {"tcp", w.Front}, "nginx": {"unix", nginx.Addr}} {
		for path, want := range map[string]string{"/one": "one", "/one/": "one", "/one/?q=1": "one", "/one/deeper": "two", "/one/deeper/": "two"} {
			got := index(t, MustAsk(t, addr[0], addr[1], path))
			if got.Banner != want || got.Path != "/" || got.Host != "localhost" || got.Headers["X-Forwarded-Proto"] != "http" {
				t.Errorf("%s: GET %s reached %s at %s for host %s, headers %v; want %s at /", via, path, got.Banner, got.Path, got.Host, got.Headers, want)
			}
			if via == "front" && (got.Headers["X-Forwarded-For"] != "127.0.0.1" || got.Headers["X-Real-Ip"] != "127.0.0.1" || got.Headers["X-Forwarded-Host"] != "localhost") {
				t.Errorf("GET %s through the front brought headers %v", path, got.Headers)
			}
		}
		for _, path := range []string{"/", "/onex", "/two"} {
			if got := MustAsk(t, addr[0], addr[1], path); got.Status != http.StatusNotFound {
				t.Errorf("%s: GET %s, which belongs to no build, answered %d", via, path, got.Status)
			}
		}
		if got, err := Send(addr[0], addr[1], http.MethodPost, "/one/echo", "hello"); err != nil || got.Body != "hello" {
			t.Errorf("%s: POST answered %+v, %v", via, got, err)
		}
	}
}

func TestFrontPassesOnWhatTheBuildSaysAtOnce(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Serve("one")
	// "first" has come through although the answer is not complete
	held := Begin(t, "tcp", w.Front, "/one/stream")
	w.Touch("one", "go")
	if line := held.Line(); line != "second\n" {
		t.Errorf("the stream went on with %q", line)
	}
}

// A request that dies with its worker is tried once more, if it is idempotent.
func TestRequestThatAKilledWorkerHeldIsTriedOnceMoreWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Serve("one")
	for name, c := range map[string]struct {
		network, addr string
		again         bool
	}{
		"front":           {"tcp", w.Front, true},
		"nginx":           {"unix", w.Nginx().Addr, true},
		"nginx upstreams": {"unix", w.nginxInParts().Addr, true},
		"nginx --plain":   {"unix", w.Nginx("--plain").Addr, false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w.Touch("one", "once")
			want := http.StatusBadGateway
			if c.again && method == http.MethodGet {
				want = http.StatusOK
			}
			got, err := Send(c.network, c.addr, method, "/one/kill-once", "")
			if err != nil || got.Status != want {
				t.Errorf("%s: %s answered %d, %v, want %d: %s", name, method, got.Status, err, want, got.Body)
			}
		}
	}
}

func TestFormsOfTheNginxCommandExcludeEachOther(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	if _, stderr, code := w.CLI("nginx", "--plain", "--upstreams"); code != 2 || !strings.Contains(stderr, "--plain") {
		t.Errorf("exit code %d, %q, want 2 and why", code, stderr)
	}
}

// nginxInParts is an Nginx with the upstreams and the locations, which a user includes in two
// places.
func (w *World) nginxInParts() *Nginx {
	w.t.Helper()
	return StartNginx(w.t, w.MustCLI("nginx", "--upstreams")+w.MustCLI("nginx", "--locations"))
}

// Behind every proxy, crashes and restarts of a build cost nothing.
func TestCrashesAndRestartsCostNothingThroughFrontAndNginx(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon))
	w.Serve("one")
	type way struct {
		name   string
		tr     *Traffic
		costly bool // does not try again
	}
	const rate = 25 // four ways at once
	ways := []way{
		{"front", w.FrontLoad("/one/", rate), false},
		{"nginx", w.Nginx().Load(t, "/one/", rate), false},
		{"nginx upstreams", w.nginxInParts().Load(t, "/one/", rate), false},
		{"nginx --plain", w.Nginx("--plain").Load(t, "/one/", rate), true},
	}
	goOn := func() {
		for _, way := range ways {
			way.tr.GoOn(t, calm)
		}
	}
	goOn()
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	goOn()
	w.MustCLI("restart", "one")
	goOn()
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	goOn()
	for _, way := range ways {
		r := way.tr.Stop()
		if way.costly {
			r.NoneLostBut(t, workers)
		} else {
			r.NoneLost(t)
		}
		t.Logf("%s: %v", way.name, r)
	}
}

func TestFrontSaysWhenToComeBackWhereABuildDoesNotServe(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, Entry("one", "autostart = false"), Entry("two", `restart_delay_max = "1s"`))
	dieWhenTold(w, "two")
	w.Serve("two")
	w.Touch("two", "dead")
	w.KillTree("two", syscall.SIGKILL)
	for name, state := range map[string]string{"one": "stopped", "two": "backoff"} {
		w.WaitState(name, state)
		Eventually(t, 10*time.Second, "a refusal of "+name, func() (bool, string) {
			answer := MustAsk(t, "tcp", w.Front, "/"+name+"/")
			seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
			return answer.Status == http.StatusServiceUnavailable && err == nil && seconds >= 1, strconv.Itoa(answer.Status)
		})
	}
}

// The figure that matters in an exchange, compared with an undisturbed run of the same load.
func TestExchangeCostsNoRequestAndHardlyAPause(t *testing.T) {
	t.Parallel()
	const exchanges = 5
	w := NewWorld(t, One())
	w.Serve("one")
	for _, path := range []string{w.Socket("one"), w.Front} {
		network, at := "unix", "/"
		if !strings.HasPrefix(path, "/") {
			network, at = "tcp", "/one/"
		}
		still := StartLoad(t, Load{Network: network, Addr: path, Path: at})
		still.GoOn(t, 2*calm)
		undisturbed := still.Stop()
		tr := StartLoad(t, Load{Network: network, Addr: path, Path: at})
		for range exchanges {
			w.MustCLI("restart", "one")
		}
		tr.GoOn(t, calm)
		r := tr.Stop()
		r.NoneLost(t)
		t.Logf("%s: longest gap undisturbed %v, over %d exchanges %v; %v", network,
			undisturbed.LongestGap.Round(time.Millisecond), exchanges, r.LongestGap.Round(time.Millisecond), r)
	}
}
