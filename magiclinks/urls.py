"""URLs of sign-in links."""

from django.urls import path

from magiclinks import views

app_name = "magiclinks"
urlpatterns = [
    path("magic-link", views.request_link, name="request"),
    path("magic-link/<str:token>", views.open_link, name="open"),
]
