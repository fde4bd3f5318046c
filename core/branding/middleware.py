"""Answers for the stylesheet and the logo before the middleware that only pages need.

Sessions and languages would add `Vary: Cookie`, so that browsers load the files again after each
sign-in.
"""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve

PREFIX = "/branding/"


class BrandingMiddleware:
    """Calls the views of core.branding.urls directly; passes other requests on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        try:
            match = resolve(request.path_info)
            response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        except Http404:
            return self.get_response(request)
        request.resolver_match = match
        response["Content-Length"] = str(len(response.content))
        return response
