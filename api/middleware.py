"""Serve /api/v1/ and the key set without the middleware that only pages need.

Sessions, messages, language cookies and forms belong to pages. The API authenticates its requests
itself (api.authentication), so they skip the rest of the chain, which halves their duration.
"""

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.urls import ResolverMatch, resolve
from django.utils import translation
from rest_framework.permissions import SAFE_METHODS

from core.errors import GatehouseError, NotFound
from core.web.problem_details import is_for_machines, problem_of

CSRF_HEADER = "X-CSRF-Token"
CACHED_PATHS = 512
# Clients control the length of paths; longer ones are not cached.
MAX_CACHED_PATH_LENGTH = 500
Handler = Callable[[HttpRequest], HttpResponseBase]


class ApiMiddleware:
    """Calls API views directly; passes other requests on."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_for_machines(request):
            return self.get_response(request)
        translation.activate(translation.get_language_from_request(request))
        request.get_host()  # refuses host names that are not allowed
        response = _answer(request)
        _send_csrf_token(request, response)
        if not response.streaming:
            response["Content-Length"] = str(len(response.content))
        return response


def _match(path: str, urlconf: str) -> ResolverMatch:
    """Resolve a path. Cached, because resolving tries every pattern before the match."""
    return (_cached_resolve if len(path) <= MAX_CACHED_PATH_LENGTH else resolve)(path, urlconf)


@lru_cache(maxsize=CACHED_PATHS)
def _cached_resolve(path: str, urlconf: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _answer(request: HttpRequest) -> HttpResponse:
    """Call the view; ignores a trailing slash."""
    path = request.path_info.rstrip("/")
    try:
        match = _match(path, settings.ROOT_URLCONF)
    except Http404:
        return problem_of(NotFound())
    request.resolver_match = match
    try:
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    except GatehouseError as error:
        return problem_of(error)
    if hasattr(response, "render"):
        response.render()
    return response


def _send_csrf_token(request: HttpRequest, response: HttpResponse) -> None:
    """Send the CSRF token to browsers, which need it for changes with a session."""
    if request.method in SAFE_METHODS and hasattr(request, "session"):
        response[CSRF_HEADER] = get_token(request)
        # Sets the CSRF cookie for a browser that has none.
        CsrfViewMiddleware(lambda _request: response).process_response(request, response)
