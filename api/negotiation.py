"""The first step of every API request: is there such a method, and does the client accept JSON?"""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.errors import MethodNotAllowed
from api.permissions import served_methods
from core.web.single_values import require_single


class Negotiation(DefaultContentNegotiation):
    """DRF's negotiation, and checks that come before authentication.

    DRF would authenticate first. So a request that no view serves is neither counted against a key
    nor as a failed attempt.
    """

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer. Raises NotAcceptable, MethodNotAllowed, RepeatedParameter."""
        found = self.choose(request, list(renderers), format_suffix)
        view = request.parser_context["view"]
        served = served_methods(view)
        view.headers["Allow"] = ", ".join(served)
        if ("GET" if request.method == "HEAD" else request.method) not in served:
            raise MethodNotAllowed
        require_single(request._request.GET)
        return found

    def choose(
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer; the usual Accept headers skip the negotiation."""
        is_plain = request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", renderers[0].media_type)
        if is_plain and not request.META.get("QUERY_STRING"):
            return renderers[0], renderers[0].media_type
        found: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return found


class NoNegotiation(Negotiation):
    """For views with one renderer, whatever the client accepts."""

    def choose(
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None
    ) -> tuple[BaseRenderer, Any]:
        return renderers[0], renderers[0].media_type
