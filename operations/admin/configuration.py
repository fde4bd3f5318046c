"""The page "Configuration file", and the notice on the overview: what differs from the file."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from accounts.admin.columns import badge, moment
from accounts.admin.dashboard.parts import DashboardWarning, Part, add_part
from accounts.admin.navigation import help_url
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page, is_owner
from operations.as_code.apply import DIGEST_SHOWN
from operations.as_code.changes import FieldChange
from operations.as_code.drift import Drift, How, State, current_state
from operations.as_code.run import INVITATION

# Of a notice; the page lists all.
MAX_NAMED = 3
LABELS: dict[str, Any] = {
    "branding": gettext_lazy("Appearance"),
    "groups": gettext_lazy("Groups"),
    "people": gettext_lazy("People"),
    "service_accounts": gettext_lazy("Service accounts"),
    "scopes": gettext_lazy("Scopes"),
    "apps": gettext_lazy("Apps"),
    "access_rules": gettext_lazy("Access rules"),
    "webhooks": gettext_lazy("Webhooks"),
}
PAGES = {
    "groups": "admin:accounts_group_change",
    "people": "admin:accounts_user_change",
    "service_accounts": "admin:accounts_serviceaccount_change",
    "scopes": "admin:applications_customscope_change",
    "apps": "admin:applications_app_change",
    "access_rules": "admin:forward_auth_accessrule_change",
    "webhooks": "admin:webhooks_webhookendpoint_change",
}
# Where there is no page of one row.
LISTS = {
    "branding": "admin:core_branding_changelist",
    "access_rules": "admin:forward_auth_accessrule_changelist",
}


class DriftRow(NamedTuple):
    """An object that differs. key: "" where the table says it all. url: "" without a page."""

    label: Any
    key: str
    url: str
    state: SafeString
    fields: tuple[FieldChange, ...]


@require_safe
def configuration_page(request: HttpRequest) -> HttpResponse:
    """When the file was applied, and each object that differs from it."""
    state = current_state()
    context = {
        "title": _("Configuration file"),
        "state": state,
        "digest": state.digest[:DIGEST_SHOWN] if state else "",
        "applied": moment(state.applied_at) if state else "",
        "counts": [(LABELS[name], count) for name, count in state.counts.items()] if state else [],
        "rows": list(_rows(state)) if state else [],
        "help": help_url("configuration-as-code"),
        "export": "manage.py export > gatehouse.yaml",
        "plan": "manage.py apply gatehouse.yaml --plan",
    }
    template = "admin/operations/configuration.html"
    return render(request, template, site.each_context(request) | context)


def _rows(state: State) -> Iterator[DriftRow]:
    badges = {
        How.CHANGED: badge("warn", _("changed")),
        How.MISSING: badge("bad", _("not there")),
        How.MOVED: badge("warn", _("another order")),
    }
    for each in state.drift:
        yield DriftRow(LABELS[each.table], each.key, _url(each), badges[each.how], each.fields)


def _url(drift: Drift) -> str:
    if drift.id.startswith(INVITATION):
        return reverse("admin:accounts_invitation_changelist")
    if drift.id and drift.table in PAGES:
        return reverse(PAGES[drift.table], args=[drift.id])
    return reverse(LISTS[drift.table]) if drift.table in LISTS else ""


def notices(request: HttpRequest) -> list[DashboardWarning]:
    """What differs from the file, for owners, who alone change all of it."""
    state = current_state() if is_owner(request) else None
    if state is None or not state.drift:
        return []
    count = len(state.drift)
    title = ngettext(
        "%(count)s object differs from the configuration file",
        "%(count)s objects differ from the configuration file",
        count,
    ) % {"count": count}
    named = "; ".join(map(_named, state.drift[:MAX_NAMED]))
    named += "; …" if count > MAX_NAMED else "."
    url = reverse("admin:configuration")
    return [DashboardWarning("warn", title, named, url, _("Show the differences"))]


def _named(drift: Drift) -> str:
    """`Apps: wiki (openid_role, is_trusted)`."""
    what = f"{LABELS[drift.table]}: {drift.key}" if drift.key else str(LABELS[drift.table])
    fields = ", ".join(field.name for field in drift.fields)
    return f"{what} ({fields})" if fields else what


add_part("configuration", Part(notices=notices))
add_page(
    SitePage(
        "configuration",
        "configuration/",
        configuration_page,
        help_page="configuration-as-code",
        for_owners=True,
    )
)
