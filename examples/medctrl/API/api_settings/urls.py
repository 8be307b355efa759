"""Paths as the application sees them: Nginx and the embedded front have taken the build's location off already."""
from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path, re_path

urlpatterns = [
    path("", include("medicines.urls")),
    path("admin/", admin.site.urls),
    # The admin's style sheets, directly from the installed applications, so that the example needs
    # no other web server. In production set `collectstatic = true` in builds.toml and let Nginx
    # serve STATIC_ROOT: docs/nginx.md.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]
