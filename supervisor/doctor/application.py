# Says, a line each, whether the databases of an application can be used, and where its static files go. It loads the settings
# alone, changes nothing and makes no file.
import json
import os
import sys

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the settings print is none of the answer
sys.path[0] = sys.argv[1]


def say(**answer):
    print(json.dumps(answer), file=out, flush=True)


def text(e):
    return " ".join(str(e).split()) or type(e).__name__


# Where a path is, or would be made, and whether we may write there.
def place(path):
    at = os.path.abspath(path)
    while not os.path.lexists(at) and at != os.path.dirname(at):
        at = os.path.dirname(at)
    return at, os.access(at, os.W_OK | os.X_OK if os.path.isdir(at) else os.W_OK)


def sqlite(name):
    if not name or ":memory:" in name or name.startswith("file:"):
        return ""
    folder = os.path.dirname(os.path.abspath(name))
    if not os.access(folder, os.W_OK | os.X_OK):
        return "the build's user may not write to the folder %s" % folder if os.path.isdir(folder) else "there is no folder %s" % folder
    if os.path.exists(name) and not os.access(name, os.R_OK | os.W_OK):
        return "the build's user may not read and write %s" % name
    return ""


def main():
    try:
        from django.conf import settings

        databases, static = settings.DATABASES, settings.STATIC_ROOT
    except BaseException as e:
        return say(settings="%s: %s" % (type(e).__name__, text(e)))
    at, writable = place(str(static)) if static else ("", False)
    say(static=str(static or ""), writable=writable, at=at)
    from django.db import connections

    wanted = [alias for alias in sys.argv[2:] or databases if "dummy" not in (databases.get(alias) or {}).get("ENGINE", "x")]
    for alias in wanted:
        say(database=alias)
    for alias in wanted:
        engine = ""
        try:
            database = databases[alias]
            engine = str(database.get("ENGINE", ""))
            if "sqlite" in engine or "spatialite" in engine:
                error = sqlite(str(database.get("NAME") or ""))
            else:
                error = ""
                with connections[alias].cursor() as cursor:
                    cursor.execute("SELECT 1")
        except BaseException as e:
            error = text(e)
        say(database=alias, engine=engine.rpartition(".")[2], error=error)


try:
    main()
finally:
    out.flush()
    os._exit(0)  # whatever threads the settings have started
