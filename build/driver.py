# Runs commands of manage.py one after the other in one process, as descriptor 3 asks for them: loading the application costs
# more than most of them. A failing command ends the process, with its own exit code.
import array
import contextlib
import fcntl
import os
import runpy
import socket
import sys

home = os.getcwd()
app = sys.argv[1]
mask = os.umask(0)
os.umask(mask)
held = []


def main():
    link = socket.socket(fileno=3)
    link.set_inheritable(False)
    sys.path[0] = app  # as for `python manage.py`
    while True:
        request = link.recv(1 << 16).decode()
        if not request:
            return
        if request.split("\0")[0] == "lock":
            lock(link, request.split("\0")[1:] or names())
        elif request == "unlock":
            while held:  # nobody need wait for what follows, nor for what it left behind
                fcntl.flock(held[-1], fcntl.LOCK_UN)
                os.close(held.pop())
        else:
            args = request.split("\0")
            if args[0] == "migrate":
                migrate(link, args)
            elif args[0] == "collectstatic":
                collect(link, args[1], [args[0]] + args[2:])
            else:
                manage(args)
        sys.stdout.flush()
        sys.stderr.flush()
        link.send(b"done")


def manage(args):
    # As it found them, not as the command before left them.
    os.chdir(home)
    os.umask(mask)
    sys.argv = ["manage.py"] + args
    try:
        runpy.run_path(os.path.join(app, "manage.py"), run_name="__main__")
    except SystemExit as e:
        if e.code not in (None, 0):
            raise


# Tells how far a migration is: one that fails before it has reached its database has changed nothing and may be repeated.
class Stage:
    def __init__(self, link, alias):
        self.link, self.alias, self.now = link, alias, "outside"

    def say(self, now):
        if now != self.now:
            self.now = now
            self.link.send(b"stage " + now.encode())
            self.link.recv(1)  # what follows may end this process

    def connected(self, connection, **_):
        if connection.alias == self.alias:
            self.say("begun")


def migrate(link, args):
    stage = Stage(link, next((a.split("=", 1)[1] for a in args if a.startswith("--database=")), "default"))
    try:
        watched = watch(stage)
    except Exception:
        watched = None  # no Django, or one that we do not know
    if watched is None:
        return manage(args)
    utility, execute = watched
    stage.link.send(b"stage outside")
    stage.link.recv(1)
    try:
        manage(args)
    except BaseException as e:
        if stage.now == "connecting" and not of_database(e):
            stage.say("begun")  # it would fail again
        raise
    finally:
        utility.execute = execute


# Has stage told of Django's command and of the first connection to the database.
def watch(stage):
    from django.conf import settings
    from django.core.management import ManagementUtility
    from django.db import connections
    from django.db.backends.signals import connection_created

    connected = False
    if settings.configured:  # a command before may have left a connection
        connections[stage.alias].close()
        connected = connections[stage.alias].connection is not None
    execute = ManagementUtility.execute

    def told(self):
        stage.say("begun" if connected else "connecting")
        return execute(self)

    connection_created.connect(stage.connected, weak=False)
    ManagementUtility.execute = told
    return ManagementUtility, execute


def of_database(e):
    from django.db.utils import Error

    seen = set()
    while e is not None and id(e) not in seen:
        if isinstance(e, Error):
            return True
        seen.add(id(e))
        e = e.__cause__ or e.__context__
    return False


# Collects static files into a folder of the release in the place of STATIC_ROOT, which has those of the release that serves.
def collect(link, folder, args):
    try:
        from django.core.management import ManagementUtility
    except Exception:
        return manage(args)  # no Django, or one that we do not know
    fetch = ManagementUtility.fetch_command

    def told(self, name):  # once Django is set up
        try:
            divert(link, folder)
        except Exception as e:
            print("static files are collected where the settings say: %s: %s" % (type(e).__name__, e), flush=True)
        return fetch(self, name)

    ManagementUtility.fetch_command = told
    try:
        manage(args)
    finally:
        ManagementUtility.fetch_command = fetch


# Has the storage of static files use another folder, and tells which one it used. A storage without a folder, or with one of
# its own making, is left as it is, and so is one whose folder lies in the release itself.
def divert(link, folder):
    from django.conf import settings
    from django.contrib.staticfiles import storage
    from django.utils.functional import empty

    def place():
        storage.staticfiles_storage._wrapped = empty
        try:
            from django.core.files.storage import storages

            storages._storages.pop("staticfiles", None)
        except ImportError:  # Django before 4.2
            pass
        try:
            return os.path.abspath(storage.staticfiles_storage.path(""))
        except Exception:  # what is wrong with it is for collectstatic to say
            return None

    def use(root, location):
        options = getattr(settings, "STORAGES", {}).get("staticfiles", {}).get("OPTIONS", {})
        before = settings.STATIC_ROOT, options.get("location")
        settings.STATIC_ROOT = root
        if before[1] is not None:
            options["location"] = location
        return before

    root = place()
    if root is None:
        return
    before = use(folder, folder)
    if place() == os.path.abspath(folder):
        link.send(b"static " + os.fsencode(root))
        if link.recv(16) == b"divert":
            return
    else:
        print("static files are collected straight into %s, which their storage itself names" % root, flush=True)
    use(*before)
    place()


# The locks are held by this process, and so exactly as long as it migrates, whatever becomes of who started it.
def lock(link, databases):
    for name in sorted(set(databases)) + [""]:  # last the one that says: this process migrates
        link.send(b"lock " + name.replace("\0", " ").encode(errors="replace")[:60000])
        _, ancillary, _, _ = link.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
        fds = array.array("i")
        fds.frombytes(ancillary[0][2][: fds.itemsize])
        os.set_inheritable(fds[0], False)
        held.append(fds[0])
        try:
            fcntl.flock(fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("another migration of this database runs: waiting for its end", flush=True)
            fcntl.flock(fds[0], fcntl.LOCK_EX)


# The settings are those that manage.py sets up, which may load more than the module. What is wrong with them is for migrate
# to say; until then all builds of unknown databases wait for each other.
def names():
    try:
        from django.conf import settings

        if not settings.configured:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                manage(["version"])
        if settings.configured:
            return [name_of(d) for d in settings.DATABASES.values()]
    except (Exception, SystemExit):
        pass
    return ["unknown"]


# One database has one name, from whichever build. Two databases with one name merely wait for each other.
def name_of(database):
    engine, name, options = str(database.get("ENGINE") or ""), str(database.get("NAME") or ""), database.get("OPTIONS") or {}
    if "sqlite" in engine or "spatialite" in engine:
        return "file " + (os.path.realpath(name) if name and ":memory:" not in name else name)
    host, port = str(database.get("HOST") or ""), str(database.get("PORT") or "")
    if host.lower() in ("", "localhost", "127.0.0.1", "::1") or host.startswith("/"):
        host = "localhost"
    if not port:
        port = "3306" if "mysql" in engine else "5432" if "postg" in engine else ""
    elsewhere = "" if name else " ".join(str(options.get(k) or "") for k in ("read_default_file", "service", "passfile"))
    return "server %s %s %s %s" % (host.lower(), port, name, elsewhere)


main()
