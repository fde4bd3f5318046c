"""Headers of pages that show a secret or have one in their address. Pure."""

from django.http import HttpResponse


def keep_secret(response: HttpResponse) -> HttpResponse:
    """No copy in a cache, and no path in a Referer.

    `strict-origin` and not `no-referrer`: the latter makes browsers send `Origin: null` with the
    page's own form, which the CSRF protection has to refuse (Fetch standard, section 3.1).
    """
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "strict-origin"
    return response
