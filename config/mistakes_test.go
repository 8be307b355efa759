package config

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestMistakesAreReportedAtTheirPlaceAllAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad(`
»rooot = 1
root = »["x"]
»workers = 3
[supervisor]
log_level = »"warm"
log_format = »1
max_parallel_builds = »0
»log_fromat = "json"
front = »"8080"
»root = "run"
log_dir = »""
[defaults]
source = »"nowhere"
»name = "x"
health = »3
»health_ = {}
[[build]]
name = »"One"
workers = »"two"
»worker = 1
[build.health]
»paths = "/"
expect = »"ok"
»[[build]]
workers = »999999999999999999
[[build]]
name = "two" # é
location = "/api"
env = { "é" = »"x", "1A" = »"1" , B = "1" }
`,
		`unknown key rooot; did you mean "root"?`, `root = ["x"]: want a text in quotes`, "unknown key workers; workers belongs to [[build]]",
		`log_level = "warm": want one of "trace", "debug", "info", "warn", "error"; did you mean "warn"?`, "log_format = 1: want one of",
		"max_parallel_builds = 0: want a whole number from 1 to 64", `did you mean "log_format"?`, `want an address such as`,
		"root belongs above the first [table]", "want a path", "there is no such folder", "name in [defaults]", "health = 3: want a table, [defaults.health]",
		`unknown key health_; did you mean "health"?`, `name = "One": want small letters`, `workers = "two": want a whole number`,
		`unknown key worker; did you mean "workers"?`, `unknown key paths; did you mean "path"?`, `expect = "ok": want HTTP statuses`,
		"name is missing", "workers = 999999999999999999: want", "env.", "env.")
}

// Each line belongs to a build that is valid otherwise.
func TestValuesAreRefusedWithWhatWasExpected(t *testing.T) {
	t.Parallel()
	dir := newSite(t).dir // of all: to make one takes longer than to load a file
	for _, c := range []struct{ line, words string }{
		{`source = »""`, "not empty"},
		{`source = »"src/requirements.txt"`, "no such folder"},
		{`source = »"a\nb"`, "without control characters"},
		{`app_dir = »"../src/API"`, "inside source"},
		{`app_dir = »"/API"`, "inside source"},
		{`app_dir = »"api"`, "there is no file"},
		{`requirements = »"../requirements.txt"`, "inside source"},
		{`requirements = »"API"`, "API, but a folder"},
		{`settings_dir = »"../settings"`, "Python module names"},
		{`settings_dir = »"api-settings"`, "Python module names"},
		{`settings_dir = »"/api_settings"`, "Python module names"},
		{`settings_dir = »""`, "Python module names"},
		{`wsgi = »"../wsgi:application"`, "a module and its application"},
		{`wsgi = »"a.b:"`, "a module and its application"},
		{`wsgi = »"-c x"`, "a module and its application"},
		{`location = »"api"`, "a URL prefix"},
		{`location = »"/api/"`, "a URL prefix"},
		{`location = »"//"`, "a URL prefix"},
		{`location = »"/.."`, "a URL prefix"},
		{`location = »"/a/./b"`, "a URL prefix"},
		{`location = »"/a b"`, "a URL prefix"},
		{`location = »"/{x}"`, "a URL prefix"},
		{`python = »"python9.99"`, "there is no such program"},
		{`python = »"src"`, "there is no such program"},
		{`python = »"./python3"`, "there is no such program"},
		{`python = »""`, "not empty"},
		{`system_site_packages = »"yes"`, "want true or false"},
		{`migrate = »1`, "migrate = 1: want true, false or a list of databases"},
		{`pip_args = »"-q"`, "want texts in quotes"},
		{`pip_args = ["-q", »3]`, "pip_args[1] = 3: want texts in quotes"},
		{`pip_args = ["-q", »"\u0000"]`, "NUL"},
		{`workers = »0`, "from 1 to 64"},
		{`workers = »65`, "from 1 to 64"},
		{`workers = »2.0`, "want a whole number"},
		{`workers = »1979-05-27`, "want a whole number"},
		{`workers = »"""` + "\n" + `two"""`, "want a whole number"},
		{`threads = »-1`, "from 1 to 256"},
		{`worker_class = »"gthreed"`, `did you mean "gthread"?`},
		{`worker_class = »"no such"`, "dotted path"},
		{`timeout = »30`, `want a time such as "30s"`},
		{`timeout = »"30"`, `want a time such as "30s"`},
		{`timeout = »"0s"`, "from 1s to 24h"},
		{`timeout = »"-30s"`, "from 1s to 24h"},
		{`timeout = »"9999999h"`, "want a time such as"},
		{`graceful_timeout = »"2h"`, "from 1s to 1h"},
		{`command = »"gunicorn"`, "want texts in quotes"},
		{`command = [»""]`, "a program"},
		{`command = ["x", »"{pyton}/{app}"]`, `command[1] = "{pyton}/{app}": want in braces one of {python} {venv} {release} {app} {data} {private}; did you mean "{python}"?`},
		{`command = [»"{home}", »"{root}"]`, "in braces one of"},
		{`env = »"A=1"`, `env = "…": want texts in quotes`},
		{`env = { A = »1 }`, `env.A = "…"`},
		{`env = { A = »["x"] }`, `env.A = "…"`},
		{`»env.A.B = "x"`, `env.A = "…"`},
		{`env = { "A B" = »"x" }`, `env."A B" = "…": want a name of letters`},
		{`env = { LISTEN_FDS = »"x" }`, "the supervisor's"},
		{`env = { MEDCTRL_DATA = »"x" }`, "the supervisor's"},
		{`env = { VIRTUAL_ENV = »"/x", NOTIFY_SOCKET = »"/x", SPT_NOENV = »"1", WATCHDOG_USEC = »"1" }`, "the supervisor's"},
		{`env = { DJANGO_SETTINGS_MODULE = »"api_settings.settings.deploy_one" }`, "env.DJANGO_SETTINGS_MODULE = \"…\": want it left out: the supervisor sets it, from settings_dir"},
		{`env = { GUNICORN_CMD_ARGS = »"-D" }`, "gunicorn_args"},
		{`env = { A = »"a\u0000" }`, "NUL"},
		{`env_file = »"none"`, "no such file"},
		{`env_file = »"src"`, "not a regular file"},
		{`env_file = »3`, "a text in quotes"},
		{`user = »"no such user"`, "a user of this system"},
		{`group = »"no such group"`, "a group of this system"},
		{`umask = »23`, "an octal mode in quotes"},
		{`umask = »"0o027"`, "an octal mode in quotes"},
		{`umask = »"0028"`, "an octal mode in quotes"},
		{`umask = »"0000"`, "writable by everybody"},
		{`umask = »"0777"`, "the owner all rights"},
		{`socket_mode = »"1660"`, "an octal mode in quotes"},
		{`socket_mode = »"0770"`, "without x"},
		{`socket_mode = »"0666"`, "not everybody"},
		{`socket_mode = »"0060"`, "its owner may connect"},
		{`autostart = »"no"`, "true or false"},
		{`restart = »"alway"`, `did you mean "always"?`},
		{`restart = »true`, "one of"},
		{`restart_delay_max = »"0s"`, "from 1s"},
		{`stable_after = »"0s"`, "from 1ms"},
		{`watch_source = »0`, "true or false"},
		{`keep_releases = »0`, "from 1"},
		{`step_timeout = »"25h"`, "to 24h"},
		{`health.path = »"up"`, "a URL path"},
		{`health.path = »"//host/x"`, "a URL path"},
		{`health.path = »"/%zz"`, "a URL path"},
		{`health.path = »"/a b"`, "a URL path"},
		{`health.path = »"/#top"`, "a URL path"},
		{`health.host = »"a/b"`, "a host name"},
		{`health.host = »""`, "a host name"},
		{`health.expect = »"<100"`, "HTTP statuses"},
		{`health.expect = »"399-200"`, "HTTP statuses"},
		{`health.expect = »"600"`, "HTTP statuses"},
		{`health.expect = »"2 00"`, "HTTP statuses"},
		{`health.expect = »200`, "HTTP statuses"},
		{`health.interval = »"1ms"`, "from 10ms"},
		{`health.timeout = »"0s"`, "from 10ms"},
		{`health.failures = »0`, "from 1"},
		{`health.start_timeout = »"1ms"`, "from 100ms"},
		{`health = »[]`, "want a table, [build.health]"},
		{`limits.memory = »"1Q"`, `a size such as "512M"`},
		{`limits.memory = »"1K"`, `at least "4M"`},
		{`limits.memory = »0`, `a size such as "512M"`},
		{`limits.memory = »-1`, `a size such as "512M"`},
		{`limits.memory = »"1e3M"`, `a size such as "512M"`},
		{`limits.memory = »"9999999T"`, `a size such as "512M"`},
		{`limits.cpu = »"1.5"`, "a number of processors"},
		{`limits.cpu = »0`, "a number of processors"},
		{`limits.cpu = »nan`, "a number of processors"},
		{`limits.cpu = »inf`, "from 0.01 to 4096"},
		{`limits.tasks = »1`, "from 2 to"},
		{`limits.tasks = »0`, "a whole number above 0"},
		{`limits.tasks = »1.5`, "a whole number above 0"},
		{`limits.core = »"none of it"`, "100M"},
		{`»limits.memori = "1G"`, `did you mean "memory"?`},
		{`limits = { nofile = »3 }`, "from 32 to"},
		{`»nofile = 3`, "nofile belongs to [build.limits]"},
		{`limits = »3`, "want a table, [build.limits]"},
		{`sandbox = { enabled = »1 }`, "want true or false"},
		{`sandbox.read = [»""]`, "a path, which may begin with {app}"},
		{`sandbox.write = [»"{home}/x"]`, "a path, which may begin with {app}"},
		{`sandbox.write = [»"{data}/{app}"]`, "a path, which may begin with {app}"},
		{`sandbox.write = »["media"]`, "there is no such file or folder"},
		{`sandbox.write = »["."]`, "which keeps the builds apart"},
		{`sandbox.connect = »[0]`, "TCP ports from 1 to 65535"},
		{`sandbox.connect = »[3306, 3306]`, "each of them once"},
		{`sandbox.bind = »8000`, "TCP ports from 1 to 65535"},
		{`»sandbox.enable = true`, `did you mean "enabled"?`},
		{`»connect = [1]`, "connect belongs to [build.sandbox]"},
		{`hooks.after_swap = »["", "x"]`, "a program and its arguments"},
		{`hooks.on_recovery = ["x", »"{pyton}"]`, `on_recovery[1] = "{pyton}": want in braces one of {python} {venv} {release} {app} {data}; did you mean "{python}"?`},
		{`hooks.on_failure = ["x", »"a\u0000"]`, "no NUL byte"},
		{`»hooks.on_failur = ["x"]`, `did you mean "on_failure"?`},
		{`»"a\nb" = 1`, `unknown key "a\nb"`},
		{`»Workers = 1`, `did you mean "workers"?`},
		{`»log_level = "info"`, "log_level belongs to [supervisor]"},
		{`»interval = "1s"`, "interval belongs to [build.health]"},
	} {
		t.Run(c.line, func(t *testing.T) {
			var words []string
			for range strings.Count(c.line, "»") {
				words = append(words, c.words)
			}
			site{t, dir}.bad(one+c.line+"\n", words...)
		})
	}
}

func TestGunicornArgsThatFightTheSupervisorAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range []string{
		`»"--bind", "x"`, `»"--bind=x"`, `»"--bin=x"`, `»"--bi", "x"`, `»"-b", "x"`, `»"-b0.0.0.0:80"`, `»"-Rb", "x"`, `"-R", »"-b", "x"`, `»"-bx=y"`,
		`»"-p", "x"`, `»"--pid", "x"`, `»"--pi=x"`, `»"-D"`, `»"-RD"`, `»"--daemon"`, `»"--da"`, `»"-c", "x"`, `»"--config=x"`, `»"--conf", "x"`,
		`»"-w", "4"`, `»"-w4"`, `»"--workers=4"`, `»"-u", "x"`, `»"--user", "x"`, `»"-g", "x"`, `»"--group", "x"`, `»"-m", "0"`, `»"--umask=0"`,
		`»"--reload"`, `»"--reuse-port"`, `»"--control-socket", "x"`, `»"--chdir", "/"`, `»"--paste", "x"`, `»"--graceful-timeout=1"`,
		`»"--check-config"`, `»"--print-config"`, `»"-v"`, `»"--help"`, `»"other.wsgi"`, `"--log-level", "x", »"other.wsgi"`, `"--log-level=x", »"other.wsgi"`,
		`»"-e", "DJANGO_SETTINGS_MODULE=x"`, `»"-eDJANGO_SETTINGS_MODULE=x"`, `»"-ReLISTEN_FDS=2"`, `»"--env=MEDCTRL_DATA=/x"`, `»"--env", "DJANGO_SETTINGS_MODULE=x"`,
		`»"--", "other.wsgi"`, `»""`, `»"\u0000"`,
	} {
		s.bad(one+"gunicorn_args = ["+args+"]\n", "want")
	}
	s.bad(one+"gunicorn_args = [»\"-b\", \"x\", »\"--pid=y\"]\n", "no --bind: the supervisor makes the socket", "no --pid: the supervisor knows")
	s.good(one + `gunicorn_args = ["--max-requests", "1000", "--max-requests-jitter=100", "-t", "30", "--preload", "--worker-connections", "10",
		"--worker-tmp-dir", "/dev/shm", "--log-config", "x", "--backlog=3", "-k", "sync", "-e", "A=b", "--access-logfile", "-", "--pythonpath", "/x"]` + "\n")
}

func TestNamesAndLocationsAreUnique(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad(one+"location = '/a'\n[[build]]\nname = »'one'\nlocation = »'/a'\n[[build]]\nname='two'\nlocation = '/a/b'\n[[build]]\nname='three'\n",
		`name = "one": the build in line 6 has it already`, `location = "/a": the build in line 7 has it already`)
	s.bad(head+"location = '/a'\n[[build]]\nname = 'one'\n»[[build]]\nname='two'\n[[build]]\nname='three'\nlocation='/b'", "the build in line 6 has it already")
}

func TestNamesThatBreakAPathAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"", ".", "..", "a/b", "../a", "_a", "a-b", "a.b", "A", "é", "a b", "a\\n", ".supervisor", strings.Repeat("a", 33)} {
		s.bad(head+"[[build]]\nname = »\""+name+"\"\n", "small letters, digits and _")
	}
	s.bad(head+"[[build]]\nname = »3\n", "small letters")
	s.write("src/API/api_settings/settings/deploy_"+strings.Repeat("a", 32)+".py", "")
	s.good(head + "[[build]]\nname = \"" + strings.Repeat("a", 32) + "\"\n")
}

func TestSocketPathsFitTheirAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	long := s.path("") + "/" + strings.Repeat("r", 107-len(s.path(""))-len("//.supervisor/control.sock"))
	s.good(strings.Replace(one, "run", long, 1))
	s.write("src/API/api_settings/settings/deploy_aaaaaaaaaaaaaaaa.py", "")
	s.bad(strings.Replace(head, "run", long, 1)+"[[build]]\nname = »\"aaaaaaaaaaaaaaaa\"\n", "and may have 107: choose a shorter root or name")
	s.bad("root = »\""+long+"r\"\n", "the path of the control socket in it would have 108 bytes")
}

func TestWhatABuildNamesMustBeThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad("root = \"run\"\n»[[build]]\nname = \"one\"\npython = \"bin/python3\"", "source is missing: want the checkout")
	s.bad(head+"[[build]]\nname = »\"four\"\n", `build "four" has no settings file: want `+s.path("src/API/api_settings/settings/deploy_four.py"))
	if err := os.Remove(s.path("src/requirements.txt")); err != nil {
		t.Fatal(err)
	}
	s.bad(head+"»[[build]]\nname = \"one\"\n", "there is no file "+s.path("src/requirements.txt"))
	if err := os.Remove(s.path("src/API/manage.py")); err != nil {
		t.Fatal(err)
	}
	s.bad(head+"app_dir = »\"API\"\nrequirements = »\"requirements.txt\"\n[[build]]\nname = \"one\"\n[[build]]\nname = \"two\"\n", "manage.py", "requirements.txt")
}

func TestPyprojectStandsInForRequirementsThatNobodyNames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.Remove(s.path("src/requirements.txt")); err != nil {
		t.Fatal(err)
	}
	all := []string{s.path("src/requirements.txt"), s.path("src/pyproject.toml"), s.path("src/API/pyproject.toml")}
	s.bad(head+"»[[build]]\nname = \"one\"\n", strings.Join(all, ", nor "))
	s.bad(head+"[[build]]\nname = \"one\"\nrequirements = »\"\"\n", strings.Join(all[1:], ", nor "))
	for _, path := range []string{"src/API/pyproject.toml", "src/pyproject.toml"} {
		s.write(path, "")
		for _, line := range []string{"", "requirements = \"\"\n", "requirements = \"" + strings.TrimPrefix(path, "src/") + "\"\n"} {
			c, err := Load(s.write("builds.toml", head+"[[build]]\nname = \"one\"\n"+line))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Builds[0].RequirementsFile(); got != s.path(path) {
				t.Errorf("%q: the requirements are in %s, want %s", line, got, s.path(path))
			}
		}
		s.bad(head+"[[build]]\nname = \"one\"\nrequirements = »\"requirments.txt\"\n", "there is no file "+s.path("src/requirments.txt"))
	}
}

func TestAMistakeInDefaultsIsSaidOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad("root='run'\n[defaults]\nsource = »'nowhere'\npython = »'nopython'\nenv_file = »'noenv'\n[[build]]\nname='one'\n[[build]]\nname='two'\n",
		"nowhere", "nopython", "noenv")
}

func TestRootIsAFolderOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad("»", "root is missing")
	for text, words := range map[string]string{
		`root = »""`: "a path", `root = »"/"`: "a folder of its own", `root = »"builds.toml"`: "a folder", `root = »3`: "a text in quotes",
		`root = »{}`: "a text in quotes", `root = »"a\u0000"`: "control characters",
	} {
		s.bad(text, words)
	}
	if err := os.Mkdir(s.path("open"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.path("open"), 0o777); err != nil {
		t.Fatal(err)
	}
	s.bad(`root = »"open"`, "everybody may write there")
	if err := os.Chmod(s.path("open"), 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	s.good(`root = "open"`)
}

func TestRootAndSourceAreApart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.Symlink("src", s.path("link")); err != nil {
		t.Fatal(err)
	}
	apart := func(root, source string) string {
		return "root = \"" + root + "\"\n[defaults]\npython = \"bin/python3\"\nsource = »\"" + source + "\"\n[[build]]\nname = \"one\"\n"
	}
	for _, root := range []string{"src/API", "src/API/run", "src", ".", "link/API/run"} {
		s.bad(apart(root, "src"), "one may not be inside the other")
		s.bad(apart(root, "link"), "one may not be inside the other")
	}
	inside := strings.Replace(one, "run", "src/run", 1)
	s.good(inside)
	s.bad(inside+"watch_source = »true\n", "changes with every build")
}

func TestTextThatIsNoTOMLIsPlaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for text, words := range map[string]string{
		one + "workers = 1\n»workers = 2\n": "workers",
		one + "workers = »\n":               "expected value",
		one + "name»\n":                     "expected",
		one + "a = \"é\" »x\n":              "expected a top-level item",
		one + "a = \"»\\q\"\n":              "invalid escape",
		one + "a = \"x»\n":                  "strings cannot contain newlines",
		one + "a\n»":                        "",
		"root = 'x'\n»[[build]\nname = 1":   "",
	} {
		text, _ := unmark(text)
		_, err := s.load(text)
		var errs Errors
		if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(errs[0].Msg, words) {
			t.Errorf("%q says %v, want %q", text, err, words)
		}
		inFile(t, text, errs)
	}
	s.bad(one+"workers = 1\n»workers = 2\n", "Key 'build.workers' has already been defined")
	s.bad(one+"a = \"é\"» x\n", "expected a top-level item to end with a newline")
}

// inFile fails if an error is about a place outside the file.
func inFile(t testing.TB, text string, errs Errors) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, e := range errs {
		if e.Line < 1 || e.Col < 1 || e.Line > len(lines) || e.Col > len([]rune(lines[e.Line-1]))+1 {
			t.Errorf("an error of %q is at %d:%d: %s", text, e.Line, e.Col, e.Msg)
		}
	}
}

func TestBytesThatAreNoTextArePlaced(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bad(one+"# é»\xff\n", "not UTF-8 text")
	s.bad(one+"»\xc3", "not UTF-8 text")
	s.bad(one+"# a»\x00\n", "NUL byte")
	s.bad("r»\x00o\x00o\x00t\x00", "NUL byte")
	s.bad(one+"#» \x01\n", "control characters")
}

// The TOML library recurses: such a file once used up all memory and ended the program, with
// everything running.
func TestFileThatIsTooDeepOrTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const much = 150_000
	for _, text := range []string{
		"x = " + strings.Repeat("[", much), "x = " + strings.Repeat("{a=", much), strings.Repeat("a.", much) + "a = 1",
		"[" + strings.Repeat("a.", much) + "a]", "x = " + strings.Repeat("[{a=", much), strings.Repeat("k", much) + " = 1", "\"" + strings.Repeat("k", much) + "\" = 1",
		"[" + strings.Repeat("k", much) + "]\nx = [" + strings.Repeat("1,", much) + "]",
	} {
		_, err := s.load(text)
		var errs Errors
		if !errors.As(err, &errs) || len(errs) != 1 || !strings.Contains(errs[0].Msg, "nested too deep") {
			t.Errorf("%.20s… says %.200v", text, err)
		}
		inFile(t, text, errs)
	}
	s.bad("»#"+strings.Repeat("x", maxFile), "larger than 1 MiB")
	s.good(one + "#" + strings.Repeat("x", maxFile-len(one)-1))
	_, err := s.load("x = " + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "\n" + one)
	if err == nil || strings.Contains(err.Error(), "deep") {
		t.Errorf("20 deep says %v", err)
	}
}

func TestWhatIsNoFileIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := syscall.Mkfifo(s.path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", s.path("loop")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.path("fifo"), s.path("src"), s.path("none"), s.path("loop"), "/dev/zero"} {
		for what, load := range map[string]func(string) error{
			"Load":   func(p string) error { _, err := Load(p); return err },
			"Check":  func(p string) error { _, err := Check(p); return err },
			"RootOf": func(p string) error { _, err := RootOf(p); return err },
		} {
			var errs Errors
			if err := load(path); err == nil || errors.As(err, &errs) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %s returns %v", what, path, err)
			}
		}
	}
	s.bad(one+"env_file = »\"fifo\"\n", "not a regular file")
}

func TestFileThatMayNotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	if asNobody(t) {
		return
	}
	s := newSite(t)
	if err := os.Chmod(s.write("builds.toml", one), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(s.path("builds.toml")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("returns %v", err)
	}
}

// asNobody runs the test once more, as a user without rights, where this one is root, and reports
// whether it did: then the rest of it has been run.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getuid() != 0 {
		return false
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	again.Dir = "/"
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return true
}

func TestCheckAddsWhatIsLeftOfTheTemplate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("src/API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'random secret key'\n")
	s.good(one)
	_, err := Check(s.write("builds.toml", one+"workers = 0\n"))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 2 || errs[0].File != s.path("builds.toml") || errs[1].File != path || errs[1].Line != 1 || errs[1].Col != 15 {
		t.Errorf("Check returns %v", err)
	}
}
