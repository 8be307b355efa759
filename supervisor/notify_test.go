package supervisor

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// A reload may end while we stop: a service manager that is told READY=1 then takes us for one that goes on.
func TestWhoStopsIsNotReadyAgain(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	n := newNotifier([]string{"NOTIFY_SOCKET=" + path}, hclog.NewNullLogger())
	n.ready("all is well")
	n.stopping()
	n.ready("all is well")
	n.alive()
	for _, want := range []string{"READY=1", "STOPPING=1", "WATCHDOG=1"} {
		text := make([]byte, 200)
		size, err := manager.Read(text)
		if got, _, _ := strings.Cut(string(text[:size]), "\n"); got != want || err != nil {
			t.Errorf("the service manager heard %q, %v, want %q", got, err, want)
		}
	}
}
