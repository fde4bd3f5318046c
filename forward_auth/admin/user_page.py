"""The page of one user: what they can reach, and why not; and where they were denied access."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, badge, moment
from accounts.admin.users.sections import Content, Row, add_section, found_in, newest
from accounts.models import User
from applications.models import App
from forward_auth.admin.labels import (
    app_link,
    audience_badge,
    conditions_cell,
    rule_link,
    target_cell,
)
from forward_auth.admin.simulation import SimulationForm, simulation_result
from forward_auth.models import Denial
from forward_auth.services.explanations import reason_of
from forward_auth.services.rules import apps_of_rules
from forward_auth.services.simulation import Reach, reach_of

# Rules in the table; the list of rules shows all.
MAX_RULES_SHOWN = 50
TEMPLATE = "admin/forward_auth/user_reach.html"


class RuleLine(NamedTuple):
    """One rule, and whether a request that it decides would pass."""

    rule: SafeString
    app: str
    allows: SafeString
    conditions: str | SafeString
    answer: SafeString
    why: str


def reach(request: HttpRequest, user: User) -> Content:
    """A form that asks about one address, its answer, and every rule."""
    form = _form(request, user)
    result = simulation_result(form) if form.is_bound and form.is_valid() else None
    note, found = reach_of(user)
    shown, apps = found[:MAX_RULES_SHOWN], apps_of_rules()
    context = {
        "form": form,
        "note": note,
        "result": result,
        "trial": _trial_url(request, user) if result else "",
        "rules": [_line(one, apps.get(one.rule.id), is_closed=bool(note)) for one in shown],
        "left_out": max(0, len(found) - MAX_RULES_SHOWN),
    }
    return Content(template=TEMPLATE, context=context, stylesheet="admin-forward-auth.css")


def _form(request: HttpRequest, user: User) -> SimulationForm:
    """The form about this user; bound if the address of the page has a question."""
    initial = {"method": "GET"}
    if "url" not in request.GET:
        return SimulationForm(initial=initial, auto_id="reach_%s")
    asked = {name: request.GET.get(name, "") for name in ("url", "method")}
    data = initial | {name: value for name, value in asked.items() if value}
    return SimulationForm(data | {"who": str(user.pk)}, auto_id="reach_%s")


def _trial_url(request: HttpRequest, user: User) -> str:
    """The same question on the page that shows each step."""
    asked: dict[str, Any] = {"who": str(user.pk), "url": request.GET.get("url", "")}
    asked["method"] = request.GET.get("method") or "GET"
    return f"{reverse('admin:forward_auth_try')}?{urlencode(asked)}"


def _line(one: Reach, app: App | None, *, is_closed: bool) -> RuleLine:
    rule, decision = one
    is_passed = decision.status == 204
    why = _("may not sign in") if is_closed else str(reason_of(decision.code).short)
    return RuleLine(
        rule_link(rule.id, rule.name),
        app_link(app) if app else NOTHING,
        audience_badge(rule.effect, rule.role, rule.groups),
        conditions_cell(rule),
        badge("good", _("Yes")) if is_passed else badge("bad", _("No")),
        "" if is_passed else why,
    )


def denials(_request: HttpRequest, user: User) -> Content:
    """The newest denied requests of the week, each with a link that explains it."""
    found = Denial.objects.filter(user=user).select_related("app").order_by("-at", "pk")
    rows = newest(found)
    return Content(
        (_("When"), _("Asked for"), _("Why"), _("Times")),
        [_denial_row(row) for row in rows],
        more=found_in("forward_auth_denial", str(user.pk), "person"),
        empty=_("None in the last week."),
    )


def _denial_row(row: Denial) -> Row:
    page = reverse("admin:forward_auth_denial_change", args=[row.pk])
    why = format_html('<a href="{}">{}</a>', page, reason_of(row.code).short)
    target = app_link(row.app) if row.app else target_cell(row.method, row.host, row.path)
    return Row((moment(row.at), target, why, row.count))


add_section("reach", gettext_lazy("What can this person reach, and why not?"), reach)
add_section("denials", gettext_lazy("Denied access"), denials)
