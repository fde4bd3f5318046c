"""Lets the proxy check remember how requests arrive."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from moderation.services.proxies import note

Handler = Callable[[HttpRequest], HttpResponse]
# Health checks come past the proxy, and programs may, too; people show the way.
QUIET = ("/health/", "/api/", "/metrics")


class ProxyNoteMiddleware:
    """Notes requests of people's pages, each kind once a minute."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(QUIET):
            note(request)
        return self.get_response(request)
