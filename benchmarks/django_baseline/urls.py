"""One check for each kind of credential, allauth's sign-in page, simplejwt's refresh."""

from typing import ClassVar

from allauth.account.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.permissions import HasAPIKey
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.views import TokenRefreshView


def check_session(request: HttpRequest) -> HttpResponse:
    """204 for a signed-in browser, else 401."""
    return HttpResponse(status=204 if request.user.is_authenticated else 401)


class CheckToken(APIView):
    """204 for a right access token, else 401."""

    authentication_classes: ClassVar[list[type]] = [JWTAuthentication]
    permission_classes: ClassVar[list[type]] = [IsAuthenticated]

    def get(self, _request: Request) -> Response:
        return Response(status=204)


class CheckKey(APIView):
    """204 for a right key, else 403."""

    authentication_classes: ClassVar[list[type]] = []
    permission_classes: ClassVar[list[type]] = [HasAPIKey]

    def get(self, _request: Request) -> Response:
        return Response(status=204)


def live(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


urlpatterns = [
    path("health/live", live),
    path("check/session", check_session),
    path("check/token", CheckToken.as_view()),
    path("check/key", CheckKey.as_view()),
    path("sign-in", LoginView.as_view()),
    path("refresh", TokenRefreshView.as_view()),
    path("accounts/", include("allauth.account.urls")),
]
