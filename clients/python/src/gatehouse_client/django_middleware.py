"""Middleware and a decorator for Django. Settings: GATEHOUSE, the arguments of Gatehouse.

GATEHOUSE = {"url": "https://gate.example.com", "client_id": "app_…", "client_secret": "gths_…"}
MIDDLEWARE = [..., "gatehouse_client.django_middleware.GatehouseMiddleware"]
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from gatehouse_client.errors import Forbidden, GatehouseClientError, NotAuthenticated
from gatehouse_client.gatehouse import Gatehouse
from gatehouse_client.identity import Identity

View = Callable[..., HttpResponse]


class GatehouseMiddleware:
    """Puts the user into `request.gatehouse`, None without a credential. Refuses wrong ones.

    Synchronous, because it may ask Gatehouse; Django runs it in a thread below ASGI.
    """

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.gatehouse = find_user(request)  # type: ignore[attr-defined]
        except GatehouseClientError as error:
            return refusal(error)
        return self._get_response(request)


def require_user(
    *, role: str = "viewer", scope: str = "", group: str = ""
) -> Callable[[View], View]:
    """Decorator of a view: 401 without a user, 403 unless they have all of these."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
            user: Identity | None = getattr(request, "gatehouse", None)
            if user is None:
                return refusal(NotAuthenticated())
            try:
                user.require(role=role, scope=scope, group=group)
            except Forbidden as error:
                return refusal(error)
            return view(request, *arguments, **options)

        return wrapped

    return decorate


@lru_cache(maxsize=1)
def gate() -> Gatehouse:
    """The Gatehouse of the settings, one for the process."""
    return Gatehouse(**settings.GATEHOUSE)  # type: ignore[misc]  # a setting of your project


def find_user(request: HttpRequest) -> Identity | None:
    """The user of a request. Raises GatehouseClientError."""
    return gate().find(
        dict(request.headers.items()),
        peer=request.META.get("REMOTE_ADDR", ""),
        method=request.method or "GET",
    )


def refusal(error: GatehouseClientError) -> HttpResponse:
    """The answer to a request that is refused."""
    return JsonResponse({"detail": str(error)}, status=error.status, headers=error.headers)
