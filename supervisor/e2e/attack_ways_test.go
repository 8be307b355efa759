package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fourth is build "four": hostile code in every way in which a build has something run, without a sandbox.
type fourth struct {
	*arena
	source string
}

func (a *arena) fourth() fourth {
	a.t.Helper()
	open := filepath.Join(a.Dir, "open") // as /tmp: everybody may make something beside the source
	s := fourth{a, filepath.Join(open, "app4")}
	if _, err := os.Lstat(s.source); err == nil {
		return s
	}
	err := errors.Join(
		os.Mkdir(open, 0o755), os.Chmod(open, 0o777|os.ModeSticky),
		os.CopyFS(s.source, os.DirFS("testdata/project")), os.Mkdir(s.path("API/assets"), 0o755),
		os.WriteFile(s.path("requirements.txt"), []byte(ownRequirements()), 0o644),
	)
	for name, text := range map[string]string{
		"API/aide.py":         readAll("testdata/attack/aide.py"),
		"API/assets/site.css": "body {}\n",
		"API/api_settings/settings/deploy_four.py": readAll("testdata/project/API/api_settings/settings/deploy_two.py") + readAll("testdata/attack/settings.py"),
		"API/api_settings/hostile.py":              readAll("testdata/attack/hostile.py"),
		"API/api_settings/urls.py":                 readAll("testdata/project/API/api_settings/urls.py") + "\nfrom . import hostile\nurlpatterns += [path(\"run\", hostile.run)]\n",
	} {
		err = errors.Join(err, os.WriteFile(s.path(name), []byte(text), 0o644))
	}
	if err != nil {
		a.t.Fatal(err)
	}
	const aide = `["{python}", "{app}/aide.py", "%s"]`
	a.adds(Entry("four", `source = "open/app4"`, `user = "medctrl-one"`, `group = "medctrl-one"`, `socket_group = "medctrl-web"`,
		`pip_args = ["--no-index", "--no-build-isolation"]`, `step_timeout = "60s"`, `workers = 1`, `replicas = 2`, `collectstatic = true`, `graceful_timeout = "3s"`,
		"[build.limits]", `tasks = 100`, `memory = "300M"`,
		"[build.steps]", "before_migrate = ["+fmt.Sprintf(aide, "step")+"]",
		"[build.hooks]", "on_failure = "+fmt.Sprintf(aide, "hook"),
		"[[build.process]]", `name = "ear"`, "command = "+fmt.Sprintf(aide, "process"), `ready = "notify"`,
		"[[build.schedule]]", `name = "tick"`, `every = "1s"`, "command = "+fmt.Sprintf(aide, "schedule")))
	a.WaitState("four", "running")
	return s
}

func (s fourth) path(name string) string { return filepath.Join(s.source, name) }

// does has the next run of one of the ways do something.
func (s fourth) does(way, code string) error {
	path := s.Data("four", "do."+way)
	err := os.WriteFile(path+".new", []byte(code), 0o640)
	return errors.Join(err, os.Chown(path+".new", int(s.one.Uid), int(s.one.Gid)), os.Rename(path+".new", path))
}

// until waits until a text is there, and returns the last one that was. It looks twenty times a second:
// what is looked at is often another user's file, of which nothing tells.
func until(limit time.Duration, what func() string, there func(string) bool) string {
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		said := what()
		if there(said) || time.Since(begun) > limit {
			return said
		}
	}
}

// facts is what aide.py writes down.
type facts struct {
	Status      map[string]string
	Core        []uint64
	Umask, Temp string
	Descriptors map[string]string
	OOM         int
	Env         map[string]string
	IDs, Groups []int
	Session     int
}

// strange returns what a process of a build has and should not.
func (f facts) strange(a *arena, way string) (all []string) {
	wants := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			all = append(all, fmt.Sprintf("%s: %v, want %v", what, got, want))
		}
	}
	for _, name := range []string{"CapBnd", "CapInh", "CapPrm", "CapAmb", "CapEff", "SigBlk"} {
		wants(name, f.Status[name], "0000000000000000")
	}
	wants("NoNewPrivs", f.Status["NoNewPrivs"], 1)
	wants("ignored signals", f.Status["SigIgn"], "0000000001001000") // Python's own
	wants("core", f.Core, []uint64{0, 0})
	wants("umask", f.Umask, "27")
	wants("temporary folder", f.Temp, fmt.Sprintf("700 %d", a.one.Uid))
	if temp := f.Env["TMPDIR"]; !strings.HasPrefix(temp, filepath.Join(a.Root, "four/run")+"/") {
		all = append(all, "TMPDIR: "+temp)
	}
	wants("PYTHONNOUSERSITE", f.Env["PYTHONNOUSERSITE"], 1)
	wants("users", f.IDs, []uint32{a.one.Uid, a.one.Uid, a.one.Uid, a.one.Gid, a.one.Gid, a.one.Gid})
	for _, g := range f.Groups {
		wants("group", g, a.one.Gid)
	}
	wants("ARENA_SECRET", f.Env["ARENA_SECRET"], "")
	if own := strings.TrimSpace(readAll(fmt.Sprintf("/proc/%d/oom_score_adj", a.Pid()))); own >= fmt.Sprint(f.OOM) && len(own) >= len(fmt.Sprint(f.OOM)) {
		all = append(all, fmt.Sprintf("oom_score_adj: %d, and the supervisor's is %s", f.OOM, own))
	}
	for fd, where := range f.Descriptors {
		standard := slices.Contains([]string{"0", "1", "2"}, fd)
		if !standard && !strings.HasPrefix(where, "/proc/") { // the folder of descriptors, by which it looks
			all = append(all, fmt.Sprintf("descriptor %s: %s", fd, where))
		}
	}
	return all
}

// ways are the ways in which a build has something run besides its servers.
var ways = []string{"step", "process", "schedule", "hook", "run"}

// taken returns what a build's code found in one of its ways.
func (s fourth) taken(way string) (f facts, err error) {
	path := s.Data("four", "facts."+way)
	switch way {
	case "run":
		if out, said, code := s.CLI("run", "four", "python", filepath.Join(s.Root, "four/current/API/aide.py"), "run"); code != 0 {
			return f, errors.New(out + said)
		}
	case "hook":
		if _, err := os.Lstat(path); err != nil {
			if err := s.does("step", "raise SystemExit('the step has failed')"); err != nil {
				return f, err
			}
			s.CLI("rebuild", "four")
		}
	}
	text := until(20*time.Second, func() string { return readAll(path) }, func(text string) bool { return strings.HasPrefix(text, "{") })
	return f, json.Unmarshal([]byte(text), &f)
}

func attemptsOfWays() (all []attempt) {
	has := func(a *arena, way string) string {
		f, err := a.fourth().taken(way)
		if err != nil {
			return err.Error()
		}
		if strange := f.strange(a, way); len(strange) > 0 {
			return strings.Join(strange, "\n")
		}
		return "nothing"
	}
	for _, way := range ways {
		at := attempt{by: ownCode, what: "has more than it should in a " + way, refused: nothing, try: func(a *arena) string { return has(a, way) }}
		if way == "run" || way == "schedule" { // whatever the supervisor before handed over
			at.after = at.try
		}
		all = append(all, at)
	}
	all = append(all, attempt{by: ownCode, what: "finds what another way left in the temporary folder", refused: nothing, try: func(a *arena) string {
		folders := map[string]string{}
		for _, way := range ways {
			f, err := a.fourth().taken(way)
			if err != nil {
				return err.Error()
			}
			if other := folders[f.Env["TMPDIR"]]; other != "" {
				return way + " and " + other + " share " + f.Env["TMPDIR"]
			}
			folders[f.Env["TMPDIR"]] = way
		}
		return "nothing"
	}})
	for _, way := range ways {
		all = append(all, attempt{by: ownCode, what: "leaves a daemon of a " + way, refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			daemon := fmt.Sprintf(`import subprocess; subprocess.Popen(["sleep", "%d"], env={}, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); open(%q, "w")`,
				620+slices.Index(ways, way), s.Data("four", "left."+way))
			var err error
			switch way {
			case "hook":
				err = errors.Join(s.does("hook", daemon), s.does("step", "raise SystemExit('the step has failed')"))
			case "process":
				err = s.does("process", daemon+"\nraise SystemExit(1)")
			default:
				err = s.does(way, daemon)
			}
			if err != nil {
				return err.Error()
			}
			switch way {
			case "hook", "step":
				s.CLI("rebuild", "four")
			case "process":
				s.CLI("restart", "four")
			case "run":
				s.taken("run")
			}
			until(20*time.Second, func() string { return readAll(s.Data("four", "left."+way)) }, func(text string) bool { return text == "" })
			if said := readAll(s.Data("four", "left."+way)); said != "" {
				return "it was not run: " + said
			}
			return until(20*time.Second, func() string { return running(fmt.Sprintf("sleep %d", 620+slices.Index(ways, way))) }, func(text string) bool { return text == "nothing" })
		}})
	}
	return all
}
