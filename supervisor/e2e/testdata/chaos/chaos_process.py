"""A process beside the server, or a schedule's run if it has an argument: says so if another one of its kind is running at the same time."""
import fcntl
import os
import sys
import time

kind = sys.argv[1]
path = os.environ["CHAOS_MARKS"] + "." + kind


def say(what):
    with open(path + ".said", "a") as f:
        f.write("%s %d %.3f\n" % (what, os.getpid(), time.time()))


lock = open(path, "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    say("twice")
    fcntl.flock(lock, fcntl.LOCK_EX)
say("ran")
if kind == "schedule":
    time.sleep(0.2)
while kind == "process":
    time.sleep(3600)
