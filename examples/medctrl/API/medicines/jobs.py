"""A queue of jobs in a folder of data/: enough for an example, and it needs no broker.

A job is a file. It appears under its name in one step, and whoever renames it first has it, so no job is half written
and none is done twice.
"""
import os
import time
import uuid

from django.conf import settings

FOLDER = os.path.join(str(settings.DATA_DIR), "jobs")


def put(what):
    os.makedirs(FOLDER, exist_ok=True)
    name = "%d-%s" % (time.time() * 1000, uuid.uuid4().hex[:8])
    with open(os.path.join(FOLDER, name + ".tmp"), "w") as f:
        f.write(what)
    os.rename(os.path.join(FOLDER, name + ".tmp"), os.path.join(FOLDER, name + ".job"))
    return name


def take(worker):
    """Returns the path and the text of the oldest job, or None if there is none."""
    for name in sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []:
        if not name.endswith(".job"):
            continue
        taken = os.path.join(FOLDER, "%s.taken-by-%s" % (name[:-4], worker))
        try:
            os.rename(os.path.join(FOLDER, name), taken)
        except FileNotFoundError:
            continue  # another worker was faster
        with open(taken) as f:
            return taken, f.read()
    return None


def done(taken):
    os.remove(taken)
