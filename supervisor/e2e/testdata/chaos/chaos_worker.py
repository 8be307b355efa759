"""gunicorn's own worker, which writes down whose request is in its hands: a line before anything else is done with it, and one when it is out of them.

The client's own end has a name where it came to the socket itself. What came through a proxy is known by its path and its header.
"""
import os
import re
import time

from gunicorn.workers.sync import SyncWorker

marks = os.open(os.environ["CHAOS_MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def mark(what, who):
    os.write(marks, ("%s %s %d %.6f\n" % (what, who, os.getpid(), time.time())).encode())


class Worker(SyncWorker):
    def handle(self, listener, client, addr):
        who = addr.lstrip(b"\0").decode() if isinstance(addr, bytes) else ""
        if not who:
            return super().handle(listener, client, "")
        mark("had", who)
        super().handle(listener, client, "")
        mark("done", who)

    def handle_request(self, listener, req, client, addr):
        way = re.search("way=([a-z-]+)", req.query or "")
        number = [value for name, value in req.headers if name == "X-LOAD-ID"]
        if not way or not number or "direct" in way.group(1):
            return super().handle_request(listener, req, client, addr)
        who = "%s-%s" % (way.group(1), number[0])
        mark("had", who)
        super().handle_request(listener, req, client, addr)
        mark("done", who)
