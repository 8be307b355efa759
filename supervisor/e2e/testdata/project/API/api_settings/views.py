"""What a test may want a backend to do, or to suffer."""
import os
import subprocess
import time

from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse


def stamp(get_response):
    """Every answer says who gave it and to which request, for the load to count."""

    def answer(request):
        response = get_response(request)
        response["X-Banner"] = settings.BANNER
        response["X-Release"] = os.environ.get("MEDCTRL_RELEASE", "")
        response["X-Pid"] = str(os.getpid())
        if "X-Load-Id" in request.headers:
            response["X-Load-Id"] = request.headers["X-Load-Id"]
        return response

    return answer


def index(request):
    """What is probed, too: data/sick makes it answer 500, data/stuck makes it answer nothing."""
    if os.path.exists(os.path.join(settings.DATA_DIR, "sick")):
        return JsonResponse({"sick": True}, status=500)
    if os.path.exists(os.path.join(settings.DATA_DIR, "stuck")):
        time.sleep(3600)
    return JsonResponse(
        {
            "banner": settings.BANNER,
            "build": os.environ.get("MEDCTRL_BUILD", ""),
            "release": os.environ.get("MEDCTRL_RELEASE", ""),
            "pid": os.getpid(),
            "master": os.getppid(),
            "path": request.path,
            "host": request.get_host(),
            "headers": dict(request.headers),
            "environ": dict(os.environ),
        }
    )


def slow(request):
    """?ms= until the answer."""
    time.sleep(int(request.GET.get("ms", 0)) / 1000)
    return JsonResponse({"banner": settings.BANNER, "pid": os.getpid()})


def kill(request):
    """?who=worker, master or tree, ?signal=9: the application that takes its server with it."""
    signal = int(request.GET.get("signal", 9))
    who = request.GET.get("who", "worker")
    if who == "worker":
        os.kill(os.getpid(), signal)
    elif who == "master":
        os.kill(os.getppid(), signal)
    else:
        os.killpg(0, signal)
    return JsonResponse({"killed": who})


def kill_once(request):
    """Takes its worker with it where data/once is, which is gone then: a second try is answered."""
    try:
        os.remove(os.path.join(settings.DATA_DIR, "once"))
    except FileNotFoundError:
        return JsonResponse({"method": request.method})
    os.kill(os.getpid(), 9)


def stream(request):
    """Says "first" at once and "second" when data/go is there."""

    def parts():
        yield b"first\n"
        while not os.path.exists(os.path.join(settings.DATA_DIR, "go")):
            time.sleep(0.01)
        yield b"second\n"

    return StreamingHttpResponse(parts(), content_type="text/plain")


def broken(request):
    raise RuntimeError("broken on purpose")


def hang(request):
    time.sleep(3600)


def stray(request):
    """Starts a process that leaves the session: what the end of the tree must find all the same."""
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True, stdin=subprocess.DEVNULL)
    return JsonResponse({"pid": child.pid})


def echo(request):
    return HttpResponse(request.body, content_type="application/octet-stream")


def things(request):
    """Needs the migration."""
    from things.models import Thing

    return JsonResponse({"things": list(Thing.objects.values_list("name", flat=True))})
