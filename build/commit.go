package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// Commit is what the checkout of a source had checked out when a release was made of it.
type Commit struct {
	Hash    string    `json:"hash"`
	Branch  string    `json:"branch,omitempty"` // "": none (a detached HEAD)
	Subject string    `json:"subject,omitempty"`
	Author  string    `json:"author,omitempty"` // the name alone
	Time    time.Time `json:"time,omitzero"`    // of the commit
	// Changed is how many files of the release, or of its requirements, were not as committed.
	Changed int `json:"changed,omitempty"`
}

// checkout is a git checkout that an application lies in. It is asked by git itself, which knows
// worktrees, packs and every format of its repository, and as the build's user, who runs code of the
// source anyway: a filter that somebody has put into the repository's own settings runs with no more
// rights than manage.py, and what that user may not read is not shown.
type checkout struct {
	j          *job
	top        string // of the work tree
	repository string
	app        string // the application, relative to top
	git        string // the program
}

// commitLimit is how long git may take in all. A release without a commit is a release.
const commitLimit = 10 * time.Second

// findCheckout returns the checkout that the application lies in, nil if there is none.
func (j *job) findCheckout() *checkout {
	app, err := filepath.EvalSymlinks(j.b.AppPath())
	if err != nil {
		return nil // another step says so
	}
	for top, below := app, app; ; top, below = filepath.Dir(top), top {
		repository := repositoryIn(top)
		if _, err := os.Lstat(filepath.Join(top, ".git")); err == nil && !ofStranger(j.b, top, below, ".git") && isRepository(repository) {
			rel, err := filepath.Rel(top, app)
			git, gerr := lookPath("git", j.env)
			if errors.Join(err, gerr) != nil {
				return nil
			}
			return &checkout{j: j, top: top, repository: repository, app: rel, git: git}
		}
		if top == filepath.Dir(top) {
			return nil
		}
	}
}

// head returns what is checked out, "" where that cannot be told or has no such application: a folder
// may lie in a checkout that does not know it.
func (c *checkout) head(ctx context.Context) string {
	if c == nil {
		return ""
	}
	inside := "HEAD:"
	if c.app != "." {
		inside += filepath.ToSlash(c.app)
	}
	out, err := c.run(ctx, "rev-parse", "HEAD", inside)
	if err != nil {
		return ""
	}
	hash, _, _ := strings.Cut(out, "\n")
	return hash
}

// commit returns what is checked out, where it still is what it was before the source was copied;
// else nil.
func (c *checkout) commit(ctx context.Context, before string) *Commit {
	if before == "" {
		return nil
	}
	out, err := c.run(ctx, "log", "-1", "--no-color", "--no-decorate", "--no-show-signature", "--format=%H%x00%an%x00%ct%x00%s", before)
	parts := strings.SplitN(strings.TrimSuffix(out, "\n"), "\x00", 4)
	if err != nil || len(parts) != 4 || parts[0] != before {
		return nil
	}
	found := &Commit{Hash: before, Author: shownText(parts[1]), Subject: shownText(parts[3])}
	if seconds, err := strconv.ParseInt(parts[2], 10, 64); err == nil {
		found.Time = time.Unix(seconds, 0).UTC()
	}
	paths := []string{"status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignore-submodules=all", "--no-renames", "--no-ahead-behind", "--", c.app}
	if rel, err := filepath.Rel(c.top, inputs.ResolvedAsFar(c.j.b.RequirementsFile())); err == nil && filepath.IsLocal(rel) {
		paths = append(paths, rel)
	}
	if out, err = c.run(ctx, paths...); err != nil {
		return found // what was changed since is not known
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		if oid, ok := strings.CutPrefix(entry, "# branch.oid "); ok && oid != before {
			return nil // it went on while the source was copied
		}
		if branch, ok := strings.CutPrefix(entry, "# branch.head "); ok && branch != "(detached)" {
			found.Branch = shownText(branch)
		}
		if c.changed(entry) {
			found.Changed++
		}
	}
	return found
}

// changed says of an entry of git's status whether it is a file of the release that is not as
// committed (git-status(1), Porcelain Format Version 2).
func (c *checkout) changed(entry string) bool {
	kind, rest, _ := strings.Cut(entry, " ")
	path, removed := rest, false
	if fields := map[string]int{"1": 8, "u": 10}[kind]; fields > 0 {
		parts := strings.SplitN(rest, " ", fields)
		path, removed = parts[len(parts)-1], strings.Contains(parts[0], "D")
	} else if kind != "?" {
		return false
	}
	rel, err := filepath.Rel(c.app, path)
	if err != nil || !filepath.IsLocal(rel) {
		return true // of the requirements
	}
	_, copied := c.j.source[rel]
	return copied || removed
}

// mostAnswer is how much of what git prints is read.
const mostAnswer = 4 << 20

// run returns what git prints.
func (c *checkout) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commitLimit, errors.New("git did not end in time"))
	defer cancel()
	out, err := memoryFile("git's answer")
	if err != nil {
		return "", err
	}
	defer out.Close() // it is in memory: nothing is lost
	complaint, err := memoryFile("git's complaint")
	if err != nil {
		return "", err
	}
	defer complaint.Close()
	j := c.j
	p, err := j.maker.Runner.Start(Command{
		// Named outright, a repository may belong to anybody (git, safe.directory): see ofStranger.
		Argv: append([]string{c.git, "-C", c.top, "--git-dir=" + c.repository, "--work-tree=" + c.top, "--no-optional-locks", "--no-pager", "--literal-pathspecs",
			"-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false", "-c", "i18n.logOutputEncoding=UTF-8"}, args...),
		Env: []string{"PATH=" + inputs.EnvValue(j.env, "PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
			"GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_NO_REPLACE_OBJECTS=1"},
		Dir: "/", User: credential(j.as), Umask: 0o077, Capable: j.as.Capable, Box: c.box(), Limits: j.b.Limits,
		Stdout: out, Stderr: complaint, Mark: j.temp + "/" + strconv.Itoa(int(j.started.Add(1))),
	})
	if err == nil {
		err = p.Wait(ctx, 0)
	}
	if err != nil {
		last := ""
		if lines := tail(complaint, 0); len(lines) > 0 {
			last = ": " + lines[len(lines)-1]
		}
		return "", fmt.Errorf("git %s: %w%s", args[0], err, last)
	}
	text, err := io.ReadAll(io.NewSectionReader(out, 0, mostAnswer))
	return string(text), err
}

// box lets git read the checkout of a build that has a sandbox, and write and reach nothing.
func (c *checkout) box() *Box {
	if !c.j.b.Sandbox.Enabled {
		return nil
	}
	read := []string{c.top, c.repository, inputs.ResolvedAsFar(c.j.b.Source)}
	if common := filepath.Dir(c.repository); filepath.Base(common) == "worktrees" { // gitrepository-layout(5)
		read = append(read, filepath.Dir(common))
	}
	return &Box{Read: read, Private: privateOf(c.j.b), Connect: &[]uint16{}, Bind: &[]uint16{}, As: c.j.as, Run: c.j.dir.Run()}
}

// mostWords is how much of a name or a subject is kept, in characters.
const mostWords = 200

// shownText returns a line of somebody else without what a terminal would obey, or not show.
func shownText(text string) string {
	runes := slices.DeleteFunc([]rune(strings.ToValidUTF8(text, "")), func(r rune) bool { return !unicode.IsPrint(r) })
	if len(runes) > mostWords {
		runes = append(runes[:mostWords-1], '…')
	}
	return strings.TrimSpace(string(runes))
}
