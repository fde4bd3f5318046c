"""The table of denials: why a request was denied, by the reference that the user saw."""

from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import quote

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import access_policy
from accounts.admin.base import SEARCH_MAX_LENGTH, ReadOnlyAdmin, RowPage, as_uuid
from accounts.admin.columns import badge, exact_moment, moment, network_cell, user_link, with_detail
from accounts.admin.navigation import MenuGroup
from accounts.admin.site import site
from accounts.admin.users.filters import ChoiceFilter, ColumnFilter, Option, SinceFilter
from accounts.models import User
from core.web.client_ip import parse_address
from forward_auth.admin.labels import app_link, audience_badge, rule_link, target_cell
from forward_auth.models import AccessRule, Denial
from forward_auth.services.denials import SIGN_IN, app_of_denial, reference_in
from forward_auth.services.explanations import REASONS, reason_of
from forward_auth.services.rules import rule_of
from moderation.admin.labels import ban_link, end_of
from moderation.admin.tables import found_user_ids
from moderation.models import Ban
from moderation.services.bans import active_bans

MAX_CHOICES = 30
MAX_BANS = 10
CREDENTIALS = {
    "session": gettext_lazy("a session"),
    "gate": gettext_lazy("a session"),  # by the cookie of apps on other hosts
    "key": gettext_lazy("an API key"),
    "token": gettext_lazy("an access token"),
    SIGN_IN: gettext_lazy("a sign-in to the app by OpenID Connect"),
}


class CodeFilter(ColumnFilter):
    title = gettext_lazy("reason")
    parameter_name = "code"
    values = [(code, reason.short) for code, reason in REASONS.items()]


class HostFilter(ChoiceFilter):
    title = gettext_lazy("host")
    parameter_name = "host"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        hosts = Denial.objects.exclude(host="").order_by("host").values_list("host", flat=True)
        return [(host, host, Q(host=host)) for host in hosts.distinct()[:MAX_CHOICES]]


class UserFilter(ChoiceFilter):
    title = gettext_lazy("person")
    parameter_name = "person"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        denied = Denial.objects.exclude(user=None).order_by().values("user_id")
        users = User.objects.filter(pk__in=denied).order_by("email")[:MAX_CHOICES]
        found = {str(user.pk): user.email for user in users}
        chosen = as_uuid(request.GET.get(self.parameter_name, ""))
        if chosen is not None and str(chosen) not in found:
            found[str(chosen)] = str(chosen)
        return [(key, label, Q(user_id=key)) for key, label in found.items()]


class DeniedFilter(SinceFilter):
    title = gettext_lazy("when")
    parameter_name = "since"
    field = "at"

    def options(self, request: HttpRequest) -> Iterable[Option]:
        return list(super().options(request))[:1]


@admin.register(Denial, site=site)
class DenialAdmin(RowPage, ReadOnlyAdmin):
    """The denials of a week, newest first. Equal denials within a minute are one row."""

    title = gettext_lazy("Denied access")
    menu_group = MenuGroup.ACCESS
    menu_position = 20
    help_page = "forward-auth-rules"
    ordering: ClassVar[tuple[str, ...]] = ("-at", "pk")
    list_display = ("when", "reference", "why_badge", "asked", "who", "times")
    list_display_links = ("reference",)
    sortable_by = ("when",)
    empty_text = gettext_lazy(
        "Each request that was denied is listed here for a week, with the reason. “Try a request” "
        "tells in advance what would happen."
    )
    empty_page = ("admin:forward_auth_try", gettext_lazy("Try a request"))
    list_filter = (CodeFilter, DeniedFilter, HostFilter, UserFilter)
    # Django shows the search box for it; get_search_results() does the search.
    search_fields = ("reference",)
    search_help_text = gettext_lazy(
        "A reference, part of a person's address or name, a host, or a network address"
    )
    change_list_template = "admin/forward_auth/denial/change_list.html"
    change_form_template = "admin/forward_auth/denial/change_form.html"
    detail_fields: ClassVar[tuple[str, ...]] = (
        "reference",
        "exactly",
        "times",
        "asked",
        "client",
        "credential_name",
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Denial]":
        found: QuerySet[Denial] = super().get_queryset(request)
        return found.select_related("user", "app", "rule__app")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Denial]", search_term: str
    ) -> "tuple[QuerySet[Denial], bool]":
        return queryset.filter(_condition(search_term)), False

    @admin.display(description=gettext_lazy("when"), ordering="at")
    def when(self, row: Denial) -> str:
        return moment(row.at)

    @admin.display(description=gettext_lazy("when"))
    def exactly(self, row: Denial) -> str:
        return exact_moment(row.at)

    @admin.display(description=gettext_lazy("reason"))
    def why_badge(self, row: Denial) -> SafeString:
        return _badge(row)

    @admin.display(description=gettext_lazy("asked for"))
    def asked(self, row: Denial) -> str:
        if row.app is not None:
            return app_link(row.app)
        target = target_cell(row.method, row.host, row.path)
        app = row.rule.app if row.rule else None
        return format_html("{} · {}", app.name, target) if app else target

    @admin.display(description=gettext_lazy("who"))
    def who(self, row: Denial) -> str:
        if row.user is None:
            return network_cell(row.ip)
        user = user_link(row.user.pk, row.user.email)
        return with_detail(user, row.ip)

    @admin.display(description=gettext_lazy("times"))
    def times(self, row: Denial) -> str:
        return str(row.count)

    @admin.display(description=gettext_lazy("from network address"))
    def client(self, row: Denial) -> str:
        return network_cell(row.ip)

    @admin.display(description=gettext_lazy("with"))
    def credential_name(self, row: Denial) -> str:
        return str(CREDENTIALS.get(row.credential, _("no valid credential")))

    def page_context(self, request: HttpRequest, row: Denial) -> dict[str, Any]:
        return _page_context(row)


def _condition(search_term: str) -> Q:
    """Search for a reference, a host, an IP address, or users."""
    text = search_term.strip()[:SEARCH_MAX_LENGTH]
    if not text:
        return Q()
    if (key := as_uuid(text)) is not None:
        return Q(user_id=key) | Q(rule_id=key)
    if (address := parse_address(text)) is not None:
        return Q(ip=str(address))
    condition = Q(host=text.lower()) | Q(user_id__in=found_user_ids(text))
    reference = reference_in(text)
    return Q(pk=reference) | condition if reference else condition


def _page_context(row: Denial) -> dict[str, Any]:
    """What the page of a denial shows below its fields."""
    user, app = row.user, app_of_denial(row)
    return {
        "subtitle": row.reference,
        "reason": reason_of(row.code),
        "badge": _badge(row),
        "why": row.why,
        "is_sign_in": row.credential == SIGN_IN,
        "rule": rule_link(row.rule.pk, row.rule.name) if row.rule else "",
        "app": app_link(app) if app else "",
        "rule_whom": _whom(row.rule) if row.rule else "",
        "rule_is_used": row.rule.is_enabled if row.rule else False,
        "person": user_link(user.pk, user.email) if user else "",
        "role": user.get_role_display() if user else "",
        "closed": _denial_message(user) if user else "",
        "bans": _bans(row, user) if user else [],
        "others": f"{reverse('admin:forward_auth_denial_changelist')}?person={user.pk}"
        if user
        else "",
        "trial": _simulation_url(row),
    }


def _badge(row: Denial) -> SafeString:
    return badge("warn" if row.status == 401 else "bad", reason_of(row.code).short)


def _denial_message(user: User) -> str:
    """Why the user may not act now; "" if they may."""
    found = access_policy.account_denial(user)
    return found.message if found is not None else ""


def _bans(row: Denial, user: User) -> list[tuple[Any, Any]]:
    """The user's bans that were active then, or are now, newest first."""
    not_lifted = Q(lifted_at=None) | Q(lifted_at__gt=row.at)
    not_expired = Q(until=None) | Q(until__gt=row.at)
    then = Q(created_at__lte=row.at) & not_lifted & not_expired
    now = Q(pk__in=active_bans().filter(user=user).values("pk"))
    found = Ban.objects.filter(then | now, user=user).order_by("-pk")[:MAX_BANS]
    return [(ban_link(ban, ban.reason or None), end_of(ban)) for ban in found]


def _simulation_url(row: Denial) -> str:
    """The URL that simulates the same request now; "" when the target was unclear."""
    if not (row.host and row.path and row.method):
        return ""
    query = QueryDict(mutable=True)
    query["who"] = str(row.user_id or "")
    query["url"] = f"https://{row.host}{quote(row.path)}"
    query["method"] = row.method
    query["ip"] = row.ip
    return f"{reverse('admin:forward_auth_try')}?{query.urlencode()}"


def _whom(row: AccessRule) -> SafeString:
    rule = rule_of(row)
    return audience_badge(rule.effect, rule.role, rule.groups)
