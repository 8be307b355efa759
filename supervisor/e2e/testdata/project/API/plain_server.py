"""A server that is not gunicorn and speaks LISTEN_FDS: for `command = ["{python}", "plain_server.py", ...]`.

Serves the same application on fd 3, a thread for each connection. TERM: finishes what it holds and ends;
with --drops it ends at once, as a server without a handler does.
"""
import os
import signal
import socket
import socketserver
import sys
import threading
import wsgiref.simple_server

if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
    sys.exit("no socket was handed over: LISTEN_PID=%s, I am %s" % (os.environ.get("LISTEN_PID"), os.getpid()))

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def address_string(self):
        return "unix"  # a unix client has no address

    def get_environ(self):
        self.client_address = ("unix", 0)
        return super().get_environ()


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = False  # server_close waits for them

    def __init__(self):
        socketserver.BaseServer.__init__(self, None, Handler)
        self.socket = socket.socket(fileno=3)
        self.socket.settimeout(None)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()


def main():
    from api_settings.wsgi import application

    server = Server()
    server.set_app(application)
    # shutdown waits for the loop that this handler interrupted: from a thread, or it waits for itself.
    if "--drops" not in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    main()
