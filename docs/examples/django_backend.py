"""A Django REST framework backend that accepts access tokens of Gatehouse."""

import os
from types import SimpleNamespace
from typing import Any

import jwt
from django.conf import settings

# Usually in settings.py: this file is a complete Django project.
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(32).hex(),
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)

from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

ISSUER = os.environ["GATEHOUSE_URL"]
AUDIENCE = os.environ.get("GATEHOUSE_AUDIENCE", ISSUER)
ALGORITHMS = ["ES256"]
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json")


class GatehouseAuthentication(BaseAuthentication):
    """request.user has `id`, `role` and `is_authenticated`; request.auth holds the claims."""

    def authenticate(self, request: Request) -> tuple[Any, dict[str, Any]] | None:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            if jwt.get_unverified_header(token).get("typ") != "at+jwt":
                raise jwt.InvalidTokenError("not an access token")
            claims = jwt.decode(
                token,
                keys.get_signing_key_from_jwt(token),
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.PyJWTError:
            raise AuthenticationFailed from None
        user = SimpleNamespace(id=claims["sub"], role=claims["role"], is_authenticated=True)
        return user, claims

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class PrivateView(APIView):
    authentication_classes = (GatehouseAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"id": request.user.id, "role": request.user.role})


urlpatterns = [path("private", PrivateView.as_view())]
application = get_wsgi_application()
