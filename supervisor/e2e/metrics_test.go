package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whoever scrapes sees no gap at an upgrade in place.
func TestMetricsAreServedOverUpgrades(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	address := FreeAddr(t)
	w.Supervisor = append(w.Supervisor, fmt.Sprintf("metrics = %q", address))
	w.SetBuilds(tiny(""))
	w.Serve("one")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	scrape := func() error {
		resp, err := client.Get("http://" + address + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `medctrl_build_up{build="one"} `)) {
			err = fmt.Errorf("%s: %.200s", resp.Status, text)
		}
		return err
	}
	if err := scrape(); err != nil {
		t.Fatal(err)
	}
	stop, scraped := make(chan struct{}), make(chan error, 1)
	n := 0
	go func() {
		defer close(scraped)
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			select {
			case <-stop:
				return
			default:
			}
			if n++; len(scraped) == 0 {
				if err := scrape(); err != nil {
					scraped <- err
				}
			}
		}
	}()
	for range 3 {
		w.Upgrade()
	}
	close(stop)
	for err := range scraped {
		t.Errorf("after %d: %v", n, err)
	}
	w.Stop()
}
