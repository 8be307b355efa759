# What every generated gunicorn configuration ends with.
import os
import socket
import sys


def steady_clock():
    # Before 21.0 gunicorn asks the wall clock how long a worker has been silent and, when that is
    # set ahead, kills all of them with what they hold (gunicorn #1709). Later versions do
    # themselves what is done here.
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
except Exception as err:  # a gunicorn with other internals must still serve
    sys.stderr.write("gunicorn's timeout keeps using the wall clock: %s\n" % err)


def post_worker_init(worker):
    # The worker has loaded the application: tell the supervisor. Nobody listens any more once the
    # release has passed its check, so an error is ignored.
    fd = os.environ.get("MEDCTRL_READY_FD")
    if fd is None:
        return
    try:
        with socket.socket(fileno=os.dup(int(fd))) as s:
            s.send(b"%d %d" % (worker.pid, worker.cfg.workers))
    except OSError:
        pass
