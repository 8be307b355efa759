package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestEnvironmentIsOfOwnThenFileThenKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("env", "A=file\nB=file\nPATH=/file\n")
	own := []string{
		"PATH=/own", "LANG=C", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root", "SECRET=x", "PYTHONPATH=/x", "LISTEN_FDS=1", "LC=x", "PATHS=x", "HOMER",
		"LANGUAGE=x", "TZ2=x",
	}
	b := Build{EnvFile: path, Env: map[string]string{"B": "key", "C": "", "TZ": "Europe/Vienna=x"}}
	got, err := Environ(b, own)
	want := []string{"A=file", "B=key", "C=", "HOME=/root", "LANG=C", "LC_ALL=C.UTF-8", "PATH=/file", "TZ=Europe/Vienna=x"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("environment is %q, %v, want %q", got, err, want)
	}
	if got, err := Environ(Build{}, nil); err != nil || len(got) != 0 {
		t.Errorf("environment of nothing is %v, %v", got, err)
	}
}

func TestPassedVariablesYieldToFileAndKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	own := []string{"PATH=/own", "A=own", "B=own", "C=own", "D=own", "E=", "SECRET=x"}
	b := Build{PassEnv: []string{"A", "B", "C", "E", "GONE"}, EnvFile: s.write("env", "B=file\nC=file\n"), Env: map[string]string{"C": "key"}}
	got, err := Environ(b, own)
	if want := []string{"A=own", "B=file", "C=key", "E=", "PATH=/own"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("environment is %q, %v, want %q", got, err, want)
	}
	if got := MissingPassed(b, own); !slices.Equal(got, []string{"GONE"}) {
		t.Errorf("missing is %q", got)
	}
	if got := MissingPassed(b, nil); !slices.Equal(got, []string{"A", "E", "GONE"}) {
		t.Errorf("of no environment is missing %q", got)
	}
	if got := MissingPassed(Build{}, nil); got != nil {
		t.Errorf("of nothing is missing %q", got)
	}
}

func TestNamesThatMayNotBeSetMayNotBePassedOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if got := s.good(one + "pass_env = [\"A\", \"DB_PASSWORD\"]\n").Builds[0].PassEnv; !slices.Equal(got, []string{"A", "DB_PASSWORD"}) {
		t.Errorf("pass_env is %q", got)
	}
	s.bad(one+"pass_env = [»\"LISTEN_FDS\", »\"MEDCTRL_HANDOVER\", »\"DJANGO_SETTINGS_MODULE\", »\"NOTIFY_SOCKET\", »\"1A\", »\"A=1\", »\"\", \"B\", »\"B\", »\"GUNICORN_CMD_ARGS\"]\n",
		"the supervisor's", "the supervisor's", "left out", "the supervisor's", "a name of letters", "a name of letters", "a name of letters", "each name once", "gunicorn_args")
	s.bad(one+"pass_env = »\"A\"\n", "texts in quotes")
	s.bad(one+"pass_env = [»1]\n", "texts in quotes")
}

func TestEnvFileIsReadAtEachCall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := Build{EnvFile: s.write("env", "A=1\n")}
	for _, want := range []string{"A=1", "A=2"} {
		if got, err := Environ(b, nil); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("environment is %v, %v, want %s", got, err, want)
		}
		s.write("env", "A=2\n")
	}
	if err := os.Remove(b.EnvFile); err != nil {
		t.Fatal(err)
	}
	if got, err := Environ(b, nil); err == nil || !strings.Contains(err.Error(), b.EnvFile) {
		t.Errorf("without the file the environment is %v, %v", got, err)
	}
}

func TestEnvFileLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "\n\n": "", "# A=1\n; B=2\n  # C": "", "A=1": "A=1", "A=1\r\nB=2\r\n": "A=1 B=2", "\ufeffA=1": "A=1",
		"export A=1\nexport\tB=2": "A=1 B=2", "exported=1": "exported=1", "export=1": "export=1",
		"A=": "A=", "A=b=c": "A=b=c", " A = 1 ": "A=1", "A=1\nA=2": "A=2", "A='x'": "A=x", "A='it\"s $x\\'": "A=it\"s $x\\",
		`A="x y"`: "A=x y", `A="a\"b\\c\$d\` + "`" + `e\nf"`: `A=a"b\c$d` + "`" + `e\nf`, `A="{"b":1}"`: `A={"b":1}`, `A=""`: "A=", `A=''`: "A=",
		"A=x # y": "A=x # y", `A=x"y`: `A=x"y`, "A=\xff": "A=\xff", `A=a\b`: `A=a\b`,
	} {
		got, errs := parseEnv(withoutBOM([]byte(text)))
		var all []string
		for name, value := range got {
			all = append(all, name+"="+value)
		}
		slices.Sort(all)
		if joined := strings.Join(all, " "); joined != want || errs != nil {
			t.Errorf("%q reads %q, want %q, %v", text, joined, want, errs)
		}
	}
}

func TestAllMistakesOfAnEnvFileHaveTheirPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("env", "A=1\nno secret shown\n1B=x\n=x\nC D=x\n\nLISTEN_PID=1\nMEDCTRL_BUILD=1\nGUNICORN_CMD_ARGS=-D\n"+
		"E=a\x00b\nF='x\ny'\nG=\"x\nH=x\\\nI=\"x\" y\nJ='a'b'\n \texport DJANGO_SETTINGS_MODULE=x\nVIRTUAL_ENV=x\n")
	_, errs := readEnvFile(Build{EnvFile: path})
	want := []string{
		"2:1: want NAME=VALUE", "3:1: want NAME=VALUE", "4:1: want NAME=VALUE", "5:1: want NAME=VALUE", "7:1: LISTEN_PID: want another name",
		"8:1: MEDCTRL_BUILD: want another name", "9:1: GUNICORN_CMD_ARGS: want", "10:1: E: the value contains a NUL", "11:1: F: a quote is not closed",
		"12:1: want NAME=VALUE", "13:1: G: a quote is not closed", "14:1: H: the value continues", "15:1: I: a quote", "16:1: J: a quote",
		"17:10: DJANGO_SETTINGS_MODULE: want it left out", "18:1: VIRTUAL_ENV: want another name",
	}
	if len(errs) != len(want) {
		t.Fatalf("errors are %v, want %d", errs, len(want))
	}
	for i, err := range errs {
		if !strings.HasPrefix(err.Error(), path+":"+want[i]) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v, want %s:%s", err, path, want[i])
		}
	}
	if got, err := Environ(Build{EnvFile: path}, nil); err == nil || got != nil || !strings.Contains(err.Error(), ":16:1:") {
		t.Errorf("Environ returns %v, %v", got, err)
	}
	if _, err := s.load(one + "env_file = \"env\"\n"); err == nil || strings.Count(err.Error(), "builds.toml:7:12: env_file = ") != len(want) {
		t.Errorf("Load returns %v", err)
	}
}
