package config

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestDashboardHasAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const builds = "[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
	for _, path := range []string{"/-/", "/-", "/", "/ops/deep/"} {
		s.bad("root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = »\""+path+"\"\n"+builds, "such as \"127.0.0.1:8081\": on a path of the front, as it was before, the applications would share its origin")
	}
	for _, address := range []string{"-", "8081", "127.0.0.1", "127.0.0.1:x", "http://127.0.0.1:8081/"} {
		s.bad("root = \"run\"\n[supervisor]\ndashboard = »\""+address+"\"\n"+builds, "such as \"127.0.0.1:8081\"")
	}
	for _, both := range [][2]string{{"127.0.0.1:80", "127.0.0.1:80"}, {"0.0.0.0:80", "127.0.0.1:80"}, {"127.0.0.1:80", ":80"}} {
		s.bad("root = \"run\"\n[supervisor]\nfront = \""+both[0]+"\"\ndashboard = »\""+both[1]+"\"\n"+builds, "the front listens at "+both[0])
	}
	for _, front := range []string{"", "front = \"127.0.0.1:80\"\n", "front = \"127.0.0.2:8081\"\n"} {
		c := s.good("root = \"run\"\n[supervisor]\n" + front + "dashboard = \"127.0.0.1:8081\"\n" + builds)
		if c.Supervisor.Dashboard != "127.0.0.1:8081" {
			t.Errorf("dashboard at %q", c.Supervisor.Dashboard)
		}
	}
}

func TestTokenIsASecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const head, tail = "root = \"run\"\n[supervisor]\ndashboard = \"127.0.0.1:8081\"\n", "\n[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
	text := head + "dashboard_write = »\"token\"" + tail
	s.bad(text, "no such file")
	var errs Errors
	if _, err := s.load(head + "dashboard_write = \"token\"" + tail); !errors.As(err, &errs) || !slices.Equal(errs.About(), []string{s.path("token")}) {
		t.Errorf("the errors are about %v, want the missing file, as it is watched", errs.About())
	}
	for content, c := range map[string]struct {
		mode os.FileMode
		want string
	}{
		"0123456789abcdef\n":       {0o644, "everybody may read"},
		"0123456789abcde\n":        {0o600, "fewer than 16 characters"},
		"0123456789 abcdef\n":      {0o600, "no spaces"},
		"0123456789\n abcdef more": {0o600, "fewer than 16 characters"},
		"":                         {0o600, "fewer than 16 characters"},
		"0123456789abcdefg\n":      {0o660, "may write it"},
	} {
		if err := os.Chmod(s.write("token", content), c.mode); err != nil {
			t.Fatal(err)
		}
		s.bad(text, c.want)
		s.bad(strings.Replace(text, "dashboard_write", "dashboard_read", 1), c.want)
	}
	if err := os.Chmod(s.write("token", "  0123456789abcdef \n"), 0o640); err != nil {
		t.Fatal(err)
	}
	c := s.good(head + "dashboard_write = \"token\"" + tail)
	if token, err := ReadToken(c.Supervisor.DashboardWrite); token != "0123456789abcdef" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	for _, key := range []string{"dashboard_read", "dashboard_write"} {
		s.bad("root = \"run\"\n[supervisor]\n"+key+" = »\"token\""+tail, "there is no dashboard")
	}
	if _, err := ReadToken(s.dir); err == nil {
		t.Error("a folder is a token")
	}
}

func TestEachPartHasAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const builds = "[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
	file := func(lines ...string) string {
		return "root = \"run\"\n[supervisor]\n" + strings.Join(lines, "\n") + "\n" + builds
	}
	s.bad(file(`metrics = »"127.0.0.1"`), "want an address such as")
	s.bad(file(`front = "127.0.0.1:80"`, `metrics = »"127.0.0.1:80"`), `metrics = "127.0.0.1:80": the front listens at 127.0.0.1:80: give the metrics another port, such as 9105`)
	s.bad(file(`metrics = »":81"`, `dashboard = "127.0.0.1:81"`), "the dashboard is at 127.0.0.1:81")
	s.bad(file(`front = "[::]:81"`, `metrics = »"127.0.0.1:81"`, `dashboard = »"127.0.0.1:81"`), "the front listens at", "the front listens at")
	c := s.good(file(`front = "127.0.0.1:80"`, `metrics = "127.0.0.1:9105"`, `dashboard = "127.0.0.1:81"`))
	if c.Supervisor.Metrics != "127.0.0.1:9105" {
		t.Errorf("metrics at %q", c.Supervisor.Metrics)
	}
	s.good(file(`metrics = ""`, `front = ""`))
}
