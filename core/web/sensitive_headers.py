"""Headers of pages that show a secret or have one in their URL. Pure."""

from django.http import HttpResponse


def keep_secret(response: HttpResponse) -> HttpResponse:
    """Set headers so that no cache stores the page, and no Referer contains its path.

    `strict-origin` and not `no-referrer`: the latter makes browsers send `Origin: null` with the
    page's own form, which the CSRF protection refuses (Fetch standard, section 3.1).
    """
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "strict-origin"
    return response
