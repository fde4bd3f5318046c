"""Django's CSRF check, under both names of its header."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

# What Django's documentation and the clients made for it send: X-CSRFToken.
USUAL_HEADER = "HTTP_X_CSRFTOKEN"


class CsrfMiddleware(CsrfViewMiddleware):
    """Takes the token from X-CSRFToken where X-CSRF-Token is not sent.

    Either needs a page of our own origin to send it, so neither is weaker than the other.
    """

    def process_view(self, request: HttpRequest, *of_view: Any) -> Any:
        usual = request.META.get(USUAL_HEADER)
        if usual is not None:
            request.META.setdefault(settings.CSRF_HEADER_NAME, usual)
        return super().process_view(request, *of_view)
