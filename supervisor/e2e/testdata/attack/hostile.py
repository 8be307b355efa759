"""The hostile part of an application: it does what the test sends it."""
import contextlib
import io

from django.http import HttpResponse


def outcome(code):
    """What the code prints, and the exception that ends it."""
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(code, {"__name__": "attack"})
    except BaseException as error:
        out.write(f"{type(error).__name__}: {error}")
    return out.getvalue()


def run(request):
    return HttpResponse(outcome(request.body.decode()), content_type="text/plain")


def header(request):
    """An application that sends any header, ?NAME=VALUE."""
    response = HttpResponse("sent")
    for name, value in request.GET.items():
        response[name] = value
    return response
