package world

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// How much more readily than the supervisor a tree is killed where memory runs out: the supervisor
// goes last, as it starts the others again, and a step goes first, as it can be repeated. In
// thousandths of all memory (proc_pid_oom_score_adj(5)), so that it weighs more than what the
// supervisor uses itself, and less than would matter among other services.
const (
	oomServer  = 50
	oomCommand = 150
)

// confined gives a Spec what everything has that is run for a build: servers, steps and hooks.
func confined(s process.Spec, newPrivs, capable bool, oom int) process.Spec {
	s.NoNewPrivs, s.NoCapabilities = !newPrivs, !capable
	s.OOM = oom
	// Packages in somebody's home are not part of the release.
	s.Env = withDefault(s.Env, "PYTHONNOUSERSITE", "1")
	return s
}

// withDefault returns env with a variable, unless it has that already.
func withDefault(env []string, key, value string) []string {
	for _, entry := range env {
		if strings.HasPrefix(entry, key+"=") {
			return env
		}
	}
	return append(env[:len(env):len(env)], key+"="+value)
}

// makeTemp makes the folder of temporary files at path, below the folder run of a build, for whom it runs as.
// What an earlier one of that name left is removed: it may be of another user.
func makeTemp(run, path string, as config.Identity) error {
	if err := build.MakeRun(run, as.GID); err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil { // which follows no link below the folder, which is ours
		return err
	}
	return build.MakeFolder(path, 0o700, as.UID, as.GID)
}

// tempOf is the folder of the temporary files of the tree with a mark, or "" where it is no mark of
// ours.
func tempOf(root layout.Root, mark string) string {
	if b, n, ok := marked(root, mark); ok {
		return b.Temp(n)
	}
	parts := strings.Split(mark, "/")
	if _, _, ok := actor.TaskOf(parts[len(parts)-1]); ok && len(parts) == 3 && config.IsName(parts[1]) {
		return root.Build(parts[1]).TempOfTask(parts[2])
	}
	return ""
}

// privateOf is the socket on which the server with a mark is probed, or "" where it is no mark of ours.
func privateOf(root layout.Root, mark string) string {
	if b, n, ok := marked(root, mark); ok {
		return b.Private(n)
	}
	return ""
}

// marked reads a mark.
func marked(root layout.Root, mark string) (b layout.Build, n int, ok bool) {
	parts := strings.Split(mark, "/")
	if len(parts) != 3 || !config.IsName(parts[1]) {
		return "", 0, false
	}
	n, err := strconv.Atoi(parts[2])
	return root.Build(parts[1]), n, err == nil && n > 0
}

// withTemp starts a tree's environment with a folder of its own for temporary files, unless it names
// another. Where it cannot be made, on a full disk say, the tree has the system's: to be without a
// server would be worse.
func (t trees) withTemp(env []string, path string, as config.Identity) []string {
	if path == "" {
		return env
	}
	if err := makeTemp(filepath.Dir(path), path, as); err != nil {
		t.log.Warn("temporary files go to the system's folder", "path", path, "error", err)
		return env
	}
	return withDefault(env, "TMPDIR", path)
}

// dropTemp removes the folder of temporary files of a tree that has ended.
func (t trees) dropTemp(path string) {
	if path == "" {
		return
	}
	if err := os.RemoveAll(path); err != nil {
		t.log.Warn("temporary files stay until the next start", "path", path, "error", err)
	}
}

// End ends the tree, and then removes its temporary files and what was kept for another start.
func (t tree) End(ctx context.Context, grace time.Duration) error {
	if err := t.Child.End(ctx, grace); err != nil {
		return err
	}
	t.trees.dropTemp(t.temp)
	t.trees.dropPrivate(t.private)
	if t.output != nil {
		t.output.Close() // nothing was written through it here
	}
	t.ended()
	return nil
}

// dropPrivate removes the socket on which a server that has ended was probed.
func (t trees) dropPrivate(path string) {
	if path == "" {
		return
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.log.Debug("private socket stays until the next start", "path", path, "error", err)
	}
}
