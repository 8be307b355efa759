package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// uploadsPage serves what a project does with its database, its uploads and its static files.
const uploadsPage = `from django.core.files.storage import default_storage
from django.db import connections
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path

from things.models import Thing

from .urls import urlpatterns as others


def upload(request):
    Thing.objects.create(name=request.FILES["file"].name)
    return HttpResponse(default_storage.save("uploads/file", request.FILES["file"]))


def uploaded(request):
    with default_storage.open("uploads/file") as f:
        return HttpResponse(f.read())


def servers(request):
    said = []
    for name in sorted(connections):
        with connections[name].cursor() as cursor:
            cursor.execute("SELECT CONCAT(DATABASE(), ' ', VERSION())")
            said.append(name + " " + cursor.fetchone()[0])
    return HttpResponse("\n".join(said))


def peek(request):
    try:
        open(request.GET["path"])
    except OSError as e:
        return HttpResponse(type(e).__name__)
    return HttpResponse("done")


urlpatterns = [
    path("upload", upload), path("uploaded", uploaded), path("servers", servers), path("peek", peek),
    path("page", lambda request: HttpResponse(static("site.css"))),
] + others
`

// consume is a management command that runs until it is told to end, and then finishes what it is at.
const consume = `import os
import signal
import time

from django.conf import settings
from django.core.management.base import BaseCommand

from things.models import Thing


class Command(BaseCommand):
    def handle(self, **options):
        going = True

        def stop(*_):
            nonlocal going
            going = False

        signal.signal(signal.SIGTERM, stop)
        Thing.objects.create(name="begins " + settings.BANNER)
        while going:
            beat, _ = Thing.objects.get_or_create(name="beat %d" % os.getpid())
            beat.delete()
            time.sleep(0.1)
        time.sleep(1)
        Thing.objects.create(name="ends " + settings.BANNER)
`

// workLines are a consumer and a schedule of Django's own beside the server.
const workLines = `
[[build.process]]
name = "consumer"
command = ["manage.py", "consume"]
graceful_timeout = "1m"

[[build.schedule]]
name = "sessions"
command = ["manage.py", "clearsessions"]
every = "5s"
`

// mariaDB starts a MariaDB of the test's own and returns its TCP port and its socket. It has a database
// medctrl, and a user medctrl with the password.
func mariaDB(t *testing.T, dir, password string) (port, socket string) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import MySQLdb").CombinedOutput(); err != nil {
		t.Skipf("%s cannot import it: %s", python, lastLines(string(out), 1))
	}
	return mariaDBAt(t, dir, password, "127.0.0.1", "127.0.0.1")
}

// mariaDBAt is mariaDB on another address than loopback, for clients from there: a host, or % for any.
func mariaDBAt(t *testing.T, dir, password, address, from string) (port, socket string) {
	t.Helper()
	daemon := "/usr/sbin/mariadbd" // which is not on every user's PATH
	if found, err := exec.LookPath("mariadbd"); err == nil {
		daemon = found
	}
	for _, program := range []string{daemon, "mariadb-install-db", "mariadb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	data := filepath.Join(dir, "data")
	socket = filepath.Join(dir, "s")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, port, _ = strings.Cut(FreeAddr(t), ":")
	common := []string{"--no-defaults", "--datadir=" + data, "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M"}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "mariadb-install-db", append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...).CombinedOutput(); err != nil {
		t.Fatalf("make a database: %v\n%s", err, lastLines(string(out), 10))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own
	server := exec.Command(daemon, append(common, "--socket="+socket, "--port="+port, "--bind-address="+address, "--skip-name-resolve", "--pid-file="+filepath.Join(dir, "pid"))...)
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill() // its data goes as well
		server.Wait()         // it was killed
	})
	sql := fmt.Sprintf("CREATE USER medctrl@localhost IDENTIFIED BY '%s'; CREATE USER medctrl@'%[2]s' IDENTIFIED BY '%[1]s'; "+
		"CREATE DATABASE medctrl CHARACTER SET utf8mb4; GRANT ALL ON medctrl.* TO medctrl@localhost, medctrl@'%[2]s'", password, from)
	Eventually(t, patience, "MariaDB", func() (bool, string) {
		out, err := exec.Command("mariadb", "--no-defaults", "--user=root", "--socket="+socket, "--execute=SELECT 1").CombinedOutput()
		return err == nil, string(out)
	})
	if out, err := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--user=root", "--socket="+socket, "--execute="+sql).CombinedOutput(); err != nil {
		t.Fatalf("make users: %v\n%s", err, out)
	}
	return port, socket
}

// TestMariaDBStaticFilesUploadsAndCommandsInASandbox is an ordinary Django in a sandbox that nothing was
// opened for: it reaches its database over TCP and by its socket, has its static files, and keeps uploads in
// its data folder. Its commands run beside it.
func TestMariaDBStaticFilesUploadsAndCommandsInASandbox(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = `user = "nobody"`
	}
	w := NewWorld(t, One(user, `sandbox.enabled = true`, `env_file = "one.env"`, "migrate = true", "check = true", "collectstatic = true", "workers = 1", stableSoon, workLines))
	const password = "a long random password"
	port, socket := mariaDB(t, filepath.Join(w.Dir, "db"), password)
	settings := strings.ReplaceAll(staticLines, "api_settings.assets", "api_settings.uploads") + fmt.Sprintf(`
BANNER = "one"
INSTALLED_APPS = INSTALLED_APPS + ["django.contrib.sessions"]
STATIC_ROOT = os.path.join(DATA_DIR, "static")
MEDIA_ROOT = DATA_DIR
LOGIN = {"ENGINE": "django.db.backends.mysql", "NAME": "medctrl", "USER": "medctrl", "PASSWORD": os.environ["MEDCTRL_DB_PASSWORD"]}
DATABASES = {"default": dict(LOGIN, HOST="127.0.0.1", PORT=%s), "socket": dict(LOGIN, HOST=%q)}
`, port, socket)
	w.SaveSettings("one", settings, RenameOver)
	for path, text := range map[string]string{"API/assets/site.css": "plain", "API/api_settings/uploads.py": uploadsPage, "API/things/management/commands/consume.py": consume, "../one.env": "MEDCTRL_DB_PASSWORD='" + password + "'\n"} {
		path = filepath.Join(w.Source, path)
		mode := os.FileMode(0o644)
		if strings.HasSuffix(path, ".env") {
			mode = 0o600
		}
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, []byte(text), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(w.Dir, 0o755); err != nil { // the way to the database's socket
		t.Fatal(err)
	}
	w.Serve("one")
	said := func(answer Answer, err error) string {
		t.Helper()
		if err != nil || answer.Status != http.StatusOK {
			t.Errorf("%d %s, %v", answer.Status, lastLines(answer.Body, 5), err)
		}
		return answer.Body
	}
	ask := func(path string) string {
		t.Helper()
		return said(Ask("unix", w.Socket("one"), path))
	}
	if got := ask("/servers"); strings.Count(got, "medctrl 1") != 2 || !strings.Contains(got, "MariaDB") {
		t.Errorf("the databases are %s", got)
	}
	// What is larger than 2.5 MB Django keeps in a temporary file at first.
	text := strings.Repeat("upload", 1<<20)
	if got := said(uploadFile(w.Socket("one"), "/upload", "one.txt", text)); got != "uploads/file" {
		t.Errorf("the upload is %s", got)
	}
	if got := ask("/uploaded"); got != text || readAll(w.Data("one", "uploads/file")) != text {
		t.Errorf("it holds %d bytes, want %d", len(got), len(text))
	}
	if got := ask("/things"); !strings.Contains(got, "one.txt") {
		t.Errorf("the database has %s", got)
	}
	page := strings.TrimPrefix(ask("/page"), "/static/")
	if got := readAll(w.Data("one", filepath.Join("static", page))); got != "plain" || page == "site.css" {
		t.Errorf("its page links to %s, which holds %q", page, got)
	}
	if got := w.MustCLI("status", "one"); !strings.Contains(got, "in a sandbox") {
		t.Errorf("status says\n%s", got)
	}
	if got := ask("/peek?path=" + filepath.Join(w.Dir, "db", "log")); got != "PermissionError" {
		t.Errorf("it reads the database's log: %s", got)
	}
	w.commandsWork(socket, settings)
	w.Stop()
}

// commandsWork goes through the life of a command that runs for hours: it outlives the supervisor, is the
// same after an upgrade, finishes what it is at when its release is replaced, and when it is stopped. In
// the meantime Django's clearsessions does its work.
func (w *World) commandsWork(socket, settings string) {
	t := w.t
	t.Helper()
	sql := func(statement string) []string {
		t.Helper()
		out, err := exec.Command("mariadb", "--no-defaults", "--user=root", "--socket="+socket, "--skip-column-names", "--batch", "--execute="+statement, "medctrl").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", statement, err, out)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
	consumer := func(of string) (pid int) {
		t.Helper()
		w.WaitStatus("one", "the consumer of release "+of, func(b BuildStatus) bool {
			for _, p := range b.Processes {
				if p.State == "running" && (of == "" || p.Release == of) {
					pid = p.Pid
				}
			}
			return pid > 0
		})
		return pid
	}
	sql("insert into django_session values ('old', '', '2020-01-01'), ('new', '', '2999-01-01')")
	first, pid := w.WaitState("one", "running").Release, consumer("")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if now := consumer(""); now != pid {
		t.Errorf("after the death of the supervisor the consumer is %d, before %d", now, pid)
	}
	w.Upgrade()
	if now := consumer(""); now != pid {
		t.Errorf("after an upgrade the consumer is %d, before %d", now, pid)
	}
	Eventually(t, patience, "the session that has expired to be deleted", func() (bool, string) {
		left := fmt.Sprint(sql("select session_key from django_session"))
		return left == "[new]", left
	})
	w.schedule("sessions", "a good run", func(s ScheduleStatus) bool { return s.Last != nil && s.Last.Result == "good" })
	w.SaveSettings("one", settings+"BANNER = 'second'\n", RenameOver)
	second := w.WaitRelease("one", first).Release
	consumer(second)
	w.MustCLI("stop", "one")
	want := fmt.Sprint([]string{"begins one", "ends one", "begins second", "ends second"})
	if got := fmt.Sprint(sql("select name from things_thing where name regexp '^(begins|ends) ' order by id")); got != want {
		t.Errorf("the consumers write %s, want %s", got, want)
	}
}

// uploadFile sends a file as a form does.
func uploadFile(socket, path, name, text string) (Answer, error) {
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	part, err := writer.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write([]byte(text))
	}
	if err = errors.Join(err, writer.Close()); err != nil {
		return Answer{}, err
	}
	request, err := http.NewRequest(http.MethodPost, "http://localhost"+path, &form)
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", writer.FormDataContentType())
	return sendRequest("unix", socket, request)
}
