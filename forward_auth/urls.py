"""Paths of forward auth."""

from django.urls import path

from forward_auth import views

app_name = "forward_auth"
urlpatterns = [
    path("auth/check", views.check, name="check"),
    path("auth/forward", views.forward, name="forward"),
]
