package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// looked writes a builds.toml with these lines of its one build, and returns what is wrong with it.
func looked(t *testing.T, python os.FileMode, requirements, head, lines string) (wrong, warnings config.Errors) {
	t.Helper()
	dir, err := os.MkdirTemp("", "l") // a short path: that of a socket begins with it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"src/requirements.txt": requirements, "src/API/manage.py": "", "src/API/settings/deploy_one.py": "", "src/API/plain": ""} {
		write(t, filepath.Join(dir, name), text, 0o644)
	}
	write(t, filepath.Join(dir, "bin/python3"), "#!/bin/sh\n", python)
	write(t, filepath.Join(dir, "bin/mine"), "#!/bin/sh\n", 0o700)
	write(t, filepath.Join(dir, "src/API/run"), "#!/bin/sh\n", 0o755)
	file := filepath.Join(dir, "builds.toml")
	write(t, file, fmt.Sprintf("root = \"root\"\n%s\n[[build]]\nname = \"one\"\nsource = \"src\"\nsettings_dir = \"settings\"\npython = \"bin/python3\"\n%s", head, strings.ReplaceAll(lines, "DIR", dir)), 0o644)
	cfg, err := config.Check(file)
	var errs config.Errors
	if err != nil && !errors.As(err, &errs) {
		t.Fatal(err)
	}
	more, warnings := Look(t.Context(), cfg, []string{"PATH=/usr/bin:/bin"})
	warnings = slices.DeleteFunc(warnings, isAsRoot)
	return append(errs, more...).Sorted(), warnings
}

// isAsRoot says that a warning is that of a build that runs as root, as it does where the tests do.
func isAsRoot(w config.Error) bool { return strings.HasPrefix(w.Msg, "no user is set") }

func TestReplicasThatAreNotProbedByThemselvesAreAWarning(t *testing.T) {
	t.Parallel()
	for lines, warned := range map[string]string{
		"": "",
		`command = ["{python}", "-m", "gunicorn", "x:y"]`:                                                                       "",
		`command = ["{venv}/bin/uvicorn", "--fd", "3", "x:y"]`:                                                                  "uvicorn is probed",
		`command = ["{python}", "-m", "hypercorn", "--bind", "fd://3", "x:y"]`:                                                  "hypercorn is probed",
		`command = ["{python}", "-m", "hypercorn", "--bind", "fd://3", "--bind", "fd://{private}"]`:                             "",
		`command = ["{python}", "-c", "import waitress; waitress.serve(a, sockets=[s(3)])"]`:                                    "waitress is probed",
		`command = ["{python}", "-c", "import mine; mine.serve(a, sockets=[s(3), s({private})])"]`:                              "",
		`command = ["{python}", "-u", "serve.py"]`:                                                                              "serve.py is probed",
		`command = ["daphne", "--endpoint", "systemd:domain=UNIX:index=0", "x:y"]`:                                              "daphne is probed",
		`command = ["daphne", "--endpoint", "systemd:domain=UNIX:index=0", "--endpoint", "systemd:domain=UNIX:index=1", "x:y"]`: "",
	} {
		for _, replicas := range []int{1, 2} {
			_, warnings := looked(t, 0o755, "gunicorn\n", "", fmt.Sprintf("%s\nreplicas = %d\n", lines, replicas))
			i := slices.IndexFunc(warnings, func(w config.Error) bool { return strings.Contains(w.Msg, "that hangs") })
			if want := warned != "" && replicas > 1; (i >= 0) != want || want && (!strings.Contains(warnings[i].Msg, "replicas = 2: "+warned) || warnings[i].Line != 9) {
				t.Errorf("%s, %d: %v", lines, replicas, warnings)
			}
		}
	}
}

func TestPassedVariablesThatAreNotThereAreAWarning(t *testing.T) {
	t.Parallel()
	wrong, warnings := looked(t, 0o755, "gunicorn\n", "", "pass_env = [\"PATH\", \"DB_PASSWORD\", \"TOKEN\"]\n")
	if len(wrong) != 0 || len(warnings) != 1 || warnings[0].Line != 8 || !strings.HasPrefix(warnings[0].Msg, "pass_env: DB_PASSWORD, TOKEN: not in the environment here") {
		t.Errorf("wrong: %v, warnings: %v", wrong, warnings)
	}
}

func TestBuildsThatRunAsRootAreAWarning(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only what root starts can run as root")
	}
	for user, line := range map[string]int{"": 5, "user = \"root\"\n": 8, "user = \"nobody\"\n": 0} {
		dir := t.TempDir()
		for name, text := range map[string]string{"src/requirements.txt": "gunicorn\n", "src/API/manage.py": "", "src/API/settings/deploy_one.py": "", "src/API/settings/deploy_two.py": ""} {
			write(t, filepath.Join(dir, name), text, 0o644)
		}
		file := filepath.Join(dir, "builds.toml")
		write(t, file, "root = \"/run/x\"\n[defaults]\nsource = \"src\"\n[[build]]\nname = \"one\"\nsettings_dir = \"settings\"\npython = \"sh\"\n"+
			user+"[[build]]\nname = \"two\"\nsettings_dir = \"settings\"\npython = \"sh\"\n"+user, 0o644)
		cfg, err := config.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		_, warnings := Look(t.Context(), cfg, []string{"PATH=/usr/bin:/bin"})
		warnings = slices.DeleteFunc(warnings, func(w config.Error) bool { return !isAsRoot(w) })
		if line == 0 && len(warnings) != 0 || line > 0 && (len(warnings) != 1 || warnings[0].Line != line || !strings.Contains(warnings[0].Msg, "one, two")) {
			t.Errorf("%q: %v, want line %d", user, warnings, line)
		}
	}
}

func TestWhatCanBeSeenWithoutStartingAnythingIsSeen(t *testing.T) {
	t.Parallel()
	const at = 8 // the first of the lines
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		requirements, lines string
		asRoot              bool
		line                int
		words               []string
	}{
		"nothing":               {"gunicorn\n", "", false, 0, nil},
		"no gunicorn":           {"Django\n", "", false, 4, []string{"gunicorn is not in requirements.txt"}},
		"named requirements":    {"Django\n", "workers = 1\nrequirements = \"requirements.txt\"\n", false, at + 1, []string{"gunicorn is not in requirements.txt"}},
		"another server":        {"Django\n", "command = [\"uvicorn\"]\n", false, 0, nil},
		"unreadable command":    {"Django\n", "command = [uvicorn\n", false, at, []string{"expected"}},
		"with another":          {"Django\n", "workers = \"two\"\n", false, 4, []string{"gunicorn is not in", "want a whole number"}},
		"the system's":          {"Django\n", "system_site_packages = true\n", false, 0, nil},
		"a hook":                {"gunicorn\n", "hooks.after_swap = [\"/no/such\"]\n", false, at, []string{"there is no such program"}},
		"a hook by its name":    {"gunicorn\n", "hooks.on_failure = [\"no-such-program\"]\n", false, at, []string{"PATH"}},
		"hooks that are":        {"gunicorn\n", "hooks.on_failure = [\"sh\"]\nhooks.after_swap = [\"/bin/sh\"]\n", false, 0, nil},
		"a step":                {"gunicorn\n", "steps.after_migrate = [[\"{python}\"], [\"tool\"], [\"./x\"], [\"{data}/x\"], [\"/no/such\"]]\n", false, at, []string{"there is no such program"}},
		"a step of the app":     {"gunicorn\n", "steps.before_migrate = [[\"{app}/run\"], [\"{app}/missing\"]]\n", false, at, []string{"there is no file"}},
		"a step without x":      {"gunicorn\n", "steps.before_migrate = [[\"{app}/plain\"]]\n", false, at, []string{"not executable"}},
		"a command":             {"gunicorn\n", "command = [\"/no/such\"]\n", false, at, []string{"there is no such program"}},
		"another's interpreter": {"gunicorn\n", "user = \"nobody\"\n", true, 7, []string{"may not execute"}},
		"another's hook":        {"gunicorn\n", "hooks.after_swap = [\"DIR/bin/mine\"]\nuser = \"nobody\"\n", true, at, []string{"may not execute"}},
	} {
		if c.asRoot && !root {
			continue
		}
		python := os.FileMode(0o755)
		if name == "another's interpreter" {
			python = 0o700
		}
		wrong, warnings := looked(t, python, c.requirements, "", c.lines)
		if len(wrong) != len(c.words) || len(warnings) > 0 || len(wrong) > 0 && wrong[0].Line != c.line {
			t.Errorf("%s: %v, warnings %v, want line %d, %q", name, wrong, warnings, c.line, c.words)
			continue
		}
		for i, words := range c.words {
			if !strings.Contains(wrong.Error(), words) {
				t.Errorf("%s: %v, want %q", name, wrong[i], words)
			}
		}
	}
}

// The steps are started in folders below root, and in the source.
func TestFoldersThatTheBuildsUserMayNotEnterAreMistakes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives a build another user")
	}
	for _, shut := range []string{"outer", "outer/root", "src"} {
		dir, err := os.MkdirTemp("", "l")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "src/requirements.txt"), "gunicorn\n", 0o644)
		write(t, filepath.Join(dir, "src/API/manage.py"), "", 0o644)
		write(t, filepath.Join(dir, "src/API/settings/deploy_one.py"), "", 0o644)
		file := filepath.Join(dir, "builds.toml")
		write(t, file, "root = \"outer/root\"\n[[build]]\nname = \"one\"\nsource = \"src\"\nsettings_dir = \"settings\"\npython = \"/bin/sh\"\nuser = \"nobody\"\n", 0o644)
		if err := os.MkdirAll(filepath.Join(dir, "outer/root"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, shut), 0o700); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		wrong, _ := Look(t.Context(), cfg, []string{"PATH=/usr/bin:/bin"})
		line := 1
		if shut == "src" {
			line = 4
		}
		if len(wrong) != 1 || wrong[0].Line != line || !strings.Contains(wrong[0].Msg, "may not enter "+filepath.Join(dir, shut)+": chmod o+x") {
			t.Errorf("%s: %v", shut, wrong)
		}
	}
}

func TestBuildsWithOneStaticRootAreAMistake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		one, two, keys string
		wrong          bool
	}{
		"the same":               {"STATIC_ROOT = '/srv/static'\n", "STATIC_ROOT = '/srv/static/'\n", "", true},
		"one in the other":       {"STATIC_ROOT = '/srv/static'\n", "STATIC_ROOT = '/srv/static/two'\n", "", true},
		"of both, from common":   {"from .common import *\n", "from .common import *\n", "", true},
		"two":                    {"STATIC_ROOT = '/srv/one'\n", "STATIC_ROOT = '/srv/two'\n", "", false},
		"one is not known":       {"STATIC_ROOT = '/srv/static'\n", "STATIC_ROOT = os.environ['STATIC']\n", "", false},
		"one collects nothing":   {"STATIC_ROOT = '/srv/static'\n", "STATIC_ROOT = '/srv/static'\n", "collectstatic = false\n", false},
		"names that begin alike": {"STATIC_ROOT = '/srv/static'\n", "STATIC_ROOT = '/srv/static2'\n", "", false},
	} {
		dir, err := os.MkdirTemp("", "l")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		for file, text := range map[string]string{
			"requirements.txt": "gunicorn\n", "API/manage.py": "", "API/settings/common.py": "STATIC_ROOT = '/srv/static'\n",
			"API/settings/deploy_one.py": c.one, "API/settings/deploy_two.py": c.two,
		} {
			write(t, filepath.Join(dir, "src", file), text, 0o644)
		}
		file := filepath.Join(dir, "builds.toml")
		write(t, file, "root = \"root\"\n[defaults]\nsource = \"src\"\nsettings_dir = \"settings\"\npython = \"/bin/sh\"\ncollectstatic = true\n[[build]]\nname = \"one\"\n[[build]]\nname = \"two\"\n"+c.keys, 0o644)
		cfg, err := config.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		wrong, _ := Look(t.Context(), cfg, []string{"PATH=/usr/bin:/bin"})
		if (len(wrong) == 1) != c.wrong || len(wrong) > 1 || c.wrong && (!strings.Contains(wrong[0].Msg, "STATIC_ROOT of the build two is /srv/static") || wrong[0].Line != 6) {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

func TestStaticRootThatCannotBeWrittenIsAMistake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	for root, wrong := range map[string]bool{taken: true, filepath.Join(taken, "static"): true, filepath.Join(dir, "static/new"): false, filepath.Join(dir, "src/API/static"): false} {
		for file, text := range map[string]string{
			"taken": "", "src/requirements.txt": "gunicorn\n", "src/API/manage.py": "", "src/API/settings/deploy_one.py": "STATIC_ROOT = '" + root + "'\n",
		} {
			write(t, filepath.Join(dir, file), text, 0o644)
		}
		file := filepath.Join(dir, "builds.toml")
		write(t, file, "root = \"root\"\n[[build]]\nname = \"one\"\nsource = \"src\"\nsettings_dir = \"settings\"\npython = \"/bin/sh\"\ncollectstatic = true\n", 0o644)
		cfg, err := config.Check(file)
		if err != nil {
			t.Fatal(err)
		}
		found, _ := Look(t.Context(), cfg, []string{"PATH=/usr/bin:/bin"})
		if (len(found) == 1) != wrong || wrong && (!strings.Contains(found[0].Msg, "may not write to STATIC_ROOT, "+root) || found[0].Line != 7) {
			t.Errorf("%s: %v", root, found)
		}
	}
}

func TestATakenPortIsAWarning(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	wrong, warnings := looked(t, 0o755, "gunicorn\n", "[supervisor]\nfront = \""+ln.Addr().String()+"\"", "")
	if len(wrong) > 0 || len(warnings) != 1 || warnings[0].Line != 3 || !strings.Contains(warnings[0].Msg, "another program listens there") {
		t.Errorf("%v, warnings %v", wrong, warnings)
	}
}
