package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// built counts the releases of a build that were made.
func (w *World) built() int { return strings.Count(w.MustCLI("events"), ": built release ") }

// unwrapped is a text that was wrapped for a terminal, maybe within a path, without white space.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), "") }

// What an application writes into its own source would be built for ever. The file is named, and
// delays nobody's edit.
func TestApplicationThatWritesIntoItsOwnSourceIsNamedAndBuiltRarely(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		step bool // a step writes it, else the application
	}{
		"its log, with watch_source":   {"API/app.log", false},
		"shared settings, by one step": {"API/api_settings/settings/common.py", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyWorld(t)
			path := filepath.Join(w.Source, c.file)
			writes := ""
			if c.step {
				w.Builds = tiny(fmt.Sprintf("steps = { after_migrate = [[\"sh\", \"-c\", \"echo '# more' >>%s\"]] }", path))
				w.WriteConfig()
			} else {
				w = NewWorld(t, One("workers = 1", "watch_source = true"))
				path = filepath.Join(w.Source, c.file)
				writes = fmt.Sprintf("import time\nopen(%q, \"a\").write(\"# %%f\\n\" %% time.time())", path)
			}
			w.SaveSettings("one", writes, Overwrite)
			w.Serve("one")
			tr := w.Load("one", 20)
			Eventually(t, 4*patience, "the file's name in status", func() (bool, string) {
				out := w.MustCLI("status")
				return strings.Contains(unwrapped(out), path) && strings.Contains(unwrapped(out), "writesintoitsownsource"), out
			})
			if out := w.MustCLI("events"); !strings.Contains(out, path) {
				t.Errorf("no event names %s:\n%s", path, out)
			}
			if n := w.built(); n > 15 {
				t.Errorf("%d releases were made until it was named", n)
			}
			before := w.built()
			w.SaveSettings("one", "BANNER = \"edited\"\n"+writes, RenameOver)
			w.WaitBanner("one", "edited")
			if n := w.built() - before; n > 4 {
				t.Errorf("%d releases were made for one edit", n)
			}
			tr.Stop().NoneLost(t)
		})
	}
}

// checkout is a source of which two files belong together, with a slow change of both.
type checkout struct {
	w     *World
	half  string // there when the first file has changed, and the second has not
	goOn  string // once it is there, the second changes too
	parts [2]string
}

// inParts gives a world a server whose banner is made of two files.
func inParts(w *World) checkout {
	w.t.Helper()
	c := checkout{w: w, half: filepath.Join(w.Dir, "half"), goOn: filepath.Join(w.Dir, "go")}
	w.Replace(filepath.Join(w.Source, "API", "tiny_server.py"), "going = True\n\n", "banner = open(\"parts/a.txt\").read() + open(\"parts/b.txt\").read()\ngoing = True\n\n", Overwrite)
	for i, name := range []string{"a.txt", "b.txt"} {
		c.parts[i] = filepath.Join("API", "parts", name)
	}
	c.must(os.Mkdir(filepath.Join(w.Source, "API", "parts"), 0o755))
	c.write(0, "1")
	c.write(1, "1")
	return c
}

func (c checkout) must(err error) {
	c.w.t.Helper()
	if err != nil {
		c.w.t.Fatal(err)
	}
}

func (c checkout) write(part int, text string) {
	c.w.t.Helper()
	c.must(os.WriteFile(filepath.Join(c.w.Source, c.parts[part]), []byte(text), 0o644))
}

func (c checkout) git(dir string, args ...string) {
	c.w.t.Helper()
	c.must(git(dir, args...))
}

func git(dir string, args ...string) error {
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %q: %w\n%s", args, err, out)
	}
	return nil
}

// commit makes a repository at dir, at whose branch main both parts are 1, and at branch next 2. A
// checkout of the second part is slow.
func (c checkout) commit(dir string) {
	c.w.t.Helper()
	c.git(dir, "init", "-q", "-b", "main")
	c.git(dir, "add", "-A")
	c.git(dir, "commit", "-q", "-m", "one")
	c.git(dir, "checkout", "-q", "-b", "next")
	for _, part := range c.parts {
		c.must(os.WriteFile(filepath.Join(dir, part), []byte("2"), 0o644))
	}
	c.git(dir, "commit", "-q", "-a", "-m", "two")
	c.git(dir, "checkout", "-q", "main")
	c.slow(dir, filepath.Join(dir, ".git"))
}

// slow makes checkouts of the second part slow; repository is git's own folder.
func (c checkout) slow(dir, repository string) {
	c.w.t.Helper()
	script := filepath.Join(c.w.Dir, "slow")
	c.must(os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n: >%s\nwhile ! [ -e %s ]; do sleep 0.05; done\ncat\n", c.half, c.goOn), 0o755))
	c.git(dir, "config", "filter.slow.smudge", script)
	c.must(os.MkdirAll(filepath.Join(repository, "info"), 0o755))
	c.must(os.WriteFile(filepath.Join(repository, "info", "attributes"), []byte(c.parts[1]+" filter=slow\n"), 0o644))
}

// However slowly a version control system changes the source, no mixture of before and after serves.
func TestSlowCheckoutNeverServesHalfATree(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(c checkout) (change func() error){
		"git checkout": func(c checkout) func() error {
			c.commit(c.w.Source)
			return func() error { return git(c.w.Source, "checkout", "-q", "next") }
		},
		"git merge": func(c checkout) func() error {
			c.commit(c.w.Source)
			return func() error { return git(c.w.Source, "merge", "-q", "next") }
		},
		"git stash pop": func(c checkout) func() error {
			c.commit(c.w.Source)
			c.write(0, "2")
			c.write(1, "2")
			c.must(os.WriteFile(c.goOn, nil, 0o644)) // the stash writes too
			c.git(c.w.Source, "stash", "-q")
			c.must(os.Remove(c.goOn))
			c.must(os.Remove(c.half))
			return func() error { return git(c.w.Source, "stash", "pop", "-q") }
		},
		"a worktree": func(c checkout) func() error {
			main := filepath.Join(c.w.Dir, "main")
			c.must(os.Rename(c.w.Source, main))
			c.commit(main)
			c.must(os.WriteFile(c.goOn, nil, 0o644))
			c.git(main, "worktree", "add", "-q", "--detach", c.w.Source)
			c.must(os.Remove(c.goOn))
			c.must(os.Remove(c.half))
			return func() error { return git(c.w.Source, "checkout", "-q", "--detach", "next") }
		},
		"a lock by hand": func(c checkout) func() error {
			lock := filepath.Join(c.w.Source, ".git", "index.lock")
			c.must(os.Mkdir(filepath.Dir(lock), 0o755))
			script := fmt.Sprintf(": >%s; printf 2 >%s; : >%s; while ! [ -e %s ]; do sleep 0.05; done; printf 2 >%s; rm %s",
				lock, c.parts[0], c.half, c.goOn, c.parts[1], lock)
			return func() error {
				cmd := exec.Command("sh", "-c", script)
				cmd.Dir = c.w.Source
				return cmd.Run()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("git"); err != nil && name != "a lock by hand" {
				t.Skip(err)
			}
			w := tinyWorld(t)
			w.Builds = tiny("watch_source = true")
			w.WriteConfig()
			c := inParts(w)
			change := begin(c)
			w.Serve("one")
			w.WaitBanner("one", "11")
			tr := w.Load("one", 100)
			tr.GoOn(t, calm)
			changed := make(chan error, 1)
			go func() { changed <- change() }()
			Eventually(t, patience, "half a change", func() (bool, string) {
				_, err := os.Stat(c.half)
				return err == nil, "not yet"
			})
			w.MustCLI("rebuild", "--no-wait", "one") // not even where somebody asks
			Eventually(t, patience, "what the build waits for", func() (bool, string) {
				out := w.MustCLI("status")
				return strings.Contains(unwrapped(out), "index.lockisgone:thesourceisbeingwritten"), out
			})
			w.WaitBanner("one", "11")
			if err := os.WriteFile(c.goOn, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := <-changed; err != nil {
				t.Fatal(err)
			}
			w.WaitBanner("one", "22")
			r := tr.Stop()
			r.NoneLost(t)
			for _, s := range r.Shots {
				if s.Outcome == OK && s.Banner != "11" && s.Banner != "22" {
					t.Fatalf("a mixture served: %q", s.Banner)
				}
			}
		})
	}
}
