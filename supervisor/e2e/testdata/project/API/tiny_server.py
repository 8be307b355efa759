"""A server that is up within milliseconds, for tests that start it hundreds of times: `command = ["{python}", "-I", "-S", "tiny_server.py"]`.

Answers on fd 3, and on those that are named, one connection after the other, with what the settings file of its build says. TERM: answers what it holds and ends.
"""
import os
import re
import select
import signal
import socket
import sys

with open("api_settings/settings/deploy_%s.py" % os.environ["MEDCTRL_BUILD"]) as f:
    banner = re.findall(r'^BANNER = "(.*)"', f.read(), re.M)[-1]
going = True


def stop(*_):
    global going
    going = False


signal.signal(signal.SIGTERM, stop)
listeners = [socket.socket(fileno=int(n)) for n in ["3"] + sys.argv[1:]]
for listener in listeners:
    listener.setblocking(False)
while going:
    try:
        client, _ = select.select(listeners, [], [], 0.02)[0][0].accept()
    except (IndexError, OSError):
        continue  # nobody, for now, or another tree was faster
    with client:
        client.settimeout(5)
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536) or b"\r\n\r\n"
            echo = re.search(rb"X-Load-Id: (\d+)", head)
            answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nX-Banner: %s\r\nX-Release: %s\r\n" % (
                banner, os.environ["MEDCTRL_RELEASE"])
            if echo:
                answer += "X-Load-Id: %s\r\n" % echo.group(1).decode()
            client.sendall((answer + "\r\nok").encode())
        except OSError:
            pass  # it has gone
