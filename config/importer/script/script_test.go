package script

import (
	"reflect"
	"strings"
	"testing"
)

func TestScriptIsFollowed(t *testing.T) {
	t.Parallel()
	s, err := Read("cd /srv/app\nexport A=1\n. .env\nstep() { echo hi; ./inner; }\nstep\nB=2 python manage.py migrate | tee log\nsource venv/bin/activate\n$UNKNOWN x\n", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/srv/app"
	want := []Command{
		{Words: []string{"./inner"}, Dir: dir, Plain: true},
		{Words: []string{"python", "manage.py", "migrate"}, Env: []Variable{{Name: "B", Value: "2"}}, Dir: dir, Plain: true, Piped: true},
		{Words: []string{"tee", "log"}, Dir: dir, Plain: true, Piped: true},
		{Words: []string{"${UNKNOWN}", "x"}, Dir: dir},
	}
	if !reflect.DeepEqual(s.Commands, want) {
		t.Errorf("commands\n%+v\nwant\n%+v", s.Commands, want)
	}
	if !reflect.DeepEqual(s.Exported, []Variable{{Name: "A", Value: "1"}}) || !reflect.DeepEqual(s.EnvFiles, []string{dir + "/.env"}) || s.Venv != dir+"/venv" {
		t.Errorf("exported %v, files %q, environment %q", s.Exported, s.EnvFiles, s.Venv)
	}
}

func TestScriptThatBlowsUpEnds(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"large": strings.Repeat("#", mostScript+1), "no script": "if",
	} {
		if _, err := Read(text, "/", nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Read("f() { f; f; }\nf\n", "/", nil); err == nil || !strings.Contains(err.Error(), "more than can be followed") {
		t.Errorf("a function that calls itself twice: %v", err)
	}
}
