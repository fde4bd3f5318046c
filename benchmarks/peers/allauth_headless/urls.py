"""allauth's headless API, and the path by which the benchmark knows that the server answers."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def live(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("health/live", live),
    path("accounts/", include("allauth.account.urls")),
    path("_allauth/", include("allauth.headless.urls")),
]
