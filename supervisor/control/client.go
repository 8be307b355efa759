package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client asks the supervisor that listens on Socket. It keeps no connection between calls. Errors
// wrap ErrNoSupervisor, or are an *Error, or describe a broken connection.
type Client struct {
	Socket string
	File   string // the file that led to Socket, for errors to name; may be ""
}

// ErrNoSupervisor means that nothing listens on the control socket.
var ErrNoSupervisor = errors.New("no supervisor is running")

// Error is an error response from the supervisor.
type Error struct {
	Status  int // HTTP
	Message string
}

func (e *Error) Error() string { return e.Message }

const (
	connectTimeout = 2 * time.Second
	answerTimeout  = 30 * time.Second // for requests that the supervisor responds to at once
	reloadTimeout  = time.Minute      // for a reload, which looks at the sources of all builds
	maxAnswer      = 64 << 20
)

// Listened reports whether somebody listens on the control socket, or may do so where we may not look.
func (c Client) Listened() bool {
	conn, err := connect(c.Socket)
	if err == nil {
		conn.Close() // nothing was asked
	}
	return err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
}

// Status returns the status of everything.
func (c Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.ask(ctx, http.MethodGet, "/v1/status", &s)
}

// Detail returns everything known about one build.
func (c Client) Detail(ctx context.Context, name string) (BuildDetail, error) {
	var d BuildDetail
	return d, c.ask(ctx, http.MethodGet, "/v1/builds/"+url.PathEscape(name), &d)
}

// Reload makes the supervisor read the file again and returns what changes, or why the file is not
// applied; dryRun changes nothing.
func (c Client) Reload(ctx context.Context, dryRun bool) (changes []string, err error) {
	path := "/v1/reload"
	if dryRun {
		path += "?dry_run=1"
	}
	var got struct{ Changes []string }
	err = c.askFor(ctx, reloadTimeout, http.MethodPost, path, &got)
	return got.Changes, err
}

// Log calls each with the last lines of a build's output and, if q says so, with new ones as they
// come, until each returns an error, which Log returns, or the supervisor or ctx ends.
func (c Client) Log(ctx context.Context, name string, q LogQuery, each func([]byte) error) error {
	path := "/v1/logs/" + url.PathEscape(name) + "?lines=" + strconv.Itoa(q.Lines)
	if q.Follow {
		path += "&follow=1"
	}
	if q.Build {
		path += "&build=1"
	}
	if q.Schedule != "" {
		path += "&schedule=" + url.QueryEscape(q.Schedule)
	}
	if !q.Since.IsZero() {
		path += "&since=" + url.QueryEscape(q.Since.UTC().Format(time.RFC3339)) // lines may have whole seconds
	}
	if !q.Until.IsZero() {
		path += "&until=" + url.QueryEscape(q.Until.UTC().Format(time.RFC3339Nano))
	}
	if q.Match != nil {
		path += "&grep=" + url.QueryEscape(q.Match.String())
	}
	if q.Records {
		path += "&format=json"
	}
	body, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close()
	for text := make([]byte, 32<<10); ; {
		n, err := body.Read(text)
		if n > 0 {
			if err := each(text[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && q.Follow && ctx.Err() == nil:
			return errors.New("follow log: the supervisor ended")
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read log of %s: %w", name, err)
		}
	}
}

// Act carries out an action on a build and returns when its result holds, or with the reason why it
// cannot, also where another supervisor takes over meanwhile. progress, which may be nil, is told what is
// going on. Ending ctx ends the waiting, not the action.
func (c Client) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (Outcome, error) {
	query := url.Values{}
	for key, value := range args {
		query.Set(key, value)
	}
	path := "/v1/builds/" + url.PathEscape(name) + "/" + url.PathEscape(action)
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	before := ""
	if action == "rollback" && args["to"] == "" {
		before = c.serving(ctx, name)
	}
	var last step
	err := c.carriedOn(ctx, action+" "+name, progress, func(again bool) (err error) {
		if again && before != "" && c.serving(ctx, name) != before {
			return nil // it had been done: another one would go further back
		}
		last, err = c.follow(ctx, path, progress)
		return err
	})
	return last.Outcome, err
}

// serving returns the release that a build serves, "" where that is not known.
func (c Client) serving(ctx context.Context, name string) string {
	var s Status
	if c.ask(ctx, http.MethodGet, "/v1/status?usage=no", &s) != nil {
		return ""
	}
	for _, b := range s.Builds {
		if b.Name == name {
			return b.Release
		}
	}
	return ""
}

// How long a command whose supervisor ended waits for the next one, how often it looks for it, and how many
// supervisors it outlives.
const (
	successorLimit  = 15 * time.Second
	successorPoll   = 100 * time.Millisecond
	mostSupervisors = 10
)

// carriedOn has a command done, by the next supervisor where the one that was asked is replaced or killed
// meanwhile: it reads of what was asked for what is not done, and is asked to say how it ends.
func (c Client) carriedOn(ctx context.Context, command string, progress func(string), do func(again bool) error) error {
	err := do(false)
	for n := 1; n < mostSupervisors && errors.Is(err, ErrBrokeOff); n++ {
		if !c.succeeded(ctx) {
			break
		}
		if progress != nil {
			progress("the supervisor was replaced meanwhile: its successor goes on with " + command)
		}
		err = do(true)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrBrokeOff):
		return fmt.Errorf("%s: %w", command, err)
	}
	return err
}

// succeeded reports whether a supervisor responds soon.
func (c Client) succeeded(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, successorLimit)
	defer cancel()
	for {
		var s Status
		if c.ask(ctx, http.MethodGet, "/v1/status?usage=no", &s) == nil {
			return true
		}
		select {
		case <-time.After(successorPoll): // there is no event to wait for
		case <-ctx.Done():
			return false
		}
	}
}

// Deploy has what is in a build's source now built, where it has changed, and returns when it serves,
// or with the reason why it does not; with wait false at once, and with nothing to say. Otherwise it is
// as Act.
func (c Client) Deploy(ctx context.Context, name string, wait bool, progress func(string)) (Deployed, error) {
	path := "/v1/builds/" + url.PathEscape(name) + "/deploy"
	if !wait {
		path += "?wait=no"
	}
	var last step
	err := c.carriedOn(ctx, "deploy "+name, progress, func(bool) (err error) {
		last, err = c.follow(ctx, path, progress)
		return err
	})
	if err != nil || last.Deployed == nil {
		return Deployed{}, err
	}
	return *last.Deployed, nil
}

// Upgrade makes the supervisor execute the new program in its place, and returns when the new one
// responds, or with the reason why the old one keeps running.
func (c Client) Upgrade(ctx context.Context, progress func(string)) (Status, error) {
	if _, err := c.follow(ctx, "/v1/upgrade", progress); !errors.Is(err, ErrBrokeOff) {
		return Status{}, err
	}
	// It has been executed; its socket was open all the time. Do not ask what builds use: the new
	// supervisor is busy enough.
	var s Status
	return s, c.ask(ctx, http.MethodGet, "/v1/status?usage=no", &s)
}

// ErrBrokeOff means that the supervisor ended before it sent a result.
var ErrBrokeOff = errors.New("the supervisor ended before it was done")

// follow posts to path and passes each step to progress until the last one comes, which has the result.
func (c Client) follow(ctx context.Context, path string, progress func(string)) (last step, err error) {
	body, err := c.do(ctx, http.MethodPost, path)
	if err != nil && ctx.Err() == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		return last, fmt.Errorf("%w: %w", ErrBrokeOff, err) // before it had anything to say
	}
	if err != nil {
		return last, err
	}
	defer body.Close()
	for in := json.NewDecoder(body); ; {
		var s step
		switch err := in.Decode(&s); {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case err != nil:
			return last, fmt.Errorf("%w: %w", ErrBrokeOff, err)
		case s.Error != "":
			return last, &Error{http.StatusOK, s.Error}
		case s.Result != "":
			return s, nil
		case progress != nil:
			progress(s.Progress)
		}
	}
}

// Events calls each with past events, in order, and with follow also with new ones, until each or
// the stream returns an error or ctx ends. Without follow it returns nil after the last past event.
func (c Client) Events(ctx context.Context, follow bool, each func(Event) error) error {
	path := "/v1/events"
	if !follow {
		path += "?follow=0"
	}
	body, err := c.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	dropped := false
	for lines.Scan() {
		name, data, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "event":
			dropped = data == "dropped"
		case name == "data" && dropped:
			return errors.New("follow events: the supervisor ended the stream: " + errorIn([]byte(data), data))
		case name == "data":
			var e Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				return fmt.Errorf("read event: %w", err)
			}
			if err := each(e); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil || !follow {
		return err
	}
	return errors.New("follow events: the supervisor ended")
}

// ask sends a request that is answered at once and decodes the response into v.
func (c Client) ask(ctx context.Context, method, path string, v any) error {
	return c.askFor(ctx, answerTimeout, method, path, v)
}

// askFor is ask within a time.
func (c Client) askFor(ctx context.Context, limit time.Duration, method, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, err := c.do(ctx, method, path)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read response of the supervisor at %s: %w", c.Socket, err)
	}
	return nil
}

// do sends a request and returns the body of a successful response.
func (c Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor: %w", err)
	}
	return c.roundTrip(r, func() (net.Conn, error) { return connect(c.Socket) })
}

// roundTrip sends a request over a connection of its own.
func (c Client) roundTrip(r *http.Request, dial func() (net.Conn, error)) (io.ReadCloser, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return dial() },
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // use what came
		return nil, &Error{resp.StatusCode, errorIn(text, resp.Status)}
	}
	return resp.Body, nil
}

// errorIn returns the "error" of a JSON object, or otherwise.
func errorIn(text []byte, otherwise string) string {
	var said struct{ Error string }
	if json.Unmarshal(text, &said) != nil || said.Error == "" {
		return otherwise
	}
	return said.Error
}

// explain says what an error of the connection means and what to do.
func (c Client) explain(err error) error {
	file, whose := c.File, ""
	if file == "" {
		file = "FILE"
	} else {
		whose = ", the path that follows from " + file
	}
	todo := fmt.Sprintf("start one with `medctrl-supervisor -c %s`, or name the file of the running one with -c", file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no socket at %s%s: %s", ErrNoSupervisor, c.Socket, whose, todo)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nothing listens on %s%s: %s", ErrNoSupervisor, c.Socket, whose, todo)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ask supervisor at %s: permission denied: run the command as root or as the user that the supervisor runs as", c.Socket)
	case isTimeout(err):
		return fmt.Errorf("ask supervisor at %s: it accepts the connection but does not respond: see its log, and whether it is stopped (state T in ps)", c.Socket)
	}
	return fmt.Errorf("ask supervisor at %s: %w", c.Socket, err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
