from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("slow", views.slow),
    path("kill", views.kill),
    path("500", views.broken),
    path("hang", views.hang),
    path("stray", views.stray),
    path("echo", views.echo),
    path("things", views.things),
]
