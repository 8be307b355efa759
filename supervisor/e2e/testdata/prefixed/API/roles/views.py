import os

from django.http import JsonResponse

from roles.models import Role


def stamp(get_response):
    """Every answer says who gave it and to which request, for the load to count."""

    def answer(request):
        response = get_response(request)
        response["X-Release"] = os.environ.get("MEDCTRL_RELEASE", "")
        if "X-Load-Id" in request.headers:
            response["X-Load-Id"] = request.headers["X-Load-Id"]
        return response

    return answer


def index(request):
    return JsonResponse({"path": request.path, "roles": sorted(Role.objects.values_list("name", flat=True))})
