package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// noListener is where gunicorn would bind if it did not get the listener it
// was handed: a place where nothing can be bound, so that it fails loudly
// instead of falling back to TCP port 8000 (gunicorn, systemd.listen_fds).
const noListener = "unix:/dev/null/the-supervisor-passed-no-listener"

// gunicornConf is the configuration file that one gunicorn reads. Names a
// version does not know are ignored in a file, where a flag would be fatal, so
// one text serves every gunicorn from 20.1 on.
func gunicornConf(b config.Build) string {
	var s strings.Builder
	set := func(name, value string) { fmt.Fprintf(&s, "%s = %s\n", name, value) }
	s.WriteString("# Written by medctrl-supervisor; an edit has no effect and is lost.\n" +
		"import os\nimport socket\nimport sys\n\n")
	set("bind", strconv.Quote(noListener))
	set("backlog", "4096")
	set("workers", strconv.Itoa(b.Workers))
	set("threads", strconv.Itoa(b.Threads))
	set("worker_class", strconv.Quote(b.WorkerClass))
	set("timeout", wholeSeconds(b.Timeout.Seconds()))
	set("graceful_timeout", wholeSeconds(b.GracefulTimeout.Seconds()))
	set("worker_tmp_dir", `"/dev/shm" if os.access("/dev/shm", os.W_OK) else None`)
	set("control_socket_disable", "True") // gunicorn 25.1 shares one in $HOME otherwise
	set("umask", fmt.Sprintf("0o%o", uint32(b.Umask)))
	s.WriteString(`

def steady_clock():
    # Before 21.0 gunicorn asks the wall clock how long a worker has been silent
    # and, when that is set ahead, kills all of them with what they hold
    # (gunicorn #1709). Later ones do by themselves as is done here.
    import time
    from gunicorn import arbiter
    from gunicorn.workers.workertmp import WorkerTmp
    code = getattr(getattr(WorkerTmp, "last_update", None), "__code__", None)
    if code is None or "st_ctime" not in code.co_names:
        return
    init = WorkerTmp.__init__

    def begin(self, cfg):
        init(self, cfg)
        self.notify()

    def notify(self):
        now = time.monotonic()
        os.utime(self._tmp.fileno(), (now, now))

    class Steady:
        def __getattr__(self, name):
            return getattr(time, "monotonic" if name == "time" else name)

    WorkerTmp.__init__, WorkerTmp.notify = begin, notify
    WorkerTmp.last_update = lambda self: os.fstat(self._tmp.fileno()).st_mtime
    arbiter.time = Steady()


try:
    steady_clock()
except Exception as err:  # a gunicorn that is made otherwise serves all the same
    sys.stderr.write("the clock of gunicorn's timeout stays the wall clock: %s\n" % err)


def post_worker_init(worker):
    # The worker has loaded the application: tell the supervisor. After the
    # proof nobody listens any more, which is no error.
    fd = os.environ.get("MEDCTRL_READY_FD")
    if fd is None:
        return
    try:
        with socket.socket(fileno=os.dup(int(fd))) as s:
            s.send(b"%d %d" % (worker.pid, worker.cfg.workers))
    except OSError:
        pass
`)
	return s.String()
}

// wholeSeconds rounds up: gunicorn's timeouts are whole seconds, and 0 would
// switch them off.
func wholeSeconds(s float64) string {
	n := int(s)
	if float64(n) < s {
		n++
	}
	return strconv.Itoa(n)
}

// confName is the name of the configuration that goes with a RunKey.
func confName(runKey string) string { return "gunicorn-" + runKey + ".conf.py" }

// writeConf puts the text of a gunicorn configuration into dir under a name
// made of its contents, readable by the group gid (-1: our own), and answers
// its path. What is there already is not written again.
func writeConf(dir, name, text string, gid int) (string, error) {
	path := filepath.Join(dir, confName(name))
	if have, err := os.ReadFile(path); err == nil && string(have) == text {
		return path, nil
	}
	temp, err := os.CreateTemp(dir, ".gunicorn-*.tmp")
	if err != nil {
		return "", fmt.Errorf("write gunicorn configuration: %w", err)
	}
	_, err = temp.WriteString(text)
	if err == nil {
		err = temp.Chmod(0o640)
	}
	if err == nil && gid >= 0 {
		err = temp.Chown(-1, gid)
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name()) // what failed is reported, not this
		return "", fmt.Errorf("write gunicorn configuration %s: %w", path, err)
	}
	return path, nil
}
