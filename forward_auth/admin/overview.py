"""Forward auth on the dashboard: a warning about open registration."""

from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.admin.dashboard import DashboardWarning, Part, add_part
from accounts.models import User
from forward_auth.rules.display import self_registration_warning
from forward_auth.rules.matching import Effect, Rule, reachable_rules
from forward_auth.services.rules import is_used, rules_open_to_registration


def self_registration_warnings() -> list[DashboardWarning]:
    """The warning that anyone who registers gets access; [] if they do not."""
    found = rules_open_to_registration()
    if not found:
        return []
    label = str(User(role=settings.DEFAULT_ROLE).get_role_display())
    return [
        DashboardWarning(
            "warn",
            *self_registration_warning(found, label, is_limited=bool(settings.ALLOWED_EMAILS)),
        )
    ]


def public_host_warnings(rules: Sequence[Rule]) -> list[DashboardWarning]:
    """Warnings about rules that make whole hosts public."""
    title = _("“%(name)s” allows everyone, without signing in.")
    text = _("The rule has no path. If only a part of the site is public, enter its path.")
    return [
        DashboardWarning("warn", title % {"name": rule.name}, text)
        for rule in reachable_rules(rules)
        if rule.effect is Effect.PUBLIC and not rule.path and not rule.networks
    ]


def warnings() -> list[DashboardWarning]:
    """Warnings on the dashboard, where proxies ask this server."""
    if not settings.ALLOW_REGISTRATION or not is_used():
        return []
    url = reverse("admin:forward_auth_accessrule_changelist")
    return [one._replace(url=url, link=_("Access rules")) for one in self_registration_warnings()]


add_part("forward-auth", Part(warnings=warnings))
