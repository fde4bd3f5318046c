"""The page "Sign-in providers": each with its callback URL, a switch and a test."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.admin.base import acting_admin
from accounts.admin.columns import moment
from accounts.admin.lists import capped_count
from accounts.admin.navigation import help_url
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page, is_owner
from core.errors import Forbidden, NotFound
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.models import ExternalIdentity
from federation.paused import paused_ids
from federation.providers import OIDC, Provider, configured
from federation.services.switching import switch_off, switch_on, switchable_ids
from operations.admin.provider_guides import KNOWN, has_guide, missing_providers
from operations.checks import check_provider, provider_report
from operations.doctor import Finding

PAGE = "admin:providers"


class ProviderRow(NamedTuple):
    """One configured provider, or the directory.

    checked: when it was last tested, "" if never. findings: what hinders sign-ins.
    """

    id: str
    label: str
    kind: str
    server: str
    callback: str
    is_on: bool
    identities: int
    checked: str | SafeString
    findings: Sequence[Finding]
    help_url: str
    has_guide: bool = False
    can_sign_in: bool = True


@require_safe
def providers_page(request: HttpRequest) -> HttpResponse:
    """Every configured provider, then those that are not."""
    rows = _rows()
    context = {
        "title": _("Sign-in providers"),
        "rows": rows,
        "missing": missing_providers({row.id for row in rows}),
        "all_help": help_url("providers/README"),
        "may_change": is_owner(request),
    }
    return render(request, "admin/operations/providers.html", site.each_context(request) | context)


@require_http_methods(["GET", "HEAD", "POST"])
def switch_page(request: HttpRequest, provider: str) -> HttpResponse:
    """GET asks; POST switches the provider off or on."""
    row = _row_of(provider)
    if request.method == "POST":
        return _switch(request, row)
    title = _("Switch off %(name)s?") if row.is_on else _("Switch on %(name)s?")
    context = {"title": title % {"name": row.label}, "row": row}
    return render(request, "admin/operations/switch.html", site.each_context(request) | context)


@require_POST
def test_page(request: HttpRequest, provider: str) -> HttpResponse:
    """Ask the provider's server for what a sign-in needs, and show the result on the page."""
    row = _row_of(provider)
    if check_provider(provider).findings:
        messages.error(request, _("%(name)s has findings: see below.") % {"name": row.label})
    else:
        messages.success(request, _("%(name)s answers as it should.") % {"name": row.label})
    return redirect(PAGE)


def _switch(request: HttpRequest, row: ProviderRow) -> HttpResponse:
    """The state comes from the form, so that a form sent late never does the opposite."""
    wants_on = request.POST.get("state") == "on"
    switch = switch_on if wants_on else switch_off
    try:
        is_changed = switch(actor=acting_admin(request), provider_id=row.id)
    except Forbidden as error:
        messages.error(request, error.message)
        return redirect(PAGE)
    text = _("No one signs in through %(name)s any more.")
    if wants_on:
        text = _("Sign-in through %(name)s is on.")
    if not is_changed:
        text = _("%(name)s was switched already.")
    messages.success(request, text % {"name": row.label})
    return redirect(PAGE)


def _rows() -> list[ProviderRow]:
    paused = paused_ids()
    rows = [_row(provider, provider.id not in paused) for provider in configured()]
    if settings.LDAP is not None:
        rows.append(_directory_row(DIRECTORY not in paused))
    return rows


def _row_of(provider_id: str) -> ProviderRow:
    """Raises NotFound."""
    for row in _rows():
        if row.id == provider_id and provider_id in switchable_ids():
            return row
    raise NotFound


def _row(provider: Provider, is_on: bool) -> ProviderRow:
    is_openid = provider.kind == OIDC
    page = KNOWN[provider.id].help_page if provider.id in KNOWN else "providers/README"
    return ProviderRow(
        provider.id,
        provider.label,
        "OpenID Connect" if is_openid else "OAuth 2.0",
        provider.issuer,
        provider.redirect_uri,
        is_on,
        _identities(provider.id),
        *_checked(provider.id),
        help_url(page),
        has_guide(provider.id),
    )


def _directory_row(is_on: bool) -> ProviderRow:
    url = settings.LDAP.url if settings.LDAP else ""
    return ProviderRow(
        DIRECTORY,
        _("Directory (LDAP)"),
        "LDAP",
        url,
        "",
        is_on,
        _identities(DIRECTORY),
        *_checked(DIRECTORY),
        help_url("ldap"),
        can_sign_in=False,
    )


def _checked(provider_id: str) -> tuple[str | SafeString, Sequence[Finding]]:
    report = provider_report(provider_id)
    return (moment(report.at), report.findings) if report else ("", ())


def _identities(provider_id: str) -> int:
    return capped_count(ExternalIdentity.objects.filter(provider=provider_id))


LABEL: Any = gettext_lazy("Sign-in providers")
add_page(
    SitePage(
        "providers",
        "providers/",
        providers_page,
        LABEL,
        position=30,
        help_page="sign-in-providers",
    )
)
add_page(
    SitePage(
        "provider-switch",
        "providers/<slug:provider>/switch/",
        switch_page,
        for_owners=True,
        act=gettext_lazy("Switch a sign-in provider off or on"),
    )
)
add_page(
    SitePage(
        "provider-test",
        "providers/<slug:provider>/test/",
        test_page,
        for_owners=True,
        is_exempt=True,
    )
)
