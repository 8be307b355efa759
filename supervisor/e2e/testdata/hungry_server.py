"""A server that takes what it can get when it is asked to: `command = ["{python}", "-I", "-S", "hungry_server.py"]`.

Answers on fd 3, one connection after the other. TERM: it ends once nobody is served.
"""
import os
import re
import signal
import socket
import time

going = True


def stop(*_):
    global going
    going = False


def eat():
    """Memory, until somebody ends it."""
    all = []
    while True:
        all.append(bytearray(1 << 20))


def worker(work):
    """Does it in a process that is a child of the server."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()


def burn():
    while True:
        pass


def fork():
    """As often as it may, which it returns."""
    n = 0
    while n < 1000:
        try:
            if os.fork() == 0:
                os.setsid()
                time.sleep(3600)
                os._exit(0)
        except OSError:
            break
        n += 1
    return n


def files():
    """Opens as many as it may, and returns how many."""
    all = []
    try:
        while len(all) < 5000:
            all.append(open("/dev/null"))
    except OSError:
        pass
    return len(all)


def act(path):
    if path == "/eat":
        eat()
    elif path == "/eat-in-worker":
        worker(eat)
    elif path == "/burn":
        for _ in range(4):
            worker(burn)
    elif path == "/fork":
        return str(fork())
    elif path == "/files":
        return str(files())
    return "ok"


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
            body = act(re.match(rb"\w+ (\S*)", head).group(1).decode())
            client.sendall(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)).encode())
        except OSError:
            pass  # it has gone
