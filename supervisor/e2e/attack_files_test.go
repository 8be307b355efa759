package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// aside is a file of builds beside the arena's, with a root of its own and lines of [supervisor], of one build.
func (a *arena) aside(name string, lines ...string) (file, root string, err error) {
	file, root = filepath.Join(a.Dir, name+".toml"), filepath.Join(a.Dir, name)
	return file, root, os.WriteFile(file, fmt.Appendf(nil, "root = %q\n[supervisor]\n%s\n[defaults]\nsource = \"app\"\npython = %q\nsystem_site_packages = true\ncheck = false\nmigrate = false\n%s",
		root, strings.Join(lines, "\n"), python, Entry("one", `user = "medctrl-one"`, `group = "medctrl-one"`, "workers = 1")), 0o644)
}

// supervises runs a supervisor for a while, or until it ends, and returns what it says.
func (a *arena) supervises(limit time.Duration, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(a.t), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.Dir, &out, &out
	err := cmd.Run()
	return fmt.Sprintf("%s\n%v", out.String(), err)
}

// gives gives what is at a path to a user.
func gives(path string, to *syscall.Credential) error {
	return os.Lchown(path, int(to.Uid), int(to.Gid))
}

// edited changes the source, and has git read files of it to know that they were not changed.
func (s fourth) edited() error {
	now := time.Now().Add(-time.Second)
	return errors.Join(os.WriteFile(s.path("API/changed.py"), fmt.Appendf(nil, "A = %d\n", now.UnixNano()), 0o644), os.Chtimes(s.path("API/manage.py"), now, now))
}

func attemptsWithFiles() []attempt {
	shadow, _, _ := strings.Cut(readAll("/etc/shadow"), "\n")
	// includes has a file or folder that is included be as make leaves it.
	includes := func(what string, make func(a *arena, folder string) error, refused string) attempt {
		return attempt{by: local, what: what, refused: refused, try: func(a *arena) string {
			folder, err := os.MkdirTemp(a.Dir, "builds.d")
			if err == nil {
				err = os.Chmod(folder, 0o755)
			}
			if err = errors.Join(err, make(a, folder)); err != nil {
				return err.Error()
			}
			file, _, err := a.aside("including", fmt.Sprintf("include = [%q]", folder+"/*.toml"))
			if err != nil {
				return err.Error()
			}
			begun := time.Now()
			out, code := bytes.Buffer{}, 0
			cmd := exec.Command(Binary(a.t), "-c", file, "check")
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				code = cmd.ProcessState.ExitCode()
			}
			if took := time.Since(begun); took > 10*time.Second {
				return fmt.Sprintf("it took %v", took)
			}
			if strings.Contains(out.String(), a.secret) || strings.Contains(out.String(), shadow) {
				return "it tells: " + out.String()
			}
			return fmt.Sprintf("exit code %d\n%s", code, out.String())
		}}
	}
	const more = "[[build]]\nname = \"more\"\nsource = \"app\"\nuser = \"root\"\n"
	const refuses = `^exit code 1\n(?s).*`
	// prebuilt has releases that were made beforehand be as spoil leaves them.
	prebuilt := func(what string, spoil func(a *arena, made string) error, refused string) attempt {
		return attempt{by: local, what: what, refused: refused, try: func(a *arena) string {
			file, _, err := a.aside("prebuilding")
			if err != nil {
				return err.Error()
			}
			made := filepath.Join(a.Dir, "prebuilt")
			if _, err := os.Lstat(made); err != nil {
				if out, err := exec.Command(Binary(a.t), "-c", file, "build", "one", "--root", made).CombinedOutput(); err != nil {
					return fmt.Sprint(err, string(out))
				}
			}
			spoiled := made + ".spoiled"
			if out, err := exec.Command("cp", "-a", made, spoiled).CombinedOutput(); err != nil {
				return fmt.Sprint(err, string(out))
			}
			defer os.RemoveAll(spoiled)
			defer os.RemoveAll(filepath.Join(a.Dir, "prebuilding"))
			if err := spoil(a, spoiled); err != nil {
				return err.Error()
			}
			return a.supervises(6*time.Second, "-c", file, "--prebuilt", spoiled)
		}}
	}
	one := func(pattern string, do func(a *arena, path string) error) func(*arena, string) error {
		return func(a *arena, made string) error {
			found, err := filepath.Glob(filepath.Join(made, pattern))
			if err != nil || len(found) == 0 {
				return fmt.Errorf("there is no %s: %v", pattern, err)
			}
			return do(a, found[0])
		}
	}
	toStranger := func(a *arena, path string) error { return gives(path, a.stranger) }
	open := func(_ *arena, path string) error { return os.Chmod(path, 0o777) }
	return []attempt{
		includes("adds a build by a file of their own", func(a *arena, folder string) error {
			path := filepath.Join(folder, "more.toml")
			return errors.Join(os.WriteFile(path, []byte(more), 0o644), gives(path, a.stranger))
		}, refuses+`more\.toml:1:1: .*medctrl-stranger, may write it`),
		includes("adds a build to a folder of their own", func(a *arena, folder string) error { return gives(folder, a.stranger) }, refuses+`medctrl-stranger, may replace what is in it`),
		includes("adds a build by a link to a file of their own", func(a *arena, folder string) error {
			path := filepath.Join(a.Dir, "linked.toml")
			return errors.Join(os.WriteFile(path, []byte(more), 0o644), gives(path, a.stranger), os.Symlink(path, filepath.Join(folder, "more.toml")))
		}, refuses+`medctrl-stranger, may write it`),
		includes("has a secret of root's quoted as builds", func(a *arena, folder string) error {
			path := filepath.Join(folder, "more.toml")
			return errors.Join(os.Symlink("/etc/shadow", path), gives(path, a.stranger))
		}, refuses+`medctrl-stranger`),
		includes("has a FIFO among the builds", func(_ *arena, folder string) error { return syscall.Mkfifo(filepath.Join(folder, "more.toml"), 0o644) }, refuses+`named pipe`),
		includes("has builds without end", func(_ *arena, folder string) error {
			path := filepath.Join(folder, "more.toml")
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 4<<40))
		}, refuses+`more\.toml:1:1: larger than 1 MiB`),
		includes("has a device among the builds", func(_ *arena, folder string) error {
			return syscall.Mknod(filepath.Join(folder, "more.toml"), syscall.S_IFCHR|0o666, 1<<8|5)
		}, refuses+`more\.toml:1:1:`),
		prebuilt("serves code of their own from a build's folder", one("one", toStranger), `medctrl-stranger, may replace what is in it`),
		prebuilt("serves code of their own from a folder of releases", one("one/releases", toStranger), `medctrl-stranger, may replace what is in it`),
		prebuilt("serves code of their own from a release", one("one/releases/*", toStranger), `medctrl-stranger, may replace what is in it`),
		prebuilt("serves code of their own from an environment", one("one/venvs/*", toStranger), `medctrl-stranger, may replace what is in it`),
		prebuilt("serves code from a release that everybody may write", one("one/releases/*", open), `everybody may replace what is in it`),
		prebuilt("serves code of their own by a link", func(a *arena, made string) error {
			own := filepath.Join(a.Dir, "their-releases")
			os.RemoveAll(own)
			path := filepath.Join(made, "one/releases")
			return errors.Join(os.Rename(path, own), gives(own, a.stranger), os.Symlink(own, path))
		}, `medctrl-stranger, may replace what is in it`),
		{by: local, what: "has releases made in a folder of their own", refused: `medctrl-stranger, may replace what is in it`, try: func(a *arena) string {
			file, _, err := a.aside("prebuilding")
			made := filepath.Join(a.Dir, "their-prebuilt")
			if err = errors.Join(err, os.Mkdir(made, 0o755), gives(made, a.stranger)); err != nil {
				return err.Error()
			}
			out, err := exec.Command(Binary(a.t), "-c", file, "build", "one", "--root", made).CombinedOutput()
			return fmt.Sprint(string(out), err)
		}},
		{by: supplier, what: "has a script executed that is imported", refused: nothing, try: func(a *arena) string {
			ran := filepath.Join(a.Dir, "imported")
			script, unit := filepath.Join(a.Dir, "build.sh"), filepath.Join(a.Dir, "shop.service")
			err := errors.Join(
				os.WriteFile(script, []byte("#!/bin/sh\nA=$(touch "+ran+")\nB=`touch "+ran+"`\ncd \"$(touch "+ran+"; pwd)\"\n. /etc/shadow\nsource "+filepath.Join(a.Dir, "two.env")+"\neval \"touch "+ran+"\"\npython manage.py migrate $(touch "+ran+")\ngunicorn api_settings.wsgi:application\n"), 0o755),
				os.WriteFile(unit, []byte("[Service]\nUser=root\nWorkingDirectory="+a.Source+"/API\nEnvironmentFile=/etc/shadow\nEnvironmentFile=-"+filepath.Join(a.Dir, "two.env")+
					"\nEnvironment=\"A=\\n[supervisor]\\nfront = '0.0.0.0:1'\\n\" 'B='''\nExecStartPre=/bin/sh -c 'touch "+ran+"'\nExecStartPre=!/usr/bin/touch "+ran+"\nExecStart="+script+"\nExecStart=/usr/bin/gunicorn --bind unix:/x --chdir "+a.Source+"/API api_settings.wsgi:application\n"), 0o644),
			)
			if err != nil {
				return err.Error()
			}
			out, wrong, _ := a.CLI("import", unit, script)
			switch all := out + wrong; {
			case strings.Contains(all, a.secret), strings.Contains(all, shadow):
				return "it tells a secret: " + all
			case regexp.MustCompile(`(?m)^\s*(\[supervisor\]\s*\n\s*)?front\s*=`).MatchString(out):
				return "it is told what to print: " + out
			case out == "":
				return "it prints nothing: " + wrong
			}
			if _, err := os.Lstat(ran); !errors.Is(err, fs.ErrNotExist) {
				return "it was executed"
			}
			return "nothing"
		}},
		{by: supplier, what: "imports what has no end", refused: nothing, try: func(a *arena) string {
			endless, fifo := filepath.Join(a.Dir, "endless.service"), filepath.Join(a.Dir, "fifo.service")
			err := errors.Join(os.WriteFile(endless, []byte("[Service]\n"), 0o644), os.Truncate(endless, 4<<40), syscall.Mkfifo(fifo, 0o644))
			if err != nil {
				return err.Error()
			}
			begun := time.Now()
			out, wrong, code := a.CLI("import", endless, fifo, "/dev/zero")
			if took := time.Since(begun); took > 10*time.Second || code != 1 {
				return fmt.Sprintf("exit code %d after %v: %s%s", code, took, out, wrong)
			}
			return "nothing"
		}},
		{by: ownCode, what: "reads what the supervisor keeps", refused: nothing, try: func(a *arena) string {
			// With its own rights it does not come in; what is in there is for root alone all the same.
			var wrong []string
			own := filepath.Join(a.Root, ".supervisor")
			err := filepath.WalkDir(own, func(path string, d fs.DirEntry, err error) error {
				info, ierr := os.Lstat(path)
				if err != nil || ierr != nil {
					return nil // it has gone
				}
				allowed := fs.FileMode(0o700)
				switch {
				case path == own:
					allowed = 0o710 // control_group passes through
				case path == filepath.Join(own, "logs"):
					allowed = 0o750 // of root's group
				case filepath.Base(path) == "control.sock":
					allowed = 0o660
				case strings.HasSuffix(path, ".log"):
					allowed = 0o640
				}
				if mode := info.Mode().Perm(); mode&^allowed&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
					wrong = append(wrong, fmt.Sprintf("%v %s", info.Mode(), path))
				}
				return nil
			})
			if err != nil || len(wrong) > 0 {
				return fmt.Sprint(err, strings.Join(wrong, "\n"))
			}
			return "nothing"
		}},
		{by: supplier, what: "has a secret told by what a reload changes", refused: nothing, try: func(a *arena) string {
			a.fourth()
			before := a.Builds
			defer func() { a.SetBuilds(before) }()
			a.SetBuilds(strings.Replace(before, "[[build]]\nname = \"four\"\n", "[[build]]\nname = \"four\"\nenv = { DB_PASSWORD = \"TOLD-SECRET\", DATABASE_URL = \"mysql://u:TOLD-SECRET@h/db\" }\n", 1))
			all, wrong, _ := a.CLI("reload", "--dry-run")
			out, more, _ := a.CLI("reload")
			a.CLI("deploy", "four")
			events, _, _ := a.CLI("events", "--json")
			status, _, _ := a.CLI("status", "--json")
			said := all + wrong + out + more + events + status + a.Log()
			if at := strings.Index(said, "TOLD-SECRET"); at >= 0 {
				return said[max(0, at-300):min(len(said), at+100)]
			}
			if !strings.Contains(all+out, "four") {
				return "nothing is told of it: " + all + out
			}
			return "nothing"
		}},
		{by: local, what: "has a program of theirs run by a repository above a source", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			ran, above := filepath.Join(a.Dir, "open", "ran"), filepath.Dir(s.source)
			err := errors.Join(os.WriteFile(ran, nil, 0o666), os.Chmod(ran, 0o666), spelledGit(above, "init", "-q"), os.RemoveAll(filepath.Join(s.source, ".git")), spelledGit(above, "add", "-A"),
				spelledGit(above, "commit", "-q", "-m", "a claim"), spelledGit(above, "config", "filter.own.clean", "id >>"+ran+"; cat"),
				os.WriteFile(filepath.Join(above, ".git/info/attributes"), []byte("*.py filter=own\n"), 0o644),
				filepath.WalkDir(filepath.Join(above, ".git"), func(path string, _ fs.DirEntry, err error) error { return errors.Join(err, gives(path, a.stranger)) }),
				s.edited())
			if err != nil {
				return err.Error()
			}
			defer os.RemoveAll(filepath.Join(above, ".git"))
			if out, wrong, code := a.CLI("deploy", "four"); code != 0 {
				return out + wrong
			}
			if did := readAll(ran); did != "" {
				return "it ran as " + did
			}
			return "nothing"
		}},
		{by: supplier, what: "has more than it should in a program that git runs", refused: `^NoNewPrivs:\s1\nCap`, try: func(a *arena) string {
			s := a.fourth()
			told := s.Data("four", "git.told")
			err := errors.Join(os.RemoveAll(filepath.Join(s.source, ".git")), spelledGit(s.source, "init", "-q"), spelledGit(s.source, "add", "-A"), spelledGit(s.source, "commit", "-q", "-m", "one"),
				spelledGit(s.source, "config", "filter.own.clean", "grep -E '^(NoNewPrivs|CapBnd|Uid)' /proc/self/status >>"+told+"; id -u >>"+told+"; cat; sleep 616 & setsid sleep 616 &"),
				os.WriteFile(filepath.Join(s.source, ".git/info/attributes"), []byte("*.py filter=own\n"), 0o644),
				s.edited())
			if err != nil {
				return err.Error()
			}
			defer os.RemoveAll(filepath.Join(s.source, ".git"))
			if out, wrong, code := a.CLI("deploy", "four"); code != 0 {
				return out + wrong
			}
			if left := until(patience, func() string { return running("sleep 616") }, func(text string) bool { return text == "nothing" }); left != "nothing" {
				return left
			}
			var said []string
			for _, line := range strings.Split(readAll(told), "\n") {
				if strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "CapBnd") && strings.Trim(line, "CapBnd:\t0") == "" {
					said = append([]string{line}, said...)
				} else if line != "" && line != fmt.Sprint(a.one.Uid) && !strings.HasPrefix(line, "Uid:\t"+fmt.Sprint(a.one.Uid)+"\t") {
					return line
				}
			}
			slices.Sort(said)
			slices.Reverse(said)
			return strings.Join(slices.Compact(said), "\n")
		}},
		{by: local, what: "holds a build up by a lock above its source", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			repository := filepath.Join(filepath.Dir(s.source), ".git")
			err := errors.Join(os.Mkdir(repository, 0o755), os.WriteFile(filepath.Join(repository, "HEAD"), nil, 0o644), os.WriteFile(filepath.Join(repository, "index.lock"), nil, 0o644),
				gives(repository, a.stranger), gives(filepath.Join(repository, "index.lock"), a.stranger))
			if err != nil {
				return err.Error()
			}
			defer os.RemoveAll(repository)
			begun := time.Now()
			cmd := exec.Command(Binary(a.t), "-c", a.File, "rebuild", "four")
			ended := make(chan error, 1)
			go func() { ended <- cmd.Run() }()
			select {
			case <-ended:
				return "nothing"
			case <-time.After(patience):
				cmd.Process.Kill() // it waits
				<-ended
				return fmt.Sprintf("it waits for %v", time.Since(begun))
			}
		}},
		{by: ownCode, what: "has the supervisor's own log obeyed", refused: nothing, try: func(a *arena) string {
			a.fourth()
			if text := a.Log(); strings.ContainsAny(text, "\x1b\x07\u009b\u202e") {
				return "it has control characters"
			}
			return "nothing"
		}},
		{by: supplier, what: "has a FIFO in the place of git's folder", refused: nothing, try: func(a *arena) string {
			s := a.fourth()
			path := s.path(".git")
			if err := errors.Join(os.RemoveAll(path), syscall.Mkfifo(path, 0o644)); err != nil {
				return err.Error()
			}
			defer os.Remove(path)
			begun := time.Now()
			if out, wrong, code := s.CLI("rebuild", "four"); code != 0 || time.Since(begun) > 30*time.Second {
				return fmt.Sprint(time.Since(begun), out, wrong)
			}
			return "nothing"
		}},
	}
}
