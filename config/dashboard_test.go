package config

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestDashboardNeedsAFrontAndAPathOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const builds = "[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
	s.bad("root = \"run\"\n[supervisor]\ndashboard = »\"/-/\"\n"+builds, "set front too")
	for _, path := range []string{"-", "/-", "-/", "/", "//", "/a b/", "/../", "/%41/"} {
		s.bad("root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = »\""+path+"\"\n"+builds+"location = \"/api\"\n", "begins and ends with a slash")
	}
	for _, location := range []string{"/ops", "/ops/deep"} {
		s.bad("root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = \"/ops/\"\n"+builds+"location = »\""+location+"\"\n", "the dashboard is at /ops/")
	}
	s.bad("root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = \"/ops/-/\"\n"+builds+"location = »\"/ops\"\n", "the dashboard is at /ops/-/")
	for _, location := range []string{"/", "/opsy", "/api"} { // the longest location wins
		c := s.good("root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = \"/ops/\"\n" + builds + "location = \"" + location + "\"\n")
		if c.Supervisor.Dashboard != "/ops/" {
			t.Errorf("dashboard at %q", c.Supervisor.Dashboard)
		}
	}
}

func TestTokenIsASecret(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const head, tail = "root = \"run\"\n[supervisor]\nfront = \"127.0.0.1:80\"\ndashboard = \"/-/\"\n", "\n[defaults]\nsource = \"src\"\npython = \"bin/python3\"\n[[build]]\nname = \"one\"\n"
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
	} {
		if err := os.Chmod(s.write("token", content), c.mode); err != nil {
			t.Fatal(err)
		}
		s.bad(text, c.want)
	}
	if err := os.Chmod(s.write("token", "  0123456789abcdef \n"), 0o640); err != nil {
		t.Fatal(err)
	}
	c := s.good(head + "dashboard_write = \"token\"" + tail)
	if token, err := ReadToken(c.Supervisor.DashboardWrite); token != "0123456789abcdef" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	s.bad("root = \"run\"\n[supervisor]\ndashboard_write = »\"token\""+tail, "there is no dashboard")
	if _, err := ReadToken(s.dir); err == nil {
		t.Error("a folder is a token")
	}
}
