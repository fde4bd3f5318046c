"""The short way of programs: /api/v1/ and the public keys need no page's middleware.

Sessions, messages, languages by cookie and forms belong to pages. The API reads its credentials
itself (api.authentication), so its requests leave Django's chain here, which halves their time.
"""

from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, resolve
from django.utils import translation

from core.errors import GatehouseError, NotFound
from core.problem_details import is_for_machines, problem_of

PATHS_REMEMBERED = 512
# A name in a path may be as long as its sender likes.
LONGEST_REMEMBERED = 500
Handler = Callable[[HttpRequest], HttpResponseBase]


class ApiMiddleware:
    """Answers what is for machines; hands everything else on."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not is_for_machines(request):
            return self.get_response(request)
        translation.activate(translation.get_language_from_request(request))
        request.get_host()  # a name that is not ours is refused, as for pages
        response = _answer(request)
        if not response.streaming:
            response["Content-Length"] = str(len(response.content))
        return response


def _match(path: str, urlconf: str) -> ResolverMatch:
    """The view of a path. Busy paths are few, and looking one up tries every pattern before it."""
    return (_remembered if len(path) <= LONGEST_REMEMBERED else resolve)(path, urlconf)


@lru_cache(maxsize=PATHS_REMEMBERED)
def _remembered(path: str, urlconf: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _answer(request: HttpRequest) -> HttpResponse:
    """Call the view; a trailing slash makes no difference."""
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
