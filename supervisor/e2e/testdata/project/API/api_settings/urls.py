from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("slow", views.slow),
    path("kill", views.kill),
    path("kill-once", views.kill_once),
    path("stream", views.stream),
    path("500", views.broken),
    path("hang", views.hang),
    path("stray", views.stray),
    path("echo", views.echo),
    path("things", views.things),
]
