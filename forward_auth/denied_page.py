"""The page that a refused person sees, under the name of the app that was asked for.

The proxy passes it on, so that 'self' and relative addresses mean the app. Its own policy lets it
take its look from here, and nothing else from anywhere.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from forward_auth.authentication import Pass
from forward_auth.checker import Checked


def refused_page(request: HttpRequest, checked: Checked, reference: str) -> HttpResponse:
    """The page with the status of the verdict: 403, or 401 for a browser that is signed in.

    reference: "" when none was kept.
    """
    outcome = checked.outcome
    context = {
        "code": checked.verdict.code,
        "is_other": checked.verdict.status == 401,
        "email": outcome.email if isinstance(outcome, Pass) else "",
        "reference": reference,
        "home": settings.PUBLIC_URL,
    }
    page = render(request, "forward_auth/refused.html", context, status=checked.verdict.status)
    page["Cache-Control"] = "no-store"
    page["Content-Security-Policy"] = policy(settings.PUBLIC_URL)
    return page


def policy(public_url: str) -> str:
    """Content-Security-Policy of the page."""
    parts = urlsplit(public_url)
    ours = f"{parts.scheme}://{parts.netloc}"
    return (
        f"default-src 'none'; style-src {ours}; img-src {ours}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
