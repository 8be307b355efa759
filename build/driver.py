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
mask = os.umask(0)
os.umask(mask)
held = []


def main():
    link = socket.socket(fileno=3)
    link.set_inheritable(False)
    sys.path[0] = home  # as for `python manage.py`
    while True:
        request = link.recv(1 << 16).decode()
        if not request:
            return
        if request == "lock":
            lock(link)
        else:
            args = request.split("\0")
            manage(args)
            if args[0] == "migrate":
                while held:  # nobody need wait for what follows, nor for what it left behind
                    fcntl.flock(held[-1], fcntl.LOCK_UN)
                    os.close(held.pop())
        sys.stdout.flush()
        sys.stderr.flush()
        link.send(b"done")


def manage(args):
    # As it found them, not as the command before left them.
    os.chdir(home)
    os.umask(mask)
    sys.argv = ["manage.py"] + args
    try:
        runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as e:
        if e.code not in (None, 0):
            raise


# The locks are held by this process, and so exactly as long as it migrates, whatever becomes of who started it.
def lock(link):
    for name in sorted(set(names())) + [""]:  # last the one that says: this process migrates
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
