package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// because makes a release and returns why that was.
func (p *project) because(t testing.TB) []string {
	t.Helper()
	r, told := p.request(), []string(nil)
	r.Because, r.By = func(what []string) { told = what }, "ada (uid 1000)"
	p.environment(t)
	why, err := p.m.Why(t.Context(), r)
	if err != nil || why.Release != "" {
		t.Errorf("%+v, error %v", why, err)
	}
	rel, fresh, err := p.m.Make(t.Context(), r)
	if err != nil || !fresh {
		t.Fatalf("fresh %v, error %v", fresh, err)
	}
	if !slices.Equal(rel.Because, told) || !slices.Equal(why.Because, told) || rel.By != r.By {
		t.Errorf("the attempt says %q, the record %q by %q, a look before %q", told, rel.Because, rel.By, why.Because)
	}
	return told
}

func TestReleaseSaysWhatHasChanged(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	expect := func(what string, want ...string) {
		t.Helper()
		if got := p.because(t); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		if why, err := p.m.Why(t.Context(), p.request()); err != nil || why.Release == "" || why.Because != nil {
			t.Errorf("%s: made, and a look says %+v, error %v", what, why, err)
		}
	}
	expect("the first", "there is no release yet")
	p.write(t, "API/app/views.py", "x = 1\n")
	expect("an edit", "API/app/views.py changed")
	p.write(t, "API/app/new.py", "")
	must(t, os.Remove(filepath.Join(p.Source, "API/app/__init__.py")))
	expect("files that come and go", "API/app/__init__.py removed", "API/app/new.py added")
	p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'y'\n")
	p.write(t, "API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'z'\n")
	expect("settings", "API/api_settings/settings/deploy_one.py changed") // those of another build do not count
	p.PipArgs = []string{"-q", "--index-url", "https://u:hunter2@example.org"}
	expect("a key", `pip_args [] → [-q --index-url https://****@example.org]`)
	p.PipArgs = []string{"-q", "--index-url", "https://u:hunter3@example.org"}
	expect("what is not shown of a key", "a key changed in what is not shown of it")
	p.Env = map[string]string{"PIP_TOKEN": "hunter2"}
	p.write(t, "requirements.txt", "# nothing\n")
	expect("what pip reads", "requirements.txt changed", "variable PIP_TOKEN added")
	p.write(t, "requirements.txt", "-r more.txt\n")
	p.write(t, "more.txt", "")
	expect("requirements that include others", "more.txt added", "requirements.txt changed")
	for _, n := range strings.Split("abcdefgh", "") {
		p.write(t, "API/many/"+n+".py", "")
	}
	p.Check = false
	expect("many files", "check true → false", "API/many/a.py added", "API/many/b.py added", "API/many/c.py added", "API/many/d.py added", "and 4 more files")
}

func TestNamesThatAreNoTextHaveNotChanged(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.write(t, "API/caf\xe9.txt", "")
	must(t, os.Symlink("caf\xe9.txt", filepath.Join(p.AppPath(), "link")))
	p.because(t)
	p.write(t, "API/app/views.py", "x = 1\n")
	p.write(t, "API/caf\xe8.txt", "")
	if got := p.because(t); !slices.Equal(got, []string{"API/app/views.py changed", "API/caf.txt added"}) {
		t.Errorf("changed: %q", got)
	}
}

func TestWhyOfWhatCannotBeMade(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	rel := p.made(t)
	must(t, os.RemoveAll(filepath.Join(rel.Dir, "API")))
	if why, err := p.m.Why(t.Context(), p.request()); err != nil || !slices.Equal(why.Because, []string{"files of release " + rel.ID + " are gone"}) {
		t.Errorf("%+v, error %v", why, err)
	}
	edit(t, filepath.Join(p.Source, "API/app/views.py"), "x = 1\n")
	must(t, os.Remove(filepath.Join(rel.Dir, manifestFile)))
	if why, err := p.m.Why(t.Context(), p.request()); err != nil || len(why.Because) != 1 || !strings.Contains(why.Because[0], "earlier version") {
		t.Errorf("%+v, error %v", why, err)
	}
	must(t, os.Remove(p.SettingsFile()))
	if _, err := p.m.Why(t.Context(), p.request()); err == nil || !strings.Contains(err.Error(), "deploy_one.py") {
		t.Errorf("without a settings file: %v", err)
	}
}

// A settings file of another build that this one's settings name counts, and is not in the release.
func TestSettingsThatAreOnlyNamedAreCompared(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'y'\n")
	p.write(t, "API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'x'  # not deploy_two\n")
	p.because(t)
	p.write(t, "API/app/views.py", "x = 1\n")
	if got := p.because(t); !slices.Equal(got, []string{"API/app/views.py changed"}) {
		t.Errorf("%q", got)
	}
	p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'another'\n")
	if got := p.because(t); !slices.Equal(got, []string{"API/api_settings/settings/deploy_two.py changed"}) {
		t.Errorf("%q", got)
	}
}

func TestValuesOfSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	h := Secrets()
	for name, value := range map[string]string{
		"SECRET_KEY": "x", "PW": "x", "DB_PASSWORD": "x", "MAIL_AUTH": "x", "SENTRY_DSN": "x", "HASH_SALT": "x", "SESSION": "x",
		"URL": "mysql://u:hunter2@db/x", "ANY": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
	} {
		if !h.Secret(name, value) {
			t.Errorf("%s = %s is shown", name, value)
		}
	}
	for name, value := range map[string]string{"DEBUG": "1", "ALLOWED_HOSTS": "a.example,b.example", "LOG_LEVEL": "info", "MEDIA": "/srv/media/of/2026/and/later"} {
		if h.Secret(name, value) {
			t.Errorf("%s = %s is not shown", name, value)
		}
	}
}
