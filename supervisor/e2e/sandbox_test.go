package e2e

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// attempts is a module of the application that tries to reach what it is given, as JSON, and says what
// became of each: "done", or the name of an error.
const attempts = `
import errno, json, os, socket, sys, tempfile
import urllib.parse

def read(path):
    if os.path.isdir(path):
        os.listdir(path)
    else:
        with open(path, "rb") as f:
            f.read(1)

def write(path):
    with open(path, "w") as f:
        f.write("x")

def shorten(fd):
    os.ftruncate(int(fd), 0)

def signal(pid):
    os.kill(int(pid), 0)

def command(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        try:
            s.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        except BrokenPipeError:
            pass  # it was refused before it asked
        said = s.recv(1 << 16).decode()
    if " 403 " in said.splitlines()[0] and "in a sandbox" in said:
        raise PermissionError(errno.EACCES, said)

def temporary(_):
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"x")

def package(name):
    __import__(name)

def attempt(what):
    said = {}
    for name, argument in what:
        try:
            globals()[name](argument)
            said[name + " " + argument] = "done"
        except OSError as e:
            said[name + " " + argument] = errno.errorcode.get(e.errno, str(e))
        except Exception as e:
            said[name + " " + argument] = repr(e)
    return said

def application(environ, start_response):
    from api_settings.wsgi import application as usual
    if environ["PATH_INFO"] != "/attempt":
        return usual(environ, start_response)
    said = attempt(json.loads(urllib.parse.unquote(environ["QUERY_STRING"])))
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Banner", "one")])
    return [json.dumps(said).encode()]

if __name__ == "__main__":
    write(sys.argv[1] + "/probe")
    with open(sys.argv[1] + "/" + sys.argv[2], "w") as f:
        json.dump(attempt(json.loads(sys.argv[3])), f)
`

// wheel writes a wheel of a package without anything in it.
func wheel(t *testing.T, path, name string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	info := name + "-1.0.dist-info/"
	for name, text := range map[string]string{
		name + ".py":      "",
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "RECORD":   name + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n",
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSandboxKeepsBuildsApart has a build with a sandbox be made by pip, serve and call a hook, and
// try from each of these to reach what is its neighbour's.
func TestSandboxKeepsBuildsApart(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	for _, user := range []string{"", "nobody"} {
		t.Run("user "+strconv.Quote(user), func(t *testing.T) {
			t.Parallel()
			if user != "" && os.Geteuid() != 0 {
				t.Skip("only root may run a build as somebody else")
			}
			sandboxed(t, user)
		})
	}
}

func sandboxed(t *testing.T, user string) {
	w := NewWorld(t)
	w.Prepared = false
	for _, dir := range []string{w.Dir, filepath.Join(w.Dir, "fonts"), filepath.Join(w.Dir, "media"), filepath.Join(w.Dir, "elsewhere")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o755)
		if dir != w.Dir {
			mode = 0o777
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	below := func(path string) string { return filepath.Join(w.Dir, path) }
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(below("fonts/font"), "x")
	write(below("app/API/api_settings/attempts.py"), attempts)
	wheel(t, below("app/sandboxed_demo-1.0-py3-none-any.whl"), "sandboxed_demo")
	write(below("app/requirements.txt"), ownRequirements()+"./sandboxed_demo-1.0-py3-none-any.whl\n")

	secrets := []string{
		w.File, below("app"), below("app/API/api_settings/settings/deploy_two.py"),
		below("root/two/current/"), below("root/two/data"), below("root/two/data/secret"), below("root/.supervisor"), below("elsewhere"), "/root", "/home", "/tmp",
		"/etc/shadow", fmt.Sprintf("/proc/%d/root/", os.Getpid()),
	}
	var tried [][2]string
	want := map[string]string{}
	try := func(what, argument, result string) {
		tried = append(tried, [2]string{what, argument})
		want[what+" "+argument] = result
	}
	for _, path := range secrets {
		try("read", path, "EACCES")
	}
	try("write", below("elsewhere/new"), "EACCES")
	try("write", below("fonts/new"), "EACCES")
	try("read", below("fonts/font"), "done")
	try("write", below("media/new-"+user), "done")
	try("write", below("root/one/data/upload"), "done")
	try("read", "/etc/hosts", "done")
	try("read", "/usr/bin", "done")
	try("temporary", "", "done")
	try("package", "sandboxed_demo", "done")
	asked, err := json.Marshal(tried)
	if err != nil {
		t.Fatal(err)
	}
	as := ""
	if user != "" {
		as = "user = " + strconv.Quote(user)
	}
	command := func(name string) string {
		return fmt.Sprintf(`["{python}", "{app}/api_settings/attempts.py", "{data}", %q, %q]`, name, asked)
	}
	w.SetBuilds(One(`migrate = true`, `check = true`, as, `wsgi = "api_settings.attempts:application"`,
		`steps = { after_migrate = [`+command("step")+`] }`,
		`hooks = { after_swap = ["/bin/sh", "-c", "cat $0/hook-secret >$1/hook 2>&1; echo $? >>$1/hook; mv $1/hook $1/hook-done", `+strconv.Quote(below("elsewhere"))+`, `+strconv.Quote(below("root/one/data"))+`] }`,
		fmt.Sprintf(`sandbox = { enabled = true, read = [%q], write = ["media"] }`, below("fonts"))), Entry("two", `wsgi = "api_settings.attempts:application"`, "no_new_privs = false"))
	write(below("elsewhere/hook-secret"), "secret")
	w.Start()
	one := w.WaitState("one", "running")
	w.WaitState("two", "running")
	write(w.Data("two", "secret"), "x")

	ask := func(name string, tried any) map[string]string {
		t.Helper()
		text, err := json.Marshal(tried)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		answer := MustAsk(t, "unix", w.Socket(name), "/attempt?"+strings.NewReplacer("%", "%25", " ", "%20").Replace(string(text)))
		if err := json.Unmarshal([]byte(answer.Body), &said); err != nil {
			t.Fatalf("%v: %+v", err, answer)
		}
		return said
	}
	compare := func(where string, said map[string]string) {
		t.Helper()
		for what, result := range want {
			if said[what] != result {
				t.Errorf("%s: %s: %s, want %s", where, what, said[what], result)
			}
		}
	}
	// Without a sandbox the neighbour reads what is there.
	if said := ask("two", [][2]string{{"read", w.File}, {"read", below("root/one/data/upload")}}); os.Geteuid() == 0 && (said["read "+w.File] != "done" || said["read "+below("root/one/data/upload")] != "done") {
		t.Errorf("the build without a sandbox: %v", said)
	}
	compare("the server", ask("one", tried))
	log := fmt.Sprintf("/proc/%d/fd/1", one.Pid)
	said := ask("one", [][2]string{{"shorten", "1"}, {"shorten", "2"}, {"write", "/proc/self/fd/1"}, {"command", below("root/.supervisor/control.sock")}, {"signal", strconv.Itoa(os.Getpid())}})
	for what, result := range said {
		if result != "EACCES" && result != "EPERM" {
			t.Errorf("the server: %s: %s", what, result)
		}
	}
	if info, err := os.Stat(log); os.Geteuid() == 0 && (err != nil || info.Size() == 0) {
		t.Errorf("the log: %v, %v", info, err)
	}
	step := map[string]string{}
	if err := json.Unmarshal([]byte(readAll(w.Data("one", "step"))), &step); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{below("root/two/current/"), below("root/two/data"), below("root/two/data/secret")} {
		delete(want, "read "+path) // may not have been there yet
	}
	compare("a step", step)
	Eventually(t, 30*time.Second, "the hook", func() (bool, string) {
		text := readAll(w.Data("one", "hook-done"))
		return strings.Contains(text, "Permission denied"), text
	})

	// A crash and an edit of the list, in the box and out of it.
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	if said := ask("one", [][2]string{{"read", w.File}}); said["read "+w.File] != "EACCES" {
		t.Errorf("after a crash: %v", said)
	}
	w.Replace(w.File, below("fonts")+`"]`, below("fonts")+`", "elsewhere"]`, Overwrite)
	Eventually(t, 60*time.Second, "the edit of the list", func() (bool, string) {
		said := ask("one", [][2]string{{"read", below("elsewhere")}})
		return said["read "+below("elsewhere")] == "done", fmt.Sprint(said)
	})
	w.Stop()
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("left after the stop: %v", left)
	}
}

// TestMainJobInASandbox is the main job, with every build in a sandbox.
func TestMainJobInASandbox(t *testing.T) {
	t.Parallel()
	if _, err := sandbox.Here(); err != nil {
		t.Skip(err)
	}
	w := exampleWorld(t)
	w.Replace(w.File, "[defaults]\n", "[defaults]\nsandbox = { enabled = true }\ncollectstatic = true\n", Overwrite)
	mainJob(t, w)
}

// TestSandboxWithoutLandlockIsRefused on a kernel without it: a build is not started in less than it
// asks for, and the others are.
func TestSandboxWithoutLandlockIsRefused(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`sandbox.enabled = true`), Entry("two"))
	w.Without = []oldkernel.Feature{oldkernel.Landlock}
	w.Start()
	w.WaitState("two", "running")
	w.waitReason("one", "sandbox.enabled = true", "Linux 5.13")
	if _, err := os.Lstat(filepath.Join(w.Root, "one", "current")); err == nil {
		t.Error("the build has a release")
	}
}
