# Runs commands of manage.py one after the other in one process, as descriptor 3 asks for them: loading the application costs
# more than most of them. A failing command ends the process, with its own exit code.
import contextlib
import errno
import fcntl
import os
import runpy
import select
import socket
import sys
import threading

home = os.getcwd()
app = sys.argv[1]
mask = os.umask(0)
os.umask(mask)


def main():
    link = keep()
    sys.path[0] = app  # as for `python manage.py`
    while True:
        request = over(link.recv, 1 << 16).decode()
        if not request:
            return
        if request.split("\0")[0] == "lock":
            lock(link, request.split("\0")[1:] or names())
        elif request.split("\0")[0] == "databases":
            need(link, request.split("\0")[1:])
        else:
            try:
                run(link, request.split("\0"))
            except BaseException as e:
                Kept.restore()  # else nobody reads why
                if away(e) and (not Stage.reached or of_driver(e)):
                    tell(link, b"stage away")
                elif refused(e):
                    tell(link, b"stage refused")
                elif request.split("\0")[0] in ("check", "collectstatic") and own(e):
                    tell(link, b"stage own")
                raise
        Kept.restore()
        sys.stdout.flush()
        sys.stderr.flush()
        over(link.send, b"done")


# The descriptors that nothing may close. Programs close all that they do not know before they go on in the background, mostly by
# os.closerange(3, 1024), or one by one up to the limit.
class Kept:
    mine = set()
    standard = []  # copies of what was standard input, output and error output at first

    # A command may have closed or exchanged them.
    @staticmethod
    def restore():
        with contextlib.suppress(OSError):  # something closes past Python
            for number, copy in enumerate(Kept.standard):
                os.dup2(copy, number)


# Moves what must stay open out of the way of others, and returns the link to the supervisor.
def keep():
    def moved(fd):
        for least in (1024, 3):
            try:
                at = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
            except OSError:  # more than may be open
                continue
            Kept.mine.add(at)
            return at

    link = socket.socket(fileno=moved(3))
    os.close(3)
    Kept.standard = [moved(fd) for fd in (0, 1, 2)]
    close, closerange = os.close, os.closerange

    def close_but_kept(fd):
        if fd not in Kept.mine:
            close(fd)

    def closerange_but_kept(low, high):
        for fd in sorted(Kept.mine):
            if low <= fd < high:
                closerange(low, fd)
                low = fd + 1
        closerange(low, high)

    os.close, os.closerange = close_but_kept, closerange_but_kept
    return link


# Ends the process where the settings lack a database that the key migrate names, before any of them is migrated.
def need(link, databases):
    try:
        from django.conf import settings
    except ImportError:
        return  # whatever is migrated, it is not Django's

    missing = [name for name in databases if settings.configured and name not in settings.DATABASES]
    if missing:
        tell(link, b"stage own")
        sys.exit("migrate names the database %s, and DATABASES in the settings has only %s" % (", ".join(missing), ", ".join(settings.DATABASES)))


# What follows may end this process.
def tell(link, what):
    over(link.send, what)
    over(link.recv, 1)


# Calls what needs the link.
def over(call, what):
    try:
        return call(what)
    except OSError as e:
        if e.errno in (errno.EBADF, errno.ENOTSOCK):
            sys.exit("manage.py, the settings or what they import closed or replaced all descriptors of the process that runs them, past Python: "
                     "that belongs into a program that goes on in the background")
        raise


def run(link, args):
    Stage.reached = False
    if args[0] == "migrate":
        migrate(link, args)
    elif args[0] == "collectstatic":
        collect(link, args[1], [args[0]] + args[2:])
    elif args[0] == "look":
        follow(link)
        look(link, args[1] == "check", args[2], args[3:])
    elif args[0] == "lacking":
        lacking(link, args[1:])
    elif args[0] == "whole":
        with contextlib.suppress(ImportError):
            import django.db  # what is no Django says nothing of itself
            whole(args[1])
    else:
        manage(args)


def manage(args):
    # As it found them, not as the command before left them.
    Kept.restore()
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
    reached = False  # one has
    whole = False  # Django's command has returned: an exit may have come before, with exit code 0

    def __init__(self, link, alias):
        self.link, self.alias, self.now = link, alias, ""

    def begins(self):
        Stage.reached = True
        self.say("begun")

    def say(self, now):
        if now != self.now:
            self.now = now
            tell(self.link, b"stage " + now.encode())

    def connected(self, connection, **_):
        if connection.alias == self.alias:
            self.begins()


def migrate(link, args):
    stage = Stage(link, next((a.split("=", 1)[1] for a in args if a.startswith("--database=")), "default"))
    try:
        watched = watch(stage)
    except Exception:
        watched = None  # no Django, or one that we do not know
    if watched is None:
        return manage(args)
    utility, execute = watched
    Stage.whole = False
    stage.say("outside")
    try:
        manage(args)
        if not Stage.whole and stage.now != "elsewhere":
            whole(stage.alias)
    except BaseException as e:
        if stage.now == "connecting" and not of_database(e):
            stage.say("begun")  # it would fail again
        raise
    finally:
        utility.execute = execute
        stage.now = "over"


# Ends the process where a migration that seemed to be done left something out. A project may do without Django's databases.
def whole(alias):
    from django.conf import settings

    if not settings.DATABASES.get(alias, {}).get("ENGINE"):
        return
    try:
        lacks = lacked(alias)
    except SystemExit as e:
        if e.code not in (None, 0):
            raise
        lacks = "what the database %s lacks cannot be told" % alias
    if lacks:
        sys.exit("migrate ended with exit code 0 before it was done: does a migration, an application or a signal's receiver call exit? Now %s" % lacks)


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
        stage.begins() if connected else stage.say("connecting")
        execute(self)
        Stage.whole = True

    # A manage.py may go on in another process, which says nothing: whatever that does must not be done twice.
    def elsewhere(event, _):
        if stage.now == "outside" and event in ("os.exec", "os.fork", "os.posix_spawn", "os.system", "subprocess.Popen"):
            Stage.reached = True
            stage.say("elsewhere")

    if hasattr(sys, "addaudithook"):  # Python 3.8
        sys.addaudithook(elsewhere)
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


# Whether a database's driver raised it, or Django in its place. What a migration that has begun says of another server is no
# reason to do its first half once more.
def of_driver(e):
    seen = set()
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        if {c.__name__ for c in type(e).__mro__} & {"DatabaseError", "InterfaceError"} or any(of_driver(one) for one in getattr(e, "exceptions", ())):
            return True
        e = e.__cause__ or e.__context__
    return False


# Ends this process with the supervisor that asked: nothing is lost, and a login may hang for ever.
def follow(link):
    def wait():
        hangup = select.poll()
        hangup.register(link, 0)
        hangup.poll()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


# Logs in to databases and looks for migrations that they lack, and changes nothing. As of Django 3.1 it is also
# `check --database` and `migrate --check`, which earlier ones do not know. host is another one that migrates, "" where there is none.
def look(link, check, host, aliases):
    try:
        import django.db
    except ImportError:
        return  # what is no Django has its database to itself
    for alias in aliases:
        lacks = lacked(alias)
        if lacks and host:
            tell(link, b"stage away")  # it will have migrated
            sys.exit("%s: %s, which once_on names, applies them" % (lacks, host))
        if lacks:
            sys.exit("%s: `rebuild %s` applies them" % (lacks, os.environ["MEDCTRL_BUILD"]))
    if check:
        manage(["check"] + ["--database=" + a for a in aliases if django.VERSION >= (3, 1)])


# Tells of the first database that lacks migrations, of those that another host applies.
def lacking(link, aliases):
    try:
        import django.db
    except ImportError:
        return
    for alias in aliases:
        lacks = lacked(alias)
        django.db.connections[alias].close()  # no login is held while it waits
        if lacks:
            return tell(link, b"lacks " + lacks.encode(errors="replace"))


# What a database lacks, in words, "" where it has all migrations of the release.
def lacked(alias):
    from django.apps import apps
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    if not apps.ready:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            manage(["version"])  # the settings are those that manage.py sets up
        import django

        django.setup()
    connections[alias].ensure_connection()
    executor = MigrationExecutor(connections[alias])
    lacks = ["%s.%s" % (m.app_label, m.name) for m, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    more = ", and %d more" % (len(lacks) - 3) if len(lacks) > 3 else ""
    return lacks and "the database %s lacks the migrations %s%s" % (alias, ", ".join(lacks[:3]), more) or ""


# Whether what failed may have failed because something could not be reached, or was lost: then it may pass by itself.
# What says most about it is nearest to the beginning of the chain.
def away(e):
    seen, verdict = set(), False
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        of_this = reachable(e)
        if of_this is not None:
            verdict = not of_this
        for one in getattr(e, "exceptions", ()):  # of a group
            if away(one):
                return True
        e = e.__cause__ or e.__context__
    return verdict


# MySQL and MariaDB: no access (with a password, without one, to this database, from this host), an account that is locked or
# must change its password.
# And of SQL Server.
LOGIN = {1044, 1045, 1130, 1698, 1820, 1862, 3118, 4151, 18456}
LOGIN_WORDS = (
    "access denied for user", "password authentication failed", "authentication failed for user", "no pg_hba.conf entry",
    "no password supplied", "is not permitted to log in", "ora-01017", "ora-28000", "ora-28001",
    "ora-01005", "ora-01045", "login failed for user",
)


# The number and the SQLSTATE that an exception of a driver has, None for what it has not.
def codes(e):
    code, state = e.args[0] if e.args else None, getattr(e, "sqlstate", None) or getattr(e, "pgcode", None)
    if isinstance(code, tuple) and code:  # pymssql: ((number, text),)
        code = code[0]
    if not isinstance(state, str):  # pyodbc: (state, text), where HY000 says nothing
        odbc = len(e.args) == 2 and isinstance(code, str) and len(code) == 5 and code.isalnum() and code != "HY000"
        state = code if odbc else None
    return code if isinstance(code, int) else None, state


# Whether a database refused the login. Until somebody changes what it is given, it refuses that again, and may lock the account.
def refused(e):
    seen = set()
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        if {c.__name__ for c in type(e).__mro__} & {"DatabaseError", "InterfaceError"}:
            code, state = codes(e)
            if code is not None:
                found = code in LOGIN
            elif state is not None:
                found = state.startswith("28")
            else:
                found = any(w in str(e).lower() for w in LOGIN_WORDS)
            if found:
                return True
        for one in getattr(e, "exceptions", ()):  # of a group
            if refused(one):
                return True
        e = e.__cause__ or e.__context__
    return False


# Whether it is the code or the settings themselves that failed, and so would fail again. What the system or a database said,
# and an exit without a reason, may have passed by then.
def own(e):
    seen, reason = set(), False
    while e is not None and id(e) not in seen:
        seen.add(id(e))
        if isinstance(e, (OSError, MemoryError, KeyboardInterrupt)):
            return False
        if {c.__name__ for c in type(e).__mro__} & {"DatabaseError", "InterfaceError"} or getattr(e, "exceptions", ()):
            return False  # a group may hold any of these
        reason = reason or isinstance(e, Exception)
        e = e.__cause__ or e.__context__
    return reason


# Errors of MySQL and MariaDB (errmsg.h, mysqld_error.h): no connection, a connection lost, a server that ends or is full.
MYSQL = {1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2055, 4031}
# Of PostgreSQL (errcodes.txt), in addition to class 08: the server ends, has crashed, or starts; it has too many clients.
POSTGRES = {"57P01", "57P02", "57P03", "53300"}
# Of SQL Server: FreeTDS cannot connect or has lost its connection, and Azure's server is busy or moves.
SQL_SERVER = {20002, 20003, 20004, 20006, 20009, 20047, 40197, 40501, 40613}
# Of ODBC, in addition to class 08: a time for the login or the connection is over.
ODBC = {"HYT00", "HYT01"}
# Where there is no number: libpq's words, its poolers', SQLite's, Oracle's numbers.
WORDS = (
    "connection refused", "could not connect", "server closed the connection", "connection already closed", "connection is closed",
    "could not translate host name", "name or service not known", "temporary failure in name resolution", "timeout expired",
    "timed out", "no route to host", "network is unreachable", "connection reset", "terminating connection", "the database system is",
    "too many clients", "remaining connection slots", "has been closed unexpectedly", "lost connection", "connection lost",
    "no such file or directory\n\tis the server running", "database is locked", "unable to open database file",
    "ssl syscall error", "connection is lost", "couldn't get a connection", "no more connections allowed", "server_login_retry",
    "database table is locked",
    "ora-12541", "ora-12514", "ora-12170", "ora-03113", "ora-03114", "ora-01033", "ora-01034", "ora-00018", "ora-00020", "ora-03135",
    "ora-12516", "ora-12518", "ora-12519", "ora-12520", "ora-12528", "ora-12537", "ora-12543", "ora-12545", "ora-12547", "ora-12571",
    "dpy-1001", "dpy-4011", "dpy-6000", "dpy-6005",
)
NAMES = {
    "ConnectionError", "ConnectTimeout", "ReadTimeout", "ConnectTimeoutError", "ReadTimeoutError", "NewConnectionError", "TimeoutError",
    "ServerSelectionTimeoutError", "AutoReconnect", "NoBrokersAvailable", "EndpointConnectionError", "NameResolutionError",
}


# None: this exception does not tell.
def reachable(e):
    names = {c.__name__ for c in type(e).__mro__}
    # Of a driver (PEP 249), or Django's name for it; Oracle's and libpq's wrappers raise the plain class as well.
    if names & {"OperationalError", "InterfaceError"} or type(e).__name__ == "DatabaseError":
        code, state = codes(e)
        if code is not None:
            return code not in MYSQL | SQL_SERVER and (code != 0 or "InterfaceError" not in names)  # (0, ''): it was lost before
        if state is not None:
            return not state.startswith("08") and state not in POSTGRES | ODBC
        return not any(w in str(e).lower() for w in WORDS)
    if names & {"ProgrammingError", "IntegrityError", "DataError"}:
        return True
    if isinstance(e, (ConnectionError, TimeoutError, socket.timeout, socket.gaierror)) or names & NAMES:
        return False
    if isinstance(e, OSError) and e.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN):
        return False
    return None


class Elsewhere(BaseException):
    pass


# Collects static files into a folder of the release in the place of STATIC_ROOT, which has those of the release that serves.
def collect(link, folder, args):
    try:
        from django.core.management import ManagementUtility
    except Exception:
        ManagementUtility = None  # no Django, or one that we do not know
    if ManagementUtility is None:
        return manage(args)
    fetch = ManagementUtility.fetch_command

    own = [hasattr(sys, "addaudithook")]  # manage.py is at its own lines; Python 3.8

    # A manage.py that goes on in another process would collect where the settings say.
    def elsewhere(event, args):
        if own[0] and event in ("os.exec", "os.posix_spawn", "os.system", "subprocess.Popen") and "manage.py" in str(args):
            raise Elsewhere

    def told(self, name):  # once Django is set up
        own[0] = False
        try:
            divert(link, folder)
        except Exception as e:
            print("static files are collected where the settings say: %s: %s" % (type(e).__name__, e), flush=True)
        return fetch(self, name)

    if own[0]:
        sys.addaudithook(elsewhere)
    ManagementUtility.fetch_command = told
    try:
        manage(args)
    except Elsewhere:
        print("static files are collected without manage.py, which goes on in another process", flush=True)
        ManagementUtility(["manage.py"] + args).execute()
    finally:
        own[0] = False
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


# Names the databases that are migrated, and waits until no other migration of one of them is running. The supervisor holds the
# locks: one that this process had could be left to a daemon.
def lock(link, databases):
    for name in sorted(set(databases)) + [""]:  # last: that is all
        tell(link, b"lock " + name.replace("\0", " ").encode(errors="replace")[:60000])


# The settings are those that manage.py sets up, which may load more than the module. What is wrong with them is for migrate
# to say, in another process: what failed half-way fails for another reason when it is tried again here. All builds of unknown
# databases wait for each other.
def names():
    try:
        from django.conf import settings
    except Exception:
        return ["unknown"]
    try:
        if not settings.configured:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
                manage(["version"])
        if settings.configured:
            return [name_of(d) for d in settings.DATABASES.values()]
    except (Exception, SystemExit):
        sys.exit(0)
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
