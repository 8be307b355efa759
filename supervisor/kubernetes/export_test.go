package kubernetes

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/cron"
	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

func chmod(path string, mode os.FileMode) error { return os.Chmod(path, mode) }

// What pods have for a file is accepted, and is the same build but for what a cluster does.
func TestTheFilesOfPodsAreAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files()
	for name, c := range cases {
		before := s.load(c.text)
		e := s.export(c.text, c.change)
		n := 0
		for _, f := range e.Files {
			if !strings.HasSuffix(f.Name, ".toml") {
				continue
			}
			n++
			path := s.write("pod/"+f.Name, f.Text)
			pod, err := config.Check(path)
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, f.Text)
				continue
			}
			is := pod.Builds[0]
			was, ok := before.Build(is.Name)
			if !ok || len(pod.Builds) != 1 || pod.Root != rootDir || pod.Supervisor.Front != "0.0.0.0:8000" {
				t.Errorf("%s: %s is %+v", name, f.Name, pod)
				continue
			}
			// A cluster does these, or they are of a host.
			was.Location, was.StripPrefix, was.Migrate, was.Databases, was.Check = "/", true, false, nil, false
			was.User, was.Group, was.Env, was.EnvFile, was.PassEnv = "", "", is.Env, "", is.PassEnv
			was.Autostart, was.WatchSource, was.Processes, was.Schedules, was.Sandbox, was.Private = true, false, nil, nil, config.Sandbox{}, is.Private
			was.PipArgs = nil
			was.Limits = config.Limits{Nofile: was.Limits.Nofile}
			if name != "nginx" {
				was.Steps = config.Steps{}
			}
			for key, values := range map[string][2]string{"build": {config.BuildKey(was), config.BuildKey(is)}, "run": {config.RunKey(was), config.RunKey(is)}} {
				if values[0] != values[1] {
					t.Errorf("%s: %s is another build (%s):\n%+v, want\n%+v", name, f.Name, key, is, was)
				}
			}
		}
		if n != len(before.Builds) {
			t.Errorf("%s has %d files for pods", name, n)
		}
	}
}

func TestWhatASecretHasIsNormalised(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files()
	c := s.load(large)
	b, _ := c.Build("a_b")
	got, missing, err := Secret(b, []string{"SENTRY_DSN=https://key@sentry.example/1 ", "BANNER=own", "HOME=/root"})
	want := "API_TOKEN=hunter2hunter2\nDB_NAME=hunter2hunter2\nDB_PASSWORD=x\nDB_PASSWORD_2=hunter2 \"hunter2\"\nSENTRY_DSN=https://key@sentry.example/1 \n"
	if err != nil || got != want || missing != nil {
		t.Errorf("%q, want\n%q, %v, %v", got, want, missing, err)
	}
	if _, missing, err = Secret(b, nil); err != nil || !slices.Equal(missing, []string{"SENTRY_DSN"}) {
		t.Errorf("missing: %q, %v", missing, err)
	}
	b.Env = map[string]string{"PRIVATE_KEY": "a\nb"}
	if _, _, err := Secret(b, nil); err == nil || !strings.Contains(err.Error(), "PRIVATE_KEY has more than one line") || !strings.Contains(err.Error(), "--from-file") {
		t.Errorf("%v", err)
	}
}

func TestSecretsInCommandsAreRefusedWithoutSayingThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const secret = `"--password", "hunter2hunter2"`
	text := head + "[[build]]\nname = \"one\"\ncommand = [\"x\", " + secret + "]\ngunicorn_args = [\"--forwarded-allow-ips=https://a:hunter2hunter2@b\"]\nsteps.before_migrate = [[\"x\", " + secret + "]]\n" +
		"hooks.on_failure = [\"x\", \"https://chat.example/?token=hunter2hunter2\"]\n[[build.process]]\nname = \"p\"\ncommand = [\"x\", " + secret + "]\nenv = { API_KEY = \"hunter2hunter2\" }\n" +
		"[[build.schedule]]\nname = \"s\"\ncommand = [\"x\", " + secret + "]\ncron = \"@daily\"\n"
	e, err := New(s.load(text), nil, options())
	if err == nil || e != nil || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("%v, %v", e, err)
	}
	for _, what := range []string{"build one: command holds", "gunicorn_args holds", "steps.before_migrate holds", "process p: command holds", "process p: env.API_KEY looks like", "schedule s: command holds"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("it does not say %q: %v", what, err)
		}
	}
}

func TestOptionsAreCheckedWithTheirFlags(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.load(small2)
	for want, change := range map[string]func(*Options){
		"the image is missing":         func(o *Options) { o.Image = "" },
		"has no tag":                   func(o *Options) { o.Image = "registry.example:5000/medctrl" },
		"a release needs a tag of its": func(o *Options) { o.Image = "medctrl:latest" },
		"want REGISTRY/NAME:TAG":       func(o *Options) { o.Image = "medctrl:r1\nfoo: bar" },
		"--release":                    func(o *Options) { o.Release = "a b" },
		"--namespace":                  func(o *Options) { o.Namespace = "A" },
		"--replicas 0":                 func(o *Options) { o.Replicas = 0 },
		"--data":                       func(o *Options) { o.Data = "1GB" },
		"--gateway":                    func(o *Options) { o.Gateway = "a/b/c" },
		"--host":                       func(o *Options) { o.Hosts = []string{"a b"} },
		"--steps":                      func(o *Options) { o.StepsIn = "pod" },
	} {
		o := options()
		change(&o)
		_, err := New(c, nil, o)
		var wrong *OptionError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for _, image := range []string{"medctrl@sha256:" + strings.Repeat("a", 64), "medctrl:latest"} {
		o := options()
		o.Image, o.Release = image, "v1.2_3"
		e, err := New(c, []string{"one"}, o)
		if err != nil || !strings.Contains(e.Files[2].Text, "name: one-migrate-v1-2-3\n") {
			t.Errorf("%s: %v", image, err)
		}
	}
	if _, err := New(c, []string{"on"}, options()); err == nil || !strings.Contains(err.Error(), `no build "on" in `) || !strings.Contains(err.Error(), `did you mean "one"?`) {
		t.Errorf("%v", err)
	}
	o := options()
	o.Plain = true
	if _, err := New(s.load(small2+"command = [\"x\"]\n"), nil, o); err == nil || !strings.Contains(err.Error(), "export it without --plain") {
		t.Errorf("%v", err)
	}
}

const small2 = head + "[[build]]\nname = \"one\"\n"

func TestNamesAreLabelsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := &writer{taken: map[string]bool{}}
	long := strings.Repeat("x", 70)
	for _, c := range []struct{ want, name string }{
		{"a_b", "a-b"}, {"a_b_", "a-b-2"}, {"a-b", "a-b-3"}, {"1a", "b-1a"}, {"b_1a", "b-1a-2"}, {"_", "b"}, {"A.B", "a-b-4"},
		{long, strings.Repeat("x", 54) + "-0c1c5bc8"},
	} {
		got := w.name("Deployment", c.want, longestName)
		if got != c.name && c.want != long || !dnsLabel.MatchString(got) || len(got) > longestName {
			t.Errorf("%s is called %s, want %s", c.want, got, c.name)
		}
	}
	if other := w.name("Deployment", long, longestName); len(other) > longestName || !dnsLabel.MatchString(other) || !strings.HasSuffix(other, "-2") {
		t.Errorf("a second one is called %s", other)
	}
	if w.name("Job", "a_b", longestName) != "a-b" {
		t.Error("kinds share names")
	}
}

// What a CronJob gets is due when the schedule is.
func TestCronJobsRunWhenSchedulesDo(t *testing.T) {
	t.Parallel()
	texts := []string{"@daily", "@weekly", "0 0 * * 7", "30 2 * * 5-7", "*/7 3,5 1-10/3 jan-mar *", "0 0 1 * mon", "5 4 * * 1-7/2", "0 0 ? * 7,3", "0 12 */5 * *", "0 12 * * fri-7", "0 0 * * 7-7", "1 2 31 * ?"}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(all ...string) string { return all[random.IntN(len(all))] }
	for range 200 {
		texts = append(texts, strings.Join([]string{pick("*", "0", "*/5", "10-20/3", "59"), pick("*", "*/2", "0,12", "3-4"), pick("*", "?", "1", "*/3", "10-20"),
			pick("*", "2", "jan,jul", "*/4"), pick("*", "?", "0", "7", "1-7", "6-7", "sat,sun", "*/2", "7,1-3")}, " "))
	}
	left := 0
	for _, text := range texts {
		ours, err := cron.Parse(text)
		if err != nil {
			continue
		}
		when, why := cronOf(config.Schedule{Cron: text})
		if why != "" {
			if left++; !strings.Contains(text, "*/") || !strings.Contains(why, "there is no CronJob") {
				t.Errorf("%s: %s", text, why)
			}
			continue
		}
		theirs, err := robfig.ParseStandard(when) // as Kubernetes does (pkg/controller/cronjob)
		if err != nil {
			t.Errorf("%s is %s: %v", text, when, err)
			continue
		}
		at := time.Date(2027, 1, 30, 11, 22, 33, 0, time.UTC)
		for range 30 {
			next, want := theirs.Next(at), ours.Next(at, time.UTC)
			if !next.Equal(want) {
				t.Errorf("%s, %s: after %v comes %v, want %v", text, when, at, next, want)
				break
			}
			at = next
		}
	}
	if left == 0 || left > len(texts)/2 {
		t.Errorf("%d of %d are left out", left, len(texts))
	}
	for every, want := range map[time.Duration]string{
		time.Minute: "* * * * *", 15 * time.Minute: "*/15 * * * *", time.Hour: "0 * * * *", 6 * time.Hour: "0 */6 * * *", 24 * time.Hour: "0 0 * * *",
		30 * time.Second: "", 7 * time.Minute: "", 90 * time.Minute: "", 48 * time.Hour: "", 5 * time.Hour: "",
	} {
		when, why := cronOf(config.Schedule{Every: every})
		if when != want || (why == "") == (want == "") {
			t.Errorf("every %v is %q, %q, want %q", every, when, why, want)
		}
	}
}

// Texts of users come out of YAML as they went in, however they look.
func TestTextsAreQuotedWhereTheyHaveToBe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	args := []string{"yes", "no", "on", "n", "null", "~", "1", "1.5", "0x1f", "1:30", "1e3", "a: b", "a #b", "- a", "{0}", "[x]", "*a", "&a", "!a", "%a", "@a", "`a`", "'", "\"", "\\", "a\tb", "☃", "=", "<<", "a,b", "", " a ", "true", "0777", "2026-11-27", "$(X)", "$$", "$HOME", "a:", ":a"}
	quoted := tomltext.Texts(append([]string{"x"}, args...))
	e := s.export(head + "[[build]]\nname = \"one\"\n[[build.process]]\nname = \"p\"\ncommand = " + quoted + "\n")
	text, err := e.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range decoded(t, text) {
		if o.GetName() != "one-p" {
			continue
		}
		got := commandOf(o)
		for i := range got { // as the kubelet does (third_party/forked/golang/expansion)
			got[i] = strings.ReplaceAll(got[i], "$$", "$")
		}
		if got = got[len(got)-len(args):]; !slices.Equal(got, args) {
			t.Errorf("%q, want\n%q", got, args)
		}
		return
	}
	t.Error("there is no process")
}
