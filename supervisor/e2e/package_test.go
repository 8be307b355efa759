package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// packages returns the folder of the packages that `make test-packages` has made: old and new.
func packages(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MEDCTRL_TEST_PACKAGES")
	if dir == "" {
		t.Skip("needs packages: make test-packages")
	}
	return dir
}

// debFile returns the path of a version's .deb below dir.
func debFile(t *testing.T, dir, version string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, version, "packages", "*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the packages of %s are %v, %v", version, found, err)
	}
	return found[0]
}

// What belongs into a package and what a package may do to a machine: nothing else, nothing writable
// by others, nothing with rights of its own.
func TestPackageHoldsTheseFiles(t *testing.T) {
	deb := debFile(t, packages(t), "new")
	if info, err := os.Stat(deb); err != nil || info.Size() >= 12<<20 {
		t.Errorf("the package is too large, or: %v", err)
	}
	want := []string{
		"/etc/medctrl/", "/etc/medctrl/builds.toml.example", "/usr/bin/medctrl-supervisor", "/usr/share/bash-completion/completions/medctrl-supervisor",
		"/usr/lib/systemd/system/medctrl-supervisor-start.service", "/usr/lib/systemd/system/medctrl-supervisor.path", "/usr/lib/systemd/system/medctrl-supervisor.service",
		"/usr/share/doc/medctrl-supervisor/changelog.Debian.gz", "/usr/share/doc/medctrl-supervisor/changelog.gz", "/usr/share/doc/medctrl-supervisor/copyright",
		"/usr/share/doc/medctrl-supervisor/examples/chat.py", "/usr/share/doc/medctrl-supervisor/examples/mail.py",
		"/usr/share/doc/medctrl-supervisor/examples/nginx.conf", "/usr/share/doc/medctrl-supervisor/examples/webhook.py", "/usr/share/doc/medctrl-supervisor/third-party.gz",
		"/usr/share/fish/vendor_completions.d/medctrl-supervisor.fish", "/usr/share/lintian/overrides/medctrl-supervisor",
		"/usr/share/man/man5/builds.toml.5.gz", "/usr/share/zsh/vendor-completions/_medctrl-supervisor", "/var/lib/medctrl/",
	}
	page := regexp.MustCompile(`^/usr/share/man/man1/medctrl-supervisor(-[a-z]+)?\.1\.gz$`)
	var have []string
	pages := 0
	for line := range strings.Lines(outputOf(t, "dpkg-deb", "--contents", deb)) {
		fields := strings.Fields(line)
		mode, owner, name := fields[0], fields[1], strings.TrimPrefix(fields[5], ".")
		wantMode := "-rw-r--r--"
		switch {
		case strings.HasSuffix(name, "/"):
			wantMode = "drwxr-xr-x"
		case name == "/usr/bin/medctrl-supervisor", strings.HasSuffix(name, ".py"):
			wantMode = "-rwxr-xr-x"
		}
		if mode != wantMode || owner != "root/root" {
			t.Errorf("%s is %s of %s, want %s", name, mode, owner, wantMode)
		}
		switch {
		case page.MatchString(name):
			pages++
		case !strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/medctrl/"):
			have = append(have, name)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("it holds\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if pages < 15 {
		t.Errorf("it has %d pages of commands", pages)
	}
}

// The two commands of the README, on a Debian with a source in place, and then what an administrator
// does to a package.
func TestPackageIsInstalledUpgradedAndRemoved(t *testing.T) {
	dir := packages(t)
	needBoot(t, "test-packages")
	w := emptyWorld(t)
	source, err := filepath.Abs("../../examples/medctrl")
	if err != nil {
		t.Fatal(err)
	}
	b := bootWith(t, w, "--bind-ro="+source+":/srv/medctrl", "--bind-ro="+dir+":/mnt")
	install := func(version string) string {
		return b.must("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--allow-downgrades", strings.Replace(debFile(t, dir, version), dir, "/mnt", 1))
	}
	at := fmt.Sprintf("/proc/%d/root", b.init) // its files, from here
	socket := at + "/var/lib/medctrl/development/gunicorn.sock"
	responds := func(what string) {
		t.Helper()
		Eventually(t, time.Minute, what, func() (bool, string) {
			a, err := Ask("tcp", w.Front, "/api/")
			return err == nil && strings.Contains(a.Body, `"banner": "development"`), fmt.Sprintf("%v %v\n%s", a, err, b.try("journalctl", "--no-pager", "-n", "30"))
		})
	}
	status := func() (now struct {
		Version string
		Pid     int
		Builds  []BuildStatus
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(b.must("medctrl-supervisor", "status", "--json")), &now); err != nil || len(now.Builds) != 1 {
			t.Fatalf("status is %+v, %v", now, err)
		}
		return now
	}
	active := func(unit string) string {
		t.Helper()
		return strings.TrimSpace(b.must("systemctl", "show", "-P", "ActiveState", unit))
	}

	began := time.Now()
	said := install("old")
	if !strings.Contains(said, "write /etc/medctrl/builds.toml, and it starts") {
		t.Errorf("the installation does not say what to do: %s", said)
	}
	for unit, want := range map[string]string{"medctrl-supervisor.service": "inactive", "medctrl-supervisor.path": "active"} {
		if state, enabled := active(unit), b.try("systemctl", "is-enabled", unit); state != want || enabled != "enabled\n" {
			t.Errorf("%s is %s and %s", unit, state, enabled)
		}
	}
	if id := b.must("id", "medctrl"); !strings.Contains(id, "(medctrl)") {
		t.Errorf("id: %s", id)
	}
	// The example as it is shipped, with what this machine cannot do: a free port, and packages without an index.
	b.must("sh", "-c", `sed -e "s/127.0.0.1:8080/$1/" -e '/^python/s|$|\nsystem_site_packages = true|' /etc/medctrl/builds.toml.example >/etc/medctrl/builds.toml`, "sh", w.Front)
	responds("the first response")
	if took := time.Since(began); took > time.Minute {
		t.Errorf("from the installation to the first answer: %v, want less than a minute", took)
	} else {
		t.Logf("from the installation to the first answer: %v", took.Round(time.Millisecond))
	}
	b.must("medctrl-supervisor", "check")
	t.Logf("status:\n%s", b.must("medctrl-supervisor", "status"))

	before := status()
	if before.Version != "v0.1.0" {
		t.Errorf("the version is %q", before.Version)
	}
	Eventually(t, time.Minute, "the service to be ready", func() (bool, string) { s := active("medctrl-supervisor.service"); return s == "active", s })
	tr, front := StartLoad(t, Load{Network: "unix", Addr: socket, Rate: 100, Timeout: slow}), StartLoad(t, Load{Network: "tcp", Addr: w.Front, Path: "/api/", Rate: 10, Timeout: slow})
	tr.GoOn(t, calm)
	if said := install("new"); !strings.Contains(said, "upgraded from v0.1.0 to v0.2.0") {
		t.Errorf("the upgrade says: %s", said)
	}
	tr.GoOn(t, calm)
	front.GoOn(t, calm)
	direct, passed := tr.Stop(), front.Stop()
	direct.NoneLost(t)
	passed.NoneLost(t)
	t.Logf("an upgrade of the package: %v; through the front: %v", direct, passed)
	if now := status(); now.Version != "v0.2.0" || now.Pid != before.Pid || now.Builds[0].Pid != before.Builds[0].Pid {
		t.Errorf("the upgrade led from %+v to %+v", before, now)
	}

	if log := b.must("journalctl", "--no-pager", "-u", "medctrl-supervisor"); strings.Contains(log, "read-only file system") {
		t.Errorf("the unit keeps the supervisor from where it writes: %s", log)
	}

	// Who stopped it wants it stopped: no unit and no newer version starts it again.
	b.must("systemctl", "stop", "medctrl-supervisor")
	install("old")
	if state := active("medctrl-supervisor.service"); state != "inactive" {
		t.Errorf("after a stop and another version the service is %s", state)
	}
	b.must("systemctl", "start", "medctrl-supervisor")
	responds("a response after another start")

	gone := func(after string) {
		t.Helper()
		Eventually(t, patience, "the end of everything after "+after, func() (bool, string) {
			left := b.try("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
			return !strings.Contains(left, "gunicorn") && !strings.Contains(left, "medctrl-supervisor"), left
		})
		if _, err := Ask("tcp", w.Front, "/api/"); err == nil {
			t.Errorf("the front is there after %s", after)
		}
		for _, kept := range []string{"/etc/medctrl/builds.toml", "/var/lib/medctrl/development/current", "/var/lib/medctrl/development/data"} {
			if _, err := os.Lstat(at + kept); err != nil {
				t.Errorf("after %s: %v", after, err)
			}
		}
	}
	b.must("apt-get", "remove", "-y", "medctrl-supervisor")
	gone("a removal")
	install("new")
	responds("a response after an installation with the file in place")
	said = b.must("apt-get", "purge", "-y", "medctrl-supervisor")
	gone("a purge")
	for _, kept := range []string{"/etc/medctrl/builds.toml", "/var/lib/medctrl"} {
		if !strings.Contains(said, "medctrl-supervisor: "+kept+" is left as it is") {
			t.Errorf("the purge does not say that it leaves %s: %s", kept, said)
		}
	}
	if left, _ := exec.Command("find", at+"/etc/systemd", at+"/usr/bin", at+"/usr/lib/systemd", at+"/usr/share/man", at+"/var/lib/medctrl-supervisor", "-name", "medctrl*").Output(); len(left) > 0 { // it complains of folders that are gone
		t.Errorf("left after a purge: %s", left)
	}
}

// `go install …@v1.98.7` as from the module proxy, which has the newest commit as that version; what the
// module depends on comes from the module cache.
func TestPackageOfGoSaysTheVersionOfTheModule(t *testing.T) {
	packages(t)
	const module, version = "github.com/medctrl/medctrl-supervisor", "v1.98.7"
	dir := ShortDir(t)
	at := filepath.Join(dir, "proxy", module, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"list": version + "\n", version + ".info": `{"Version":"` + version + `"}`, version + ".mod": readAll("../../go.mod")} {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	top := outputOf(t, "git", "rev-parse", "--show-toplevel")
	outputOf(t, "git", "-C", top, "archive", "--format=zip", "--prefix="+module+"@"+version+"/", "--output="+filepath.Join(at, version+".zip"), "HEAD",
		"--", ".", ":(exclude).ci/kubernetes") // a module of its own, which the proxy leaves out
	cmd := exec.Command("go", "install", module+"/cmd/medctrl-supervisor@latest")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+filepath.Join(dir, "bin"), "GOMODCACHE="+filepath.Join(dir, "cache"), "GOFLAGS=-trimpath -modcacherw", "GONOSUMDB=*",
		"GOPROXY=file://"+filepath.Join(dir, "proxy")+",file://"+outputOf(t, "go", "env", "GOMODCACHE")+"/cache/download")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, out)
	}
	if said := outputOf(t, filepath.Join(dir, "bin", "medctrl-supervisor"), "version"); said != "medctrl-supervisor "+version {
		t.Errorf("it says %q", said)
	}
}
