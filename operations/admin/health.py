"""The page "Health": each part of the instance, and the findings of the doctor with their fix.

It shows what the worker has found; only *Check now* sends requests.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.admin.columns import badge, moment
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page, is_owner
from core.version import VERSION
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.paused import paused_ids
from federation.providers import configured
from operations.checks import (
    WORKER_IS_LATE,
    CheckRunning,
    Report,
    check_now,
    last_backup_at,
    latest_report,
    worker_seen_at,
)
from operations.doctor import Finding, HealthPart
from operations.instance import where

TRANSPORTS = {
    "resend": gettext_lazy("by Resend"),
    "smtp": gettext_lazy("by SMTP"),
    "none": gettext_lazy("no mail service is set: mail waits here"),
}


class HealthRow(NamedTuple):
    """One part. name: for HTML ids. url, link: the page that shows more."""

    name: str
    label: str
    state: SafeString
    text: str | SafeString
    findings: Sequence[Finding] = ()
    url: str = ""
    link: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
def health_page(request: HttpRequest) -> HttpResponse:
    """GET shows the newest findings; POST examines everything now."""
    if request.method == "POST":
        try:
            check_now()
        except CheckRunning:
            text = _("The check is running already. Look here again in half a minute.")
            messages.warning(request, text)
        else:
            messages.success(request, _("Everything was checked a moment ago."))
        return redirect("admin:health")
    report = latest_report()
    context = {
        "title": _("Health"),
        "rows": [
            *_own_rows(report, is_owner(request)),
            *_sign_in_rows(report),
            *_last_rows(report),
        ],
        "checked": moment(report.at) if report else "",
        "version": VERSION,
        "may_set_up": is_owner(request),
    }
    return render(request, "admin/operations/health.html", site.each_context(request) | context)


def _own_rows(report: Report | None, may_see_settings: bool) -> Iterator[HealthRow]:
    yield _row(report, HealthPart.DATABASE, _("Database"), where())
    yield _worker_row(worker_seen_at())
    yield _row(report, HealthPart.SERVER, _("Server"), _("files, keys, counters and limits"))
    page: Any = (reverse("admin:settings"), _("Settings")) if may_see_settings else ()
    yield _row(report, HealthPart.SETTINGS, _("Settings"), _("names and values"), *page)
    proxies = reverse("admin:moderation_proxies"), _("Proxy check")
    yield _row(report, HealthPart.NETWORK, _("Network"), settings.PUBLIC_URL, *proxies)
    people = reverse("admin:accounts_user_changelist"), _("Users")
    yield _row(report, HealthPart.USERS, _("Users"), _("owners and registration"), *people)
    mail = reverse("admin:mail_outboxmail_test"), _("Send a test mail")
    text = str(TRANSPORTS.get(settings.MAIL.transport, settings.MAIL.transport))
    yield _row(report, HealthPart.MAIL, _("Mail"), text, *mail)


def _worker_row(seen: datetime | None) -> HealthRow:
    """The worker says each minute that it lives."""
    is_late = seen is None or timezone.now() - seen > WORKER_IS_LATE
    text = format_html("{} {}", _("last seen"), moment(seen, _("never")))
    fix = "Restart the server (`manage.py serve`) and read its log."
    late = Finding("error", "Without the worker no mail is sent and nothing is cleaned up.", fix)
    # Right after the first start it has not said anything yet.
    state = badge("plain", _("not seen yet")) if seen is None else _state([late] if is_late else [])
    findings = [late] if seen is not None and is_late else []
    return HealthRow("worker", _("Background worker"), state, text, findings)


def _sign_in_rows(report: Report | None) -> Iterator[HealthRow]:
    """The directory and each provider."""
    paused, page = paused_ids(), (reverse("admin:providers"), _("Sign-in providers"))
    sources = [(one.id, one.label, HealthPart.PROVIDERS) for one in configured()]
    if settings.LDAP is not None:
        sources.insert(0, (DIRECTORY, _("Directory (LDAP)"), HealthPart.DIRECTORY))
    for name, label, part in sources:
        found = report.of(part, name) if report else []
        state = badge("plain", _("switched off")) if name in paused else _state_of(report, found)
        yield HealthRow(f"source-{name}", label, state, _("sign-in"), found, *page)
    others = report.of(HealthPart.PROVIDERS, "") if report else []
    if others:
        text = _("identities, and issuers of tokens")
        yield HealthRow("issuers", _("Other providers"), _state(others), text, others, *page)


def _last_rows(report: Report | None) -> Iterator[HealthRow]:
    rules = reverse("admin:forward_auth_accessrule_changelist"), _("Access rules")
    yield _row(
        report,
        HealthPart.FORWARD_AUTH,
        _("Forward auth"),
        _("rules for apps behind a proxy"),
        *rules,
    )
    hooks = reverse("admin:webhooks_webhookendpoint_changelist"), _("Webhooks")
    yield _row(report, HealthPart.WEBHOOKS, _("Webhooks"), _("deliveries to other systems"), *hooks)
    made = last_backup_at()
    state = badge("good", _("made")) if made else badge("plain", _("not known"))
    unknown = _("No backup by “manage.py backup” is known here.")
    text = format_html("{} {}", _("last made"), moment(made)) if made else unknown
    yield HealthRow("backup", _("Backup"), state, text)


def _row(
    report: Report | None, part: HealthPart, label: str, text: str, url: str = "", link: str = ""
) -> HealthRow:
    found = report.of(part) if report else []
    return HealthRow(part.value, label, _state_of(report, found), text, found, url, link)


def _state_of(report: Report | None, found: Sequence[Finding]) -> SafeString:
    return _state(found) if report else badge("plain", _("not checked yet"))


def _state(found: Sequence[Finding]) -> SafeString:
    levels = {finding.level for finding in found}
    if "error" in levels:
        return badge("bad", _("does not work"))
    return badge("warn", _("needs attention")) if "warning" in levels else badge("good", _("works"))


add_page(
    SitePage(
        "health",
        "health/",
        health_page,
        gettext_lazy("Health"),
        position=10,
        help_page="health",
        is_exempt=True,
    )
)
