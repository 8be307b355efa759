package world

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
)

// What an actor does about a probe depends on whether the server said something wrong, said nothing in
// time, or is not there.
func TestProbeTellsAWrongAnswerFromALateOneAndFromNone(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", socket)
	must(t, err)
	hangs := make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wrong":
			w.WriteHeader(http.StatusInternalServerError)
		case "/late":
			<-hangs
		}
	})}
	go server.Serve(ln) // it is closed below
	defer server.Close()
	defer close(hangs)
	for path, want := range map[string]*actor.ProbeError{
		"/":      nil,
		"/wrong": {Wrong: true, Status: http.StatusInternalServerError},
		"/late":  {Late: true},
	} {
		timeout := 20 * time.Second
		if path == "/late" {
			timeout = 50 * time.Millisecond
		}
		err := host{}.Probe(t.Context(), socket, &config.Health{Path: path, Expect: config.Expect{Min: 200, Max: 399}}, timeout)
		var got *actor.ProbeError
		if is := errors.As(err, &got); is != (want != nil) || is && (got.Wrong != want.Wrong || got.Late != want.Late || got.Status != want.Status || got.Ours) {
			t.Errorf("%s: %+v (%v), want %+v", path, got, err, want)
		}
	}
	err = host{}.Probe(t.Context(), socket+"nowhere", &config.Health{Path: "/"}, 20*time.Second)
	var got *actor.ProbeError
	if err == nil || errors.As(err, &got) && (got.Wrong || got.Late || got.Ours) {
		t.Errorf("no socket: %+v, %v", got, err)
	}
}

// A data folder that is there is the application's: it keeps its mode, and whatever else is there.
func TestDataFolderIsMadeOnlyWhereThereIsNone(t *testing.T) {
	t.Parallel()
	dir := layout.Root(t.TempDir()).Build("one")
	must(t, os.Mkdir(dir.Dir(), 0o755))
	entry := &config.Build{Name: "one"}
	must(t, host{}.MakeData(entry, dir))
	info, err := os.Stat(dir.Data())
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o007 != 0 {
		t.Fatalf("%v, %v", info, err)
	}
	must(t, os.Chmod(dir.Data(), 0o711))
	must(t, host{}.MakeData(entry, dir))
	if info, err := os.Stat(dir.Data()); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("it was made again: %v, %v", info, err)
	}
	must(t, os.Remove(dir.Data()))
	entry.User = "no such user"
	if err := (host{}).MakeData(entry, dir); err == nil || !strings.Contains(err.Error(), entry.User) {
		t.Errorf("for a user that is not there: %v", err)
	}
	if _, err := os.Lstat(dir.Data()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is somebody's now: %v", err)
	}
}

// A mark is a claim that anybody can make. What it is used for are paths.
func TestMarkThatIsNotOursLeadsNowhere(t *testing.T) {
	t.Parallel()
	root := layout.Root("/root")
	for mark, want := range map[string][2]string{
		"id/one/7": {root.Build("one").Temp(7), root.Build("one").Private(7)},
		"id/one/0": {}, "id/one/-7": {}, "id/one/x": {}, "id/../7": {}, "id/one": {}, "id/one/7/8": {}, "": {},
		"id/one/run.abcdefghijkl": {root.Build("one").TempOfTask("run.abcdefghijkl"), ""},
		"id/../run.abcdefghijkl":  {},
		"id/one/run.../../../etc": {},
	} {
		if got := [2]string{tempOf(root, mark), privateOf(root, mark)}; got != want {
			t.Errorf("%q: %q, want %q", mark, got, want)
		}
	}
}

// The last good copy is what a supervisor starts by where the file is bad: half of one must not be in
// its place, nor lie beside it.
func TestCopyThatCannotBeKeptLeavesNothing(t *testing.T) {
	t.Parallel()
	root := layout.Root(t.TempDir())
	cfg := &config.Config{Path: "/etc/builds.toml", Root: string(root), Text: []byte("root = \"/x\"\n")}
	if err := (files{}).Keep(cfg); err == nil || !strings.Contains(err.Error(), "keep a copy of /etc/builds.toml: ") {
		t.Errorf("without a folder: %v", err)
	}
	must(t, os.MkdirAll(filepath.Join(root.LastGood(), "in its place"), 0o700))
	if err := (files{}).Keep(cfg); err == nil {
		t.Error("it took the place of a folder")
	}
	if _, err := os.Lstat(root.LastGood() + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half of it is left: %v", err)
	}
}
