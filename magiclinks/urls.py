"""Paths of sign-in links (CONTRACT section 3)."""

from django.urls import path

from magiclinks import views

app_name = "magiclinks"
urlpatterns = [
    path("magic-link", views.ask, name="request"),
    path("magic-link/<str:token>", views.open_link, name="open"),
]
