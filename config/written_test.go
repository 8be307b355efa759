package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// What Written says, written into a file, is read as the same build.
func TestWhatIsWrittenIsReadAsTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("env", "A=1\n")
	lines := map[string]string{ // of keys for which a made-up value will not do
		"source": `"src"`, "python": `"bin/python3"`, "env_file": `"env"`, "user": `""`, "group": `""`, "socket_group": `""`,
	}
	for name, value := range map[string]string{
		"migrate": `["default", "reports"]`, "command": `["{python}", "a\"b\\c\u0001\ud7ff☃"]`, "env": `{ A = "a\nb", B_2 = "" }`, "umask": `"0077"`, "location": `"/a"`,
		"worker_class": `"gthread"`, "restart": `"never"`, "timeout": `"1m30s"`, "health.expect": `"200-299"`, "health.interval": `"500ms"`, "hooks.after_swap": `["a", "b c"]`,
		"steps.before_migrate": `[["a", "b"], ["c"]]`, "limits.memory": `"1536M"`, "limits.cpu": `1.5`, "limits.tasks": `100`, "limits.core": `"unlimited"`,
		"sandbox.connect": `[3306, 6379]`, "sandbox.bind": `[]`, "pass_env": `["DB_PASSWORD"]`, "strip_prefix": `false`, "workers": "7",
	} {
		lines[name] = value
	}
	var text strings.Builder
	text.WriteString("root = \"run\"\n[[build]]\nname = \"one\"\n")
	for name, value := range lines {
		fmt.Fprintf(&text, "%s = %s\n", name, value)
	}
	before := s.good(text.String()).Builds[0]
	var again strings.Builder
	again.WriteString("root = \"run\"\n[[build]]\nname = \"one\"\n")
	for _, w := range before.Written() {
		if w.Value != "" {
			fmt.Fprintf(&again, "%s = %s\n", w.Key, w.Value)
		}
		if _, said := lines[w.Key]; w.Default == said && !strings.Contains(w.Value, `""`) {
			t.Errorf("%s = %s: default: %v", w.Key, w.Value, w.Default)
		}
	}
	then := s.good(again.String()).Builds[0]
	if !reflect.DeepEqual(before, then) {
		t.Errorf("%s\nis read as\n%+v, want\n%+v", again.String(), then, before)
	}
}

func TestEverythingIsWritten(t *testing.T) {
	t.Parallel()
	count := len(allKeys())
	if all := defaultBuild().Written(); len(all) != count {
		t.Errorf("%d keys of a build, want %d", len(all), count)
	}
	for _, w := range defaultBuild().Written() {
		if !w.Default {
			t.Errorf("%s is not its default", w.Key)
		}
	}
	c := &Config{Root: "/r"}
	c.Supervisor = c.standardSupervisor()
	all := c.Written()
	if len(all) != 1+len(supervisorKeys) {
		t.Errorf("%d keys of the file", len(all))
	}
	for _, w := range all[1:] {
		if !w.Default && w.Key != "supervisor.include" {
			t.Errorf("%s is not its default", w.Key)
		}
	}
	if len((Process{}).Written()) != len(processTable) || len((Schedule{}).Written()) != len(scheduleTable) {
		t.Error("keys of processes or schedules are left out")
	}
}
