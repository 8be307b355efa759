package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// twoHosts are two worlds with one builds.toml, but for the address of the front, and one database.
func twoHosts(t *testing.T) (first, second *World) {
	t.Helper()
	shared := ShortDir(t)
	host := func(name string) *World {
		w := NewWorld(t, One(`migrate = true
once_on = "web-1"

[[build.process]]
name = "beat"
once = true
command = ["sleep", "600"]

[[build.schedule]]
name = "mark"
every = "1s"
command = ["sh", "-c", "echo ran >> {data}/ran"]
`))
		w.Supervisor = []string{`front_proxies = ["127.0.0.1"]`}
		w.Env = []string{"MEDCTRL_HOST=" + name}
		w.WriteConfig()
		w.SaveSettings("one", fmt.Sprintf("DATABASES['default']['NAME'] = %q\n", filepath.Join(shared, "db")), RenameOver)
		return w
	}
	return host("web-1"), host("web-2")
}

// waitsFor waits until a release of w waits for the migrations of another host.
func (w *World) waitsFor(host string) {
	w.t.Helper()
	w.WaitStatus("one", "to wait for "+host, func(b BuildStatus) bool {
		return strings.HasPrefix(b.BuildProgress, "migrate: waiting for "+host)
	})
}

// TestTwoHostsBehindOneNginx does what docs/many-hosts.md says, with its Nginx.
func TestTwoHostsBehindOneNginx(t *testing.T) {
	t.Parallel()
	first, second := twoHosts(t)
	second.Start()
	second.waitsFor("web-1") // the database has no table yet
	first.Start()
	first.WaitState("one", "running")
	before := second.WaitState("one", "running")

	conf := ""
	for _, block := range regexp.MustCompile("(?ms)^```nginx\n(.*?)^```$").FindAllStringSubmatch(readAll("../../docs/many-hosts.md"), -1) {
		conf += block[1]
	}
	n := StartNginx(t, strings.NewReplacer("10.0.0.11:8080", first.Front, "10.0.0.12:8080", second.Front).Replace(conf))
	tr := n.Load(t, "/one/", 50)
	tr.GoOn(t, 20)

	// A deploy with a migration, on the wrong host first.
	for _, w := range []*World{first, second} {
		const migration = "from django.db import migrations, models\nclass Migration(migrations.Migration):\n" +
			"    dependencies = [('things', '0001_initial')]\n" +
			"    operations = [migrations.AddField('thing', 'more', models.IntegerField(default=0))]\n"
		if err := os.WriteFile(filepath.Join(w.Source, "API/things/migrations/0002_more.py"), []byte(migration), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deployed := make(chan string, 1)
	go func() {
		out, errOut, code := second.CLI("deploy", "one")
		deployed <- fmt.Sprintf("exit %d, %q %q", code, out, errOut)
	}()
	second.waitsFor("web-1")
	if now := second.WaitState("one", "running"); now.Release != before.Release {
		t.Errorf("release %s serves before its migrations are there", now.Release)
	}
	if out := first.MustCLI("deploy", "one"); !strings.Contains(out, "no request lost") {
		t.Errorf("deploy on web-1: %q", out)
	}
	if said := <-deployed; !strings.HasPrefix(said, "exit 0, ") || !strings.Contains(said, "no request lost") {
		t.Errorf("deploy on web-2: %s", said)
	}
	second.WaitRelease("one", before.Release)

	long := second.MustCLI("status", "one")
	if want := "elsewhere  web-1, which once_on names: migrates, "; !strings.Contains(long, want) || !strings.Contains(long, "schedule mark runs there; process beat") {
		t.Errorf("status on web-2:\n%s", long)
	}
	Eventually(t, patience, "a run on web-1", func() (bool, string) {
		_, err := os.Stat(first.Data("one", "ran"))
		return err == nil, fmt.Sprint(err)
	})
	if _, err := os.Stat(second.Data("one", "ran")); err == nil {
		t.Error("the schedule ran on both hosts")
	}

	// One host is gone, with all that it runs.
	KillAll(t, Tree(first.Pid()), syscall.SIGKILL)
	tr.GoOn(t, 50)
	if a := MustAsk(t, "unix", n.Addr, "/one/"); a.Status != http.StatusOK {
		t.Errorf("Nginx returned %d", a.Status)
	}
	second.Replace(second.File, `once_on = "web-1"`, `once_on = "web-2"`, RenameOver)
	second.WaitStatus("one", "what is done once", func(b BuildStatus) bool {
		ran := slices.ContainsFunc(b.Schedules, func(s ScheduleStatus) bool { return s.Last != nil && s.Last.Result == "good" })
		return ran && len(b.Processes) == 1 && b.Processes[0].State == "running"
	})
	got := tr.Stop()
	t.Log(got)
	got.NoneLost(t)
}
