"""/auth/check and /auth/forward: what a proxy asks about each request that it holds."""

from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.problem_details import prefers_json, problem_document
from core.redirects import safe_destination
from forward_auth.checker import CHECKER, Checked
from forward_auth.decisions import as_wsgi, challenge
from forward_auth.denied_page import refused_page
from forward_auth.django_authentication import is_signed_in, outcome_of
from forward_auth.metrics import counted
from forward_auth.request_target import Target
from forward_auth.services.denials import note_denial
from forward_auth.services.tokens import token_headers

# Methods by which a page is opened; a browser follows no redirect of others to a page.
PAGES = frozenset({"GET", "HEAD"})
# What a value in a query may hold as it stands (RFC 3986, section 3.4).
IN_QUERY = "/:?@!$'()*,;="


@require_safe
@counted
def check(request: HttpRequest) -> HttpResponse:
    """204, 401 or 403 (nginx: auth_request)."""
    checked = _checked(request)
    if checked.verdict.status == 204:
        return _passed(request, checked)
    return _refused(request, checked, note_denial(checked))


@require_safe
@counted
def forward(request: HttpRequest) -> HttpResponse:
    """204, 403; a browser without a credential goes to the sign-in page (Caddy, Traefik)."""
    checked = _checked(request)
    verdict = checked.verdict
    if verdict.status == 204:
        return _passed(request, checked)
    reference = note_denial(checked)
    if verdict.status == 401 and is_navigation(request, checked.target):
        if is_signed_in(request):
            # The sign-in page would lead straight back here, round and round.
            return refused_page(request, checked, reference)
        back = safe_destination(checked.target.url)
        # Written as short as it can be: proxies hold a header of few kilobytes.
        query = f"?next={quote(back, safe=IN_QUERY)}" if back else ""
        response = HttpResponse(status=302)
        response["Location"] = f"{settings.PUBLIC_ORIGIN}{reverse('account_login')}{query}"
        response["Cache-Control"] = "no-store"
        return response
    if verdict.status == 403 and not prefers_json(request):
        return refused_page(request, checked, reference)
    return _refused(request, checked, reference)


def is_navigation(request: HttpRequest, target: Target) -> bool:
    """Does a person wait in front of a browser, rather than a program or a part of a page?"""
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode is not None:
        return mode == "navigate" and target.method in PAGES
    return target.method in PAGES and "text/html" in request.headers.get("Accept", "")


def _checked(request: HttpRequest) -> Checked:
    return CHECKER.judge(request.META, outcome_of(request))


def _passed(request: HttpRequest, checked: Checked) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Cache-Control"] = "no-store"
    query = request.META.get("QUERY_STRING", "")
    for name, value in [*checked.headers, *token_headers(checked, query)]:
        response[name] = as_wsgi(value)
    return response


def _refused(request: HttpRequest, checked: Checked, reference: str) -> HttpResponse:
    verdict = checked.verdict
    response: HttpResponse = problem_document(
        verdict.status,
        verdict.code,
        title=_("Not allowed") if verdict.status == 403 else _("Not signed in"),
        detail=_("Ask an operator, and name the reference %(reference)s.")
        % {"reference": reference},
        reference=reference,
    )
    response["Cache-Control"] = "no-store"
    response["X-Gatehouse-Reference"] = reference
    if verdict.status == 401:
        response["WWW-Authenticate"] = challenge(request.META)
    return response
