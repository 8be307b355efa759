package build

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

const oneDatabase = "{'ENGINE': 'django.db.backends.mysql', 'NAME': 'm'}"

func TestStepNeverHasALockThatItCouldLeaveToADaemon(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, oneDatabase)
	edit(t, filepath.Join(p.AppPath(), "manage.py"), `
for fd in os.listdir("/proc/self/fd"):
    try: did("open " + os.readlink("/proc/self/fd/" + fd))
    except OSError: pass
`)
	p.goOn(t)
	p.made(t)
	for line := range strings.Lines(p.did(t)) {
		if path, ok := strings.CutPrefix(line, "open "+p.root); ok && !strings.HasPrefix(path, "/"+p.Name+"/") {
			t.Errorf("a step has %s open", line)
		}
	}
	if entries, err := os.ReadDir(layout.Root(p.root).MigrationLocks()); err != nil || len(entries) != 0 {
		t.Errorf("after the migration there is %v, %v", entries, err)
	}
}

func TestDaemonOfAMigrationHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, oneDatabase)
	edit(t, filepath.Join(p.AppPath(), "manage.py"), daemon+`
if on("migrate") and os.environ["MEDCTRL_BUILD"] == "one":
    daemon()
    while not os.path.exists(os.environ["MEDCTRL_DATA"] + "/daemon"): time.sleep(0.01)
    os._exit(3)
`)
	other := p.second(t)
	other.setDatabase(t, oneDatabase)
	other.goOn(t)
	p.goOn(t)
	p.failed(t)
	other.made(t)
}

func TestOnlyAMigrationTakesLocks(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, oneDatabase)
	edit(t, filepath.Join(p.AppPath(), "manage.py"), `
if on("check"):
    import socket
    for fd in os.listdir("/proc/self/fd"):
        try: socket.socket(fileno=os.dup(int(fd))).send(b"lock server localhost 3306 m")
        except OSError: pass
    time.sleep(600)
`)
	contains(t, p.failed(t).Error(), "check", "asks for the lock of a database although it migrates none")
	p.clean(t)
}

func TestNumberOfDatabasesThatAMigrationLocksIsBounded(t *testing.T) {
	t.Parallel()
	var more strings.Builder
	for i := range mostDatabases {
		fmt.Fprintf(&more, ", 'd%d': {'ENGINE': 'django.db.backends.mysql', 'NAME': 'd%d'}", i, i)
	}
	p := withDatabase(t, oneDatabase+more.String())
	contains(t, p.failed(t).Error(), "migrate", "more than 64 databases")
	p.clean(t)
}

func TestNoUserHoldsUpAMigrationOfAnother(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, oneDatabase)
	other := p.second(t)
	other.runAsNobody(t)
	other.setDatabase(t, oneDatabase)
	first := p.start(t)
	until(t, "the first to migrate", p.migrating)
	must(t, os.RemoveAll(other.data()))
	remarked := make(chan string, 1)
	request := other.request()
	request.Remark = func(text string) { remarked <- text }
	second := make(chan error, 1)
	go func() {
		_, _, err := other.m.Make(t.Context(), request)
		second <- err
	}()
	until(t, "the other user's, which names the same database", other.migrating)
	other.goOn(t)
	must(t, <-second)
	contains(t, <-remarked, "build one, which runs as another user", "same name")
	p.goOn(t)
	must(t, first.wait())
}

func TestRecordOfAMigrationThatHasEndedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	p := withDatabase(t, oneDatabase)
	p.goOn(t)
	root := layout.Root(p.root)
	for name, identity := range map[string]string{"gone": "1 1 another boot", "nonsense": "x"} {
		text, err := json.Marshal(migrationRecord{identity, "", []string{fmt.Sprintf("%d server localhost 3306 m ", os.Geteuid())}})
		must(t, err)
		must(t, os.MkdirAll(root.MigrationLocks(), 0o700))
		must(t, os.WriteFile(migrationRecordPath(root, name), text, 0o600))
	}
	p.made(t)
}
