"""Django's CSRF check with a second name for its header."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

# Django's default, which most clients send: X-CSRFToken.
DEFAULT_HEADER = "HTTP_X_CSRFTOKEN"


class CsrfMiddleware(CsrfViewMiddleware):
    """Takes the token from X-CSRFToken when X-CSRF-Token is missing.

    Only a page of our own origin can send either, so neither is weaker.
    """

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        token = request.META.get(DEFAULT_HEADER)
        if token is not None:
            request.META.setdefault(settings.CSRF_HEADER_NAME, token)
        return super().process_view(request, *args)
