"""A server that is up within milliseconds, for tests that start it hundreds of times: `command = ["{python}", "-I", "-S", "tiny_server.py"]`.

Answers on fd 3, one connection after the other, with what the settings file of its build says. TERM: answers what it holds and ends.
"""
import os
import re
import signal
import socket

with open("api_settings/settings/deploy_%s.py" % os.environ["MEDCTRL_BUILD"]) as f:
    banner = re.findall(r'^BANNER = "(.*)"', f.read(), re.M)[-1]
going = True


def stop(*_):
    global going
    going = False


signal.signal(signal.SIGTERM, stop)
listener = socket.socket(fileno=3)
listener.settimeout(0.02)
while going:
    try:
        client, _ = listener.accept()
    except OSError:
        continue  # nobody, for now
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
