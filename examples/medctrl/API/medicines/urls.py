from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("medicines/", views.medicine_list, name="medicine-list"),
    path("medicines/<int:pk>/", views.medicine_detail, name="medicine-detail"),
]
