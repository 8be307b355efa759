package config

import (
	"strings"
	"testing"
)

// A mistake at which the TOML library stops hides no other mistake, and causes none.
func TestWhatIsNoTOMLHidesNoOtherMistake(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct {
		text  string
		words []string
	}{
		{one + "workers = 1\n»workers = 2\ntimeout = »\"soon\"\n", []string{"already been defined", "want a time"}},
		{one + "workers = »\"two\"\n»workers = 2\n", []string{"want a whole number", "already been defined"}},
		{one + "workers = 1\n»workers = [\n  2,\n]\ntimeout = »\"soon\"\n", []string{"already been defined", "want a time"}},
		{one + "workers = »two\ntimeout = 30»s\nthreads = »\"x\"\n", []string{"expected value", "expected a top-level item to end", "want a whole number"}},
		{one + "env = { A = \"1\", »A = \"2\" }\nthreads = »\"x\"\n", []string{"already been defined", "want a whole number"}},
		{one + "health.path = \"/\"\n[build.health]\n»path = \"/x\"\ninterval = »\"often\"\n[[build]]\nname = \"two\"\n»worker = 1\n",
			[]string{"already been defined", "want a time", "unknown key worker"}},
		{one + "[supervisor]\nlog_level = »\"loud\"\n[»supervisor]\nlog_format = »\"prose\"\n",
			[]string{"want one of", "already been defined", "want one of"}},
		{one + "[»defaults]\nworkers = »0\n", []string{"already been defined", "want a whole number from 1"}},
		{one + "location = \"/a»\n[[build]]\nname = \"two\"\nworkers = »0\n", []string{"strings cannot contain newlines", "want a whole number from 1"}},
		{one + "»[build.helth]\n[[build»]\nname = \"two\"\n[[build]]\nname = \"three\"\nworkers = »0\n",
			[]string{"unknown key helth", "expected end of table array", "want a whole number from 1"}},
		// What could not be read is not missing.
		{strings.Replace(one, "\"run\"", "»run", 1), []string{"expected value"}},
		{strings.Replace(one, "\"src\"", "»src", 1), []string{"expected value"}},
		{strings.Replace(one, "\"bin/python3\"", "»bin", 1), []string{"expected value"}},
		{strings.Replace(one, "\"one\"", "»one", 1), []string{"expected value"}},
		{strings.Replace(one, "[defaults]", "[defaults»", 1), []string{"to end table name"}},
		{one + "requirements = »none\napp_dir = »none\nsettings_dir = »none\n", []string{"expected value", "expected value", "expected value"}},
		{one + "[supervisor]\nfront = »127.0.0.1:80\ndashboard = \"127.0.0.1:81\"\n", []string{"Invalid float"}},
		// An array that is not closed is one mistake, however much it swallows.
		{one + "pip_args = [\"a\"\n»workers = 2\n", []string{"expected a comma"}},
		{one + "pip_args = [\n  \"a\"\n  »\"b\",\n  \"c\"\n]\n", []string{"expected a comma"}},
	} {
		s.bad(c.text, c.words...)
	}
}

func TestManyMistakesOfTOMLAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, err := s.load(one + strings.Repeat("workers = two\n", 10000))
	if n := strings.Count(err.Error(), "\n") + 1; n != mostRepairs {
		t.Errorf("%d errors, want %d", n, mostRepairs)
	}
}
