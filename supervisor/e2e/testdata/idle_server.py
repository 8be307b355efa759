"""A server that does nothing until somebody asks, for measurements with a thousand of them: `command = ["{python}", "-I", "-S", "idle_server.py"]`.

Answers on fd 3, one connection after the other.
"""
import socket

listener = socket.socket(fileno=3)
while True:
    client, _ = listener.accept()
    with client:
        client.settimeout(5)
        try:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass  # it has gone
