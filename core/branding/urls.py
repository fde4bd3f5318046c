"""The stylesheet with the brand color, and the logo."""

from django.urls import path

from core.branding import views

app_name = "branding"
urlpatterns = [
    path("style-<str:digest>.css", views.style, name="style"),
    path("logo-<str:name>", views.logo, name="logo"),
]
