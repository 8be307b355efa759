"""JSON in the manner of Django REST framework, without it: the example needs only the distribution's packages."""
import os

from django.conf import settings
from django.db.models import Q
from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from .models import Medicine

PAGE_SIZE_MAX = 100


@require_safe
def index(request):
    return JsonResponse(
        {
            "banner": settings.BANNER,
            "build": os.environ.get("MEDCTRL_BUILD", ""),
            "release": os.environ.get("MEDCTRL_RELEASE", ""),
            "medicines": request.build_absolute_uri(reverse("medicine-list")),
            "admin": request.build_absolute_uri(reverse("admin:index")),
        }
    )


@require_safe
def medicine_list(request):
    """?search= in names, substances and numbers; ?status=, ?atc= (a prefix), ?orphan=true; ?limit= and ?offset=."""
    found = Medicine.objects.all()
    search = request.GET.get("search", "")
    if search:
        found = found.filter(
            Q(brand_name__icontains=search) | Q(active_substance__icontains=search) | Q(eu_number__icontains=search)
        )
    if "status" in request.GET:
        found = found.filter(status=request.GET["status"])
    if "atc" in request.GET:
        found = found.filter(atc_code__startswith=request.GET["atc"].upper())
    if "orphan" in request.GET:
        found = found.filter(orphan=request.GET["orphan"].lower() in ("true", "1"))
    try:
        limit = min(int(request.GET.get("limit", 20)), PAGE_SIZE_MAX)
        offset = int(request.GET.get("offset", 0))
        if limit < 1 or offset < 0:
            raise ValueError
    except ValueError:
        return JsonResponse({"detail": "limit wants a number from 1, offset one from 0"}, status=400)
    count = found.count()
    return JsonResponse(
        {
            "count": count,
            "next": _page(request, limit, offset + limit) if offset + limit < count else None,
            "previous": _page(request, limit, max(offset - limit, 0)) if offset else None,
            "results": [_summary(request, medicine) for medicine in found[offset : offset + limit]],
        }
    )


@require_safe
def medicine_detail(request, pk):
    try:
        medicine = Medicine.objects.get(pk=pk)
    except Medicine.DoesNotExist:
        return JsonResponse({"detail": "Not found."}, status=404)
    answer = _summary(request, medicine)
    answer["company"] = medicine.company
    answer["procedures"] = list(medicine.procedures.values("kind", "year"))
    return JsonResponse(answer)


def _summary(request, medicine):
    return {
        "url": request.build_absolute_uri(reverse("medicine-detail", args=[medicine.pk])),
        "eu_number": medicine.eu_number,
        "brand_name": medicine.brand_name,
        "active_substance": medicine.active_substance,
        "atc_code": medicine.atc_code,
        "status": medicine.status,
        "decided_in": medicine.decided_in,
        "orphan": medicine.orphan,
    }


def _page(request, limit, offset):
    query = request.GET.copy()
    query["limit"], query["offset"] = str(limit), str(offset)
    return request.build_absolute_uri("{}?{}".format(request.path, query.urlencode()))
