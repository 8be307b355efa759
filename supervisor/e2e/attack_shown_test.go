package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// spell is what a terminal must not obey, in a text that people are shown: its title, its screen, the
// same by the single characters of ISO 6429, and text the other way round.
const spell = "attacked\x1b]0;owned\x07\x1b[2J\u009b2J\u202e"

// spellInPython is spell as Python writes it.
const spellInPython = `attacked\x1b]0;owned\x07\x1b[2J\x9b2J\u202e`

// atTerminal runs a subcommand at a terminal and says whether that obeyed something of spell.
func (a *arena) atTerminal(args ...string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = "'" + arg + "'"
	}
	cmd := exec.Command("/usr/bin/script", "-qec", Binary(a.t)+" -c "+a.File+" "+strings.Join(words, " "), "/dev/null")
	cmd.Dir = a.Dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // many of them fail, as they should
	return obeyed(out.String())
}

func obeyed(text string) string {
	switch {
	case !strings.Contains(text, "attacked"):
		return "it is not shown: " + text
	case strings.ContainsAny(text, "\x07\u009b\u202e"), strings.Contains(text, "\x1b]0;"), strings.Contains(text, "\x1b[2J"):
		return fmt.Sprintf("the terminal obeys: %q", text)
	}
	return "nothing"
}

// all returns the first of what was said that is more than nothing.
func all(said ...string) string {
	for _, one := range said {
		if one != "nothing" {
			return one
		}
	}
	return "nothing"
}

// spelledGit runs git in a folder, as root.
func spelledGit(folder string, args ...string) error {
	cmd := exec.Command("/usr/bin/git", args...)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=" + spell, "GIT_AUTHOR_EMAIL=x@example.com", "GIT_COMMITTER_NAME=" + spell, "GIT_COMMITTER_EMAIL=x@example.com"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %v: %w: %s", args, err, out)
	}
	return nil
}

func attemptsToShow() []attempt {
	return []attempt{
		{by: supplier, what: "has the terminal of who rebuilds obey a step", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := s.does("step", `raise SystemExit("`+spellInPython+`")`); err != nil {
				return err.Error()
			}
			said := a.atTerminal("rebuild", "four")
			return all(said, a.atTerminal("status", "four"), a.atTerminal("events"), a.atTerminal("events", "--json"), a.atTerminal("status", "--json"), a.atTerminal("logs", "--build", "four"))
		}},
		{by: supplier, what: "has the terminal of who deploys obey a step", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := errors.Join(s.does("step", `raise SystemExit("`+spellInPython+`")`), os.WriteFile(s.path("API/changed.py"), []byte("A = 1\n"), 0o644)); err != nil {
				return err.Error()
			}
			return a.atTerminal("deploy", "four")
		}},
		{by: supplier, what: "has the terminal of who deploys obey the name of a file", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			path := s.path("API/" + strings.ReplaceAll(spell, "/", ""))
			if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
				return err.Error()
			}
			defer os.Remove(path)
			return all(a.atTerminal("reload", "--dry-run"), a.atTerminal("deploy", "four"))
		}},
		{by: supplier, what: "has a terminal obey a commit", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			err := errors.Join(spelledGit(s.source, "init", "-q", "-b", "attacked"), spelledGit(s.source, "add", "-A"), spelledGit(s.source, "commit", "-q", "-m", spell),
				os.WriteFile(s.path("API/changed.py"), []byte("A = 2\n"), 0o644))
			if err != nil {
				return err.Error()
			}
			if out, wrong, code := s.CLI("deploy", "four"); code != 0 {
				return out + wrong
			}
			text, _, _ := s.CLI("status", "--json")
			return all(a.atTerminal("status", "four"), obeyed(text), a.atTerminal("status", "--json"))
		}},
		{by: ownCode, what: "has a terminal obey the last words of a process", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := s.does("process", `raise SystemExit("`+spellInPython+`")`); err != nil {
				return err.Error()
			}
			a.atTerminal("restart", "four")
			until(patience, func() string { return a.BuildLog("four") }, func(text string) bool { return strings.Contains(text, "attacked") })
			return a.atTerminal("logs", "-n", "1000", "four")
		}},
		{by: ownCode, what: "has a terminal obey the output of a schedule", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			if err := s.does("schedule", `print("`+spellInPython+`", flush=True); open(data + "/shown", "w"); raise SystemExit(1)`); err != nil {
				return err.Error()
			}
			until(patience, func() string { return readAll(s.Data("four", "shown")) }, func(text string) bool { return text == "" })
			return a.atTerminal("logs", "four", "--schedule", "tick")
		}},
		{by: ownCode, what: "has the terminal of who checks obey a link", refused: nothing, try: func(a *arena) string {
			folder := filepath.Join(a.Dir, "links")
			err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(filepath.Join(folder, spell), nil, 0o644), os.Lchown(filepath.Join(folder, spell), int(a.stranger.Uid), int(a.stranger.Gid)),
				os.Symlink(spell, filepath.Join(folder, "own.env")), os.Lchown(filepath.Join(folder, "own.env"), int(a.one.Uid), int(a.one.Gid)),
				os.Chown(folder, int(a.one.Uid), int(a.one.Gid)))
			if err != nil {
				return err.Error()
			}
			before := a.Builds
			defer func() { a.SetBuilds(before) }()
			a.SetBuilds(strings.Replace(before, `name = "one"`, "name = \"one\"\nenv_file = \"links/own.env\"", 1))
			return all(a.atTerminal("check"), a.atTerminal("reload"))
		}},
		{by: supplier, what: "has the terminal of who imports obey a unit", refused: nothing, try: func(a *arena) string {
			path := filepath.Join(a.Dir, "spell.service")
			err := os.WriteFile(path, []byte("[Unit]\nDescription="+spell+"\n[Service]\nWorkingDirectory=/srv/"+spell+"\nExecStart=/usr/bin/gunicorn --"+spell+" api_settings.wsgi:application\n"), 0o644)
			if err != nil {
				return err.Error()
			}
			return a.atTerminal("import", path)
		}},
		{by: client, what: "has the dashboard's page run what a build says", refused: nothing, try: func(a *arena) string {
			for path, want := range map[string]string{"/": "Content-Security-Policy", "/v1/status": "X-Content-Type-Options"} {
				resp, err := http.Get("http://" + a.Dashboard + path)
				if err != nil {
					return err.Error()
				}
				resp.Body.Close()
				policy := resp.Header.Get("Content-Security-Policy")
				if resp.Header.Get(want) == "" || strings.Contains(policy, "unsafe") || path == "/" && !strings.Contains(policy, "default-src 'none'") && !strings.Contains(policy, "default-src 'self'") {
					return fmt.Sprint(path, resp.Header)
				}
			}
			page, err := os.ReadFile("../dashboard/page/app.js")
			if err != nil || strings.Contains(string(page), "innerHTML") || strings.Contains(string(page), "insertAdjacentHTML") {
				return fmt.Sprint("the page makes elements of text", err)
			}
			return "nothing"
		}},
	}
}
