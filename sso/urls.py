"""Paths of forward auth."""

from django.urls import path

from sso import views

app_name = "sso"
urlpatterns = [
    path("auth/check", views.check, name="check"),
    path("auth/forward", views.forward, name="forward"),
]
