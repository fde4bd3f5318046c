"""/auth/check and /auth/forward, which a proxy asks about each request."""

from urllib.parse import quote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from applications.services.apps import find_app
from core.web.problem_details import prefers_json, problem_document
from core.web.redirects import safe_destination
from forward_auth.cache import CheckResult
from forward_auth.checker import CHECKER
from forward_auth.decisions import Principal, as_wsgi, challenge
from forward_auth.django_authentication import authenticate_with_django, is_signed_in
from forward_auth.metrics import counted
from forward_auth.request import Target
from forward_auth.services.denials import note_denial
from forward_auth.services.probes import SEEN, seen_names
from forward_auth.services.tokens import token_headers

# A browser opens pages by these methods; it follows no redirect to a page from others.
PAGE_METHODS = frozenset({"GET", "HEAD"})
# Characters that need no escape in a query (RFC 3986, section 3.4).
QUERY_SAFE = "/:?@!$'()*,;="


@require_safe
@counted
def check(request: HttpRequest) -> HttpResponse:
    """204, 401 or 403. For nginx (auth_request)."""
    result = _check(request)
    if result.decision.status == 204:
        return _pass(request, result)
    return _deny(request, result, note_denial(result))


@require_safe
@counted
def forward(request: HttpRequest) -> HttpResponse:
    """204 or 403; redirects a browser without a credential to sign-in. For Caddy and Traefik."""
    result = _check(request)
    decision = result.decision
    if decision.status == 204:
        return _pass(request, result)
    response = _denial_response(request, result, note_denial(result))
    seen = seen_names(request.META)
    if seen is not None:
        response[SEEN] = seen
    return response


def _denial_response(request: HttpRequest, result: CheckResult, reference: str) -> HttpResponse:
    """A redirect or a page for a browser, a problem document for programs."""
    decision = result.decision
    if decision.status == 401 and is_navigation(request, result.target):
        if is_signed_in(request):
            # The sign-in page would redirect back here at once, in a loop.
            return denied_page(request, result, reference)
        back = safe_destination(result.target.url)
        # As short as possible: proxies accept a header of few kilobytes.
        query = f"?next={quote(back, safe=QUERY_SAFE)}" if back else ""
        response = HttpResponse(status=302)
        response["Location"] = f"{settings.PUBLIC_ORIGIN}{reverse('account_login')}{query}"
        response["Cache-Control"] = "no-store"
        return response
    if decision.status == 403 and not prefers_json(request):
        return denied_page(request, result, reference)
    return _deny(request, result, reference)


def is_navigation(request: HttpRequest, target: Target) -> bool:
    """Whether a browser opens a page, rather than a program or a part of a page asking."""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate" and target.method in PAGE_METHODS
    return target.method in PAGE_METHODS and "text/html" in request.headers.get("Accept", "")


def _check(request: HttpRequest) -> CheckResult:
    return CHECKER.decide(request.META, authenticate_with_django(request))


def _pass(request: HttpRequest, result: CheckResult) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Cache-Control"] = "no-store"
    query = request.META.get("QUERY_STRING", "")
    for name, value in [*result.headers, *token_headers(result, query)]:
        response[name] = as_wsgi(value)
    return response


def _deny(request: HttpRequest, result: CheckResult, reference: str) -> HttpResponse:
    decision = result.decision
    response: HttpResponse = problem_document(
        decision.status,
        decision.code,
        title=_("Not allowed") if decision.status == 403 else _("Not signed in"),
        detail=_("Ask an administrator, and give them the reference %(reference)s.")
        % {"reference": reference},
        reference=reference,
    )
    response["Cache-Control"] = "no-store"
    response["X-Gatehouse-Reference"] = reference
    if decision.status == 401:
        response["WWW-Authenticate"] = challenge(request.META)
    return response


def denied_page(request: HttpRequest, result: CheckResult, reference: str) -> HttpResponse:
    """The page for a denied user, at the address of the app: 403, or 401 if they are signed in.

    The proxy passes it on, so 'self' and relative URLs would mean the app. The page's own policy
    allows styles and images from this server, and nothing else. reference: "" when none was stored.
    """
    auth_result = result.auth_result
    status = result.decision.status
    app = find_app(result.target.host, result.target.path)
    context = {
        "app": app.name if app else "",
        "code": result.decision.code,
        "is_other": status == 401,
        "email": auth_result.email if isinstance(auth_result, Principal) else "",
        "reference": reference,
        "home": settings.PUBLIC_ORIGIN,
    }
    page = render(request, "forward_auth/denied.html", context, status=status)
    page["Cache-Control"] = "no-store"
    if reference:
        page["X-Gatehouse-Reference"] = reference
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
