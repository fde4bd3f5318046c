"""Records for the proxy check how requests reach the server."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from moderation.proxies.observations import note

Handler = Callable[[HttpRequest], HttpResponse]
# Health checks and programs may bypass the proxy; browsers show the usual path.
IGNORED_PATHS = ("/health/", "/api/", "/metrics")


class ProxyNoteMiddleware:
    """Records requests of pages, each kind once a minute."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(IGNORED_PATHS):
            note(request)
        return self.get_response(request)
