package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RunRequest says what is to be run once.
type RunRequest struct {
	ID      string   `json:"id,omitempty"` // of the task; "": it gets one. What has it already is not started again
	Argv    []string `json:"argv"`
	Release string   `json:"release,omitempty"` // or the beginning of its name; "": the one that serves
	Term    string   `json:"term,omitempty"`    // the caller's TERM
	// Terminal says that the first descriptor is a terminal that is to control the command.
	Terminal bool `json:"terminal,omitempty"`

	// Streams are its input, output and error output, which are the backend's to close; nil: its output
	// goes to the build's log.
	Streams []*os.File `json:"-"`
}

// terms is what a TERM may look like that a command is given.
var terms = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,63}$`)

// IsTerm reports whether a RunRequest may have that TERM.
func IsTerm(term string) bool { return terms.MatchString(term) }

// TaskStatus is a command that runs once beside what serves.
type TaskStatus struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // run schedule
	Name    string    `json:"name"` // what is run, without its arguments
	Release string    `json:"release"`
	Pid     int       `json:"pid"`
	By      string    `json:"by"`
	Started time.Time `json:"started"`

	Ended  time.Time `json:"ended,omitzero"`   // zero: it is running
	Exit   string    `json:"exit,omitempty"`   // how it ended
	Code   int       `json:"code,omitempty"`   // its exit code; -1: a signal ended it, or it is not known
	Signal int       `json:"signal,omitempty"` // that ended it
	Why    string    `json:"why,omitempty"`    // it was ended
}

// Tasks is the part of a Backend that runs commands once. The API responds with 404 to errors that wrap
// ErrNoBuild or ErrNoTask.
type Tasks interface {
	// Run starts a command for a caller who attends it, and returns when it is running.
	Run(ctx context.Context, name string, r RunRequest) (TaskStatus, error)
	// Attend returns how a task ended, once it has. If ctx ends before that, its caller has gone, and the
	// task is ended too.
	Attend(ctx context.Context, name, id string) (TaskStatus, error)
	// SignalTask sends a signal to all processes of a task.
	SignalTask(ctx context.Context, name, id string, sig syscall.Signal) error
}

// ErrNoTask is an error of Tasks for a task that is not known, or not any more.
var ErrNoTask = errors.New("no such task")

// maxRun bounds the body of a RunRequest: the kernel takes a quarter of 8 MiB of arguments and
// environment (execve(2)).
const maxRun = 2 << 20

// errNotHere is the response to who asks for a command from elsewhere.
const errNotHere = "commands are run over the control socket only"

// run starts a command and attends it.
func (a *api) run(w http.ResponseWriter, r *http.Request, name string) {
	ctx, ok := a.permitted(w, r, http.MethodPost, true)
	if !ok {
		return
	}
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Now().Add(bodyTimeout)) // dropped: a test's recorder has none
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRun))
	conn.SetReadDeadline(time.Time{})
	streams, here := handedBy(ctx)
	var ask RunRequest
	if err == nil {
		err = json.Unmarshal(text, &ask)
	}
	switch {
	case !here:
		refuse(w, http.StatusForbidden, errNotHere)
		return
	case err != nil:
		err = fmt.Errorf("the body is not a command to run: %w", err)
	case len(streams) != 0 && len(streams) != 3:
		err = fmt.Errorf("%d descriptors were handed over: want its input, output and error output, or none", len(streams))
	}
	if err != nil {
		closeAll(streams)
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	ask.Streams = streams
	task, err := a.backend.Run(ctx, name, ask)
	if err != nil {
		refuse(w, statusOf(err), err.Error())
		return
	}
	a.attend(ctx, w, name, task)
}

// attend responds with a task that is running, and once more when it has ended.
func (a *api) attend(ctx context.Context, w http.ResponseWriter, name string, task TaskStatus) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	conn := http.NewResponseController(w)
	say := func(v any) {
		// Errors are dropped: ctx ends when the client has gone.
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		json.NewEncoder(w).Encode(v)
		conn.Flush()
		conn.SetWriteDeadline(time.Time{})
	}
	if task.ID != "" {
		say(task)
	}
	ended, err := a.backend.Attend(ctx, name, task.ID)
	cutOff(ctx, err)
	if err != nil {
		say(map[string]string{"error": err.Error()})
		return
	}
	say(ended)
}

// tasks is the part of the API for a task that is running.
func (a *api) tasks(w http.ResponseWriter, r *http.Request, name, id, do string) {
	if _, here := r.Context().Value(connKey{}).(*handing); !here {
		refuse(w, http.StatusForbidden, errNotHere)
		return
	}
	switch do {
	case "attend":
		ended, err := a.backend.Attend(r.Context(), name, id)
		cutOff(r.Context(), err)
		if err != nil {
			refuse(w, statusOf(err), err.Error())
			return
		}
		answer(w, http.StatusOK, ended)
	case "signal":
		text := r.URL.Query().Get("signal")
		sig := unix.SignalNum("SIG" + text)
		if sig == 0 {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("signal=%s: want the name of a signal, such as INT", text))
			return
		}
		if err := a.backend.SignalTask(r.Context(), name, id, sig); err != nil {
			refuse(w, statusOf(err), err.Error())
			return
		}
		answer(w, http.StatusOK, map[string]string{"result": "done"})
	default:
		refuse(w, http.StatusNotFound, "there is nothing at "+r.URL.Path)
	}
}

// cutOff ends the connection of a request whose waiting failed because the supervisor ends: the client then
// waits for the next one, which knows how the command ends. With an error it would give up.
func cutOff(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// Run has a command run and returns how it ended. The streams are its input, output and error output,
// and stay the caller's. started is told of it once it is running. Where the supervisor ends before it,
// the error wraps ErrBrokeOff: the command goes on for some seconds, for Attend.
func (c Client) Run(ctx context.Context, name string, r RunRequest, started func(TaskStatus)) (TaskStatus, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return TaskStatus{}, fmt.Errorf("ask supervisor: %w", err)
	}
	body, err := c.send(ctx, "/v1/builds/"+url.PathEscape(name)+"/run", bytes.NewReader(text), r.Streams)
	if err != nil {
		return TaskStatus{}, err
	}
	defer body.Close()
	in := json.NewDecoder(body)
	for {
		var said struct {
			TaskStatus
			Error string
		}
		switch err := in.Decode(&said); {
		case ctx.Err() != nil:
			return TaskStatus{}, ctx.Err()
		case err != nil:
			return TaskStatus{}, fmt.Errorf("run: %w: %w", ErrBrokeOff, err)
		case said.Error != "":
			return TaskStatus{}, &Error{http.StatusOK, said.Error}
		case !said.Ended.IsZero():
			return said.TaskStatus, nil
		}
		started(said.TaskStatus)
	}
}

// Attend returns how a task ended that Run has lost, once it has.
func (c Client) Attend(ctx context.Context, name, id string) (TaskStatus, error) {
	body, err := c.send(ctx, taskPath(name, id, "attend"), nil, nil)
	if err != nil {
		return TaskStatus{}, err
	}
	defer body.Close()
	var t TaskStatus
	switch err := json.NewDecoder(body).Decode(&t); {
	case ctx.Err() != nil:
		return t, ctx.Err()
	case err != nil:
		return t, fmt.Errorf("run: %w: %w", ErrBrokeOff, err)
	}
	return t, nil
}

// SignalTask sends a signal to all processes of a task.
func (c Client) SignalTask(ctx context.Context, name, id string, sig syscall.Signal) error {
	var done struct{ Result string }
	text := strings.TrimPrefix(unix.SignalName(sig), "SIG")
	return c.ask(ctx, http.MethodPost, taskPath(name, id, "signal")+"?signal="+url.QueryEscape(text), &done)
}

func taskPath(name, id, do string) string {
	return "/v1/builds/" + url.PathEscape(name) + "/tasks/" + url.PathEscape(id) + "/" + do
}

// send posts to path, with descriptors.
func (c Client) send(ctx context.Context, path string, body io.Reader, streams []*os.File) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://supervisor"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor: %w", err)
	}
	return c.roundTrip(r, func() (net.Conn, error) {
		conn, err := connect(c.Socket)
		if err != nil || len(streams) == 0 {
			return conn, err
		}
		unixConn, ok := conn.(*net.UnixConn)
		if !ok {
			return conn, nil
		}
		return &giving{UnixConn: unixConn, streams: streams}, nil
	})
}

// giving is a connection that hands descriptors over with the first that it writes.
type giving struct {
	*net.UnixConn
	once    sync.Once
	streams []*os.File
}

func (c *giving) Write(b []byte) (n int, err error) {
	c.once.Do(func() {
		var fds []int
		for _, f := range c.streams {
			raw, rerr := f.SyscallConn() // Fd would make it blocking
			if rerr == nil {
				rerr = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
			}
			err = errors.Join(err, rerr)
		}
		if err == nil && len(b) > 0 {
			n, _, err = c.WriteMsgUnix(b[:1], unix.UnixRights(fds...), nil)
		}
	})
	if err != nil || n == len(b) {
		return n, err
	}
	m, err := c.UnixConn.Write(b[n:])
	return n + m, err
}
