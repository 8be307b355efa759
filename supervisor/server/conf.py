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


def own_static_files(folder):
    # The application reads the static files of its own release (staticfiles.json of a manifest,
    # WhiteNoise), whatever STATIC_ROOT holds at that moment. Django is not imported for this: the
    # application may have to set up something before. Whatever loads django.conf first runs this.
    import importlib.abc
    import importlib.util

    def override(settings):
        options = (getattr(settings, "STORAGES", None) or {}).get("staticfiles", {}).get("OPTIONS", {})
        if options.get("location"):
            options["location"] = folder
        settings.STATIC_ROOT = folder

    def patch(conf):
        init = conf.Settings.__init__

        def begin(self, *args, **kwargs):
            init(self, *args, **kwargs)
            try:
                override(self)
            except Exception as err:
                complain(err)

        conf.Settings.__init__ = begin

    def complain(err):
        sys.stderr.write("the application reads static files from STATIC_ROOT: %s\n" % err)

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "django.conf":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                return spec
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                try:
                    patch(module)
                except Exception as err:
                    complain(err)

            spec.loader.exec_module = exec_module
            return spec

    if "django.conf" in sys.modules:
        patch(sys.modules["django.conf"])
    else:
        sys.meta_path.insert(0, Finder())


if os.environ.get("MEDCTRL_STATIC"):
    try:
        own_static_files(os.environ["MEDCTRL_STATIC"])
    except Exception as err:
        sys.stderr.write("the application reads static files from STATIC_ROOT: %s\n" % err)


def tell_hidden(err):
    # "raise Unusable() from None" leaves out of the traceback that a database was away, by which the
    # supervisor knows that another try may succeed. Of what is left out nothing else is shown: it may
    # have been for a reason.
    import traceback
    seen, queue = set(), [(err, False)]
    while queue:
        e, left_out = queue.pop()
        if e is None or id(e) in seen:
            continue
        seen.add(id(e))
        names = [c.__name__ for c in type(e).__mro__]
        outside = isinstance(e, OSError) or any(
            word in name for name in names for word in ("DatabaseError", "InterfaceError", "Connection", "Timeout", "AutoReconnect"))
        if left_out and outside:
            said = "".join(traceback.format_exception_only(type(e), e))
            sys.stderr.write("caused by " + " ".join(said.split()) + "\n")
        queue.append((e.__cause__, left_out))
        queue.append((e.__context__, left_out or e.__suppress_context__))


def worker_exit(server, worker):
    # gunicorn calls it while the exception is on its way by which a worker could not boot.
    err = sys.exc_info()[1]
    if err is not None and not getattr(worker, "booted", True):
        try:
            tell_hidden(err)
        except Exception:  # it is a remark
            pass


def tell_uncaught(hook):
    # Of the master, which loads the application with --preload.
    def uncaught(kind, err, trace):
        hook(kind, err, trace)
        try:
            tell_hidden(err)
        except Exception:
            pass
    return uncaught


sys.excepthook = tell_uncaught(sys.excepthook)


class AnyParent(int):
    # A worker compares this with its parent and leaves when they differ.
    def __ne__(self, other):
        return False


def post_worker_init(worker):
    # Workers whose master was killed serve until a supervisor ends them. One does so at once, with
    # their requests finished; if it was killed too, they are all that holds the socket until the
    # next one starts.
    if isinstance(getattr(worker, "ppid", None), int):
        worker.ppid = AnyParent(worker.ppid)
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
