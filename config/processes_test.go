package config

import "testing"

func TestMistakesInAProcessAreFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct{ keys, words string }{
		{`name = »"A b", command = ["x"]`, "small letters, digits, _ and -"},
		{`name = "a", command = »[]`, "a program and its arguments"},
		{`name = "a", command = »"celery"`, "want texts in quotes"},
		{`name = "a", command = ["x", »"{indx}"]`, `command[1] = "{indx}": want in braces one of {python} {venv} {release} {app} {data} {index}; did you mean "{index}"?`},
		{`name = "a", command = ["x"], count = »0`, "want a whole number"},
		{`name = "a", command = ["x"], stop_signal = »"KILL"`, "TERM"},
		{`name = "a", command = ["x"], stop_signal = »"SIGTERM"`, "TERM"},
		{`name = "a", command = ["x"], graceful_timeout = »"2h"`, "from 1s to 1h"},
		{`name = "a", command = ["x"], ready = »"yes"`, "notify"},
		{`name = "a", command = ["x"], overlap = »1`, "true or false"},
		{`name = "a", command = ["x"], env = { A = »1 }`, `env.A = "…"`},
		{`name = "a", command = ["x"], »comand = ["x"]`, `did you mean "command"?`},
	} {
		s.bad(one+"process = [{ "+c.keys+" }]\n", c.words)
	}
	s.bad(one+`process = [»{ name = "a" }]`+"\n", "command")
	s.bad(one+`process = [{ name = "a", command = ["x"] }, { name = »"a", command = ["y"] }]`+"\n", "already")
	s.bad(one+`command = ["x", »"{index}"]`+"\n", "in braces one of {python} {venv} {release} {app} {data}") // a server has no number
	s.good(one + `process = [{ name = "a", command = ["celery", "--hostname", "a{index}@%h"], count = 2, stop_signal = "INT", ready = "notify", required = true }]` + "\n")
}
