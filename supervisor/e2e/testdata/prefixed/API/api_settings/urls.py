from django.conf import settings
from django.urls import include, path

from roles import views

urlpatterns = [path(settings.BASE_URL, include([path("", views.index), path("roles/", views.index)]))]
