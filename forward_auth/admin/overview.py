"""Forward auth on the dashboard: who could let themselves in, and the way to a trial."""

from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.admin.dashboard import DashboardWarning, Link, Part, add_part
from accounts.models import User
from forward_auth.rules.display import open_entry
from forward_auth.rules.matching import Effect, Rule, asked
from forward_auth.services.rules import is_used, open_entries


def open_entry_advice() -> list[DashboardWarning]:
    """The warning that whoever registers is let in; none where that is not so."""
    found = open_entries()
    if not found:
        return []
    label = str(User(role=settings.DEFAULT_ROLE).get_role_display())
    return [
        DashboardWarning("warn", *open_entry(found, label, is_fenced=bool(settings.ALLOWED_EMAILS)))
    ]


def open_places_advice(rules: Sequence[Rule]) -> list[DashboardWarning]:
    """Rules that open whole hosts to everybody."""
    title = _("“%(name)s” lets everybody in, without signing in.")
    text = _("It names no path. If only a part of the site is public, name its path.")
    return [
        DashboardWarning("warn", title % {"name": rule.name}, text)
        for rule in asked(rules)
        if rule.effect is Effect.PUBLIC and not rule.path and not rule.networks
    ]


def warnings() -> list[DashboardWarning]:
    """For the dashboard: only where proxies ask this server."""
    if not settings.ALLOW_REGISTRATION or not is_used():
        return []
    url = reverse("admin:forward_auth_accessrule_changelist")
    return [one._replace(url=url, link=_("Access rules")) for one in open_entry_advice()]


def links() -> list[Link]:
    """The way to the page."""
    return [Link(reverse("admin:forward_auth_try"), _("Try a request"))]


add_part("forward-auth", Part(list, lambda _days: [], warnings, links))
