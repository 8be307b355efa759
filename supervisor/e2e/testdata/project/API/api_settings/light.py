"""The answers of views.py without Django, which takes longer to load than all the rest of a start: for tests that Django is no part of."""
import importlib
import json
import os
import subprocess
import time
from urllib.parse import parse_qs

settings = importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])


def data(name):
    return os.path.join(settings.DATA_DIR, name)


def index(environ, args):
    if os.path.exists(data("sick")):
        return "500 Internal Server Error", {"sick": True}
    if os.path.exists(data("stuck")):
        time.sleep(3600)
    return "200 OK", {
        "banner": settings.BANNER,
        "build": os.environ.get("MEDCTRL_BUILD", ""),
        "release": os.environ.get("MEDCTRL_RELEASE", ""),
        "pid": os.getpid(),
        "master": os.getppid(),
        "path": environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"],
        "host": environ.get("HTTP_HOST", ""),
        "headers": {k[5:].replace("_", "-").title(): v for k, v in environ.items() if k.startswith("HTTP_")},
        "environ": dict(os.environ),
    }


def slow(environ, args):
    time.sleep(int(args.get("ms", 0)) / 1000)
    return "200 OK", {"banner": settings.BANNER, "pid": os.getpid()}


def kill(environ, args):
    signal, who = int(args.get("signal", 9)), args.get("who", "worker")
    if who == "tree":
        os.killpg(0, signal)
    else:
        os.kill(os.getpid() if who == "worker" else os.getppid(), signal)
    return "200 OK", {"killed": who}


def kill_once(environ, args):
    try:
        os.remove(data("once"))
    except FileNotFoundError:
        return "200 OK", {"method": environ["REQUEST_METHOD"]}
    os.kill(os.getpid(), 9)


def stream(environ, args):
    def parts():
        yield b"first\n"
        while not os.path.exists(data("go")):
            time.sleep(0.01)
        yield b"second\n"

    return "200 OK", parts()


def broken(environ, args):
    raise RuntimeError("broken on purpose")


def hang(environ, args):
    time.sleep(3600)


def stray(environ, args):
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True, stdin=subprocess.DEVNULL)
    return "200 OK", {"pid": child.pid}


def echo(environ, args):
    return "200 OK", [environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


views = {
    "/": index, "/slow": slow, "/kill": kill, "/kill-once": kill_once, "/stream": stream, "/500": broken, "/hang": hang,
    "/stray": stray, "/echo": echo,
}


def application(environ, start_response):
    view = views.get(environ["PATH_INFO"])
    if view is None:
        from api_settings.wsgi import application as django

        return django(environ, start_response)
    status, body = view(environ, {k: v[-1] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()})
    headers = [("X-Banner", settings.BANNER), ("X-Release", os.environ.get("MEDCTRL_RELEASE", "")), ("X-Pid", str(os.getpid()))]
    if "HTTP_X_LOAD_ID" in environ:
        headers.append(("X-Load-Id", environ["HTTP_X_LOAD_ID"]))
    if isinstance(body, dict):
        body = [json.dumps(body).encode()]
    if isinstance(body, list):
        headers.append(("Content-Length", str(len(body[0]))))
    start_response(status, headers)
    return body
