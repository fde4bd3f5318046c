"""The page for a denied user, which they see at the address of the app they asked for.

The proxy passes it on, so 'self' and relative URLs would mean the app. The page's own policy allows
styles and images from this server, and nothing else.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from forward_auth.decisions import Principal
from forward_auth.fastpath.generation import CheckResult


def denied_page(request: HttpRequest, result: CheckResult, reference: str) -> HttpResponse:
    """The page with the status of the decision: 403, or 401 for a browser that is signed in.

    reference: "" when none was stored.
    """
    auth_result = result.auth_result
    status = result.decision.status
    context = {
        "code": result.decision.code,
        "is_other": status == 401,
        "email": auth_result.email if isinstance(auth_result, Principal) else "",
        "reference": reference,
        "home": settings.PUBLIC_URL,
    }
    page = render(request, "forward_auth/refused.html", context, status=status)
    page["Cache-Control"] = "no-store"
    page["Content-Security-Policy"] = content_security_policy(settings.PUBLIC_URL)
    return page


def content_security_policy(public_url: str) -> str:
    """Content-Security-Policy of the page."""
    parts = urlsplit(public_url)
    ours = f"{parts.scheme}://{parts.netloc}"
    return (
        f"default-src 'none'; style-src {ours}; img-src {ours}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
