package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Status is what users are promised of `status --json`, written down separately from the code under
// test so that it cannot change unnoticed.
type Status struct {
	Version string    `json:"version"`
	Pid     int       `json:"pid"`
	Started time.Time `json:"started"`
	Config  struct {
		Path   string    `json:"path"`
		Loaded time.Time `json:"loaded"`
		Error  string    `json:"error"`
	} `json:"config"`
	Builds []BuildStatus `json:"builds"`
}

// BuildStatus is one build's part of Status.
type BuildStatus struct {
	Name          string    `json:"name"`
	State         string    `json:"state"`
	Reason        string    `json:"reason"`
	Release       string    `json:"release"`
	Pid           int       `json:"pid"`
	Since         time.Time `json:"since"`
	Restarts      int       `json:"restarts"`
	LastExit      string    `json:"last_exit"`
	Socket        string    `json:"socket"`
	Location      string    `json:"location"`
	Healthy       bool      `json:"healthy"`
	Building      bool      `json:"building"`
	BuildProgress string    `json:"build_progress"`
	BuildError    string    `json:"build_error"`
	NextTry       time.Time `json:"next_try"`
	Releases      []string  `json:"releases"`
	Replicas      struct {
		Want, Ready int
		Pids        []int
	} `json:"replicas"`
	Processes []struct {
		Name, State, Release string
		Pid                  int
	} `json:"processes"`
	Tasks []struct {
		ID  string
		Pid int
	}
	Schedules []ScheduleStatus `json:"schedules"`
}

// Build returns the part of build name; its Name is empty if there is none.
func (s Status) Build(name string) BuildStatus {
	for _, b := range s.Builds {
		if b.Name == name {
			return b
		}
	}
	return BuildStatus{}
}

// Status asks the supervisor over its control socket.
func (w *World) Status() (Status, error) {
	var s Status
	text, err := w.get("/v1/status")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read the status %q: %w", text, err)
	}
	return s, nil
}

func (w *World) get(path string) (string, error) {
	answer, err := Ask("unix", filepath.Join(w.Root, ".supervisor", "control.sock"), path)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("GET %s answered %d: %s", path, answer.Status, answer.Body)
	}
	return answer.Body, nil
}

// WaitStatus waits until holds returns true for build name's status, and returns the status.
func (w *World) WaitStatus(name, what string, holds func(BuildStatus) bool) BuildStatus {
	w.t.Helper()
	var last BuildStatus
	Eventually(w.t, 90*time.Second, "build "+name+": "+what, func() (bool, string) {
		s, err := w.Status()
		if err != nil {
			if !w.Running() {
				w.t.Fatalf("waiting for build %s: %s: the supervisor has ended: %v", name, what, w.endErr)
			}
			return false, err.Error()
		}
		last = s.Build(name)
		return last.Name != "" && holds(last), fmt.Sprintf("%+v", last)
	})
	return last
}

// WaitState waits until build name is in this state.
func (w *World) WaitState(name, state string) BuildStatus {
	w.t.Helper()
	return w.WaitStatus(name, "state "+state, func(b BuildStatus) bool { return b.State == state })
}

// WaitRelease waits until another release than before serves build name, healthy, with no attempt
// under way.
func (w *World) WaitRelease(name, before string) BuildStatus {
	w.t.Helper()
	return w.WaitStatus(name, "a release other than "+before, func(b BuildStatus) bool {
		return b.State == "running" && b.Release != "" && b.Release != before && !b.Building
	})
}

// WaitPid waits until another master than before serves build name.
func (w *World) WaitPid(name string, before int) BuildStatus {
	w.t.Helper()
	return w.WaitStatus(name, fmt.Sprintf("a master other than %d", before), func(b BuildStatus) bool {
		return b.State == "running" && b.Pid != 0 && b.Pid != before
	})
}

// WaitBanner waits until the public socket answers with this BANNER of the settings.
func (w *World) WaitBanner(name, banner string) {
	w.t.Helper()
	Eventually(w.t, 90*time.Second, "banner "+banner+" from build "+name, func() (bool, string) {
		answer, err := Ask("unix", w.Socket(name), "/")
		if err != nil {
			return false, err.Error()
		}
		return answer.Status == http.StatusOK && answer.Header.Get("X-Banner") == banner, fmt.Sprint(answer.Status, answer.Header)
	})
}

// Answer is one complete response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Ask sends one GET for host localhost on a connection of its own.
func Ask(network, addr, path string) (Answer, error) {
	return Send(network, addr, http.MethodGet, path, "")
}

// Send sends one request for host localhost on a connection of its own and reads the complete
// response. Redirects are not followed.
func Send(network, addr, method, path, body string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	return sendRequest(network, addr, request)
}

func sendRequest(network, addr string, request *http.Request) (Answer, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return Answer{}, err
	}
	return Answer{answer.StatusCode, answer.Header, string(text)}, nil
}

// MustAsk is Ask, but an error ends the test.
func MustAsk(t testing.TB, network, addr, path string) Answer {
	t.Helper()
	answer, err := Ask(network, addr, path)
	if err != nil {
		t.Fatalf("GET %s from %s: %v", path, addr, err)
	}
	return answer
}
