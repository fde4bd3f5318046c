"""Forward auth on the dashboard: a warning about open registration."""

from collections.abc import Sequence

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.admin.dashboard.parts import DashboardWarning, Part, add_part
from accounts.models import User
from forward_auth.rules.display import self_registration_warning
from forward_auth.rules.matching import Effect, Rule, reachable_rules
from forward_auth.services.rules import is_used, load_rules, rules_open_to_registration

MAX_PUBLIC_RULES = 5
# No private range is larger: 10.0.0.0/8, fc00::/7.
MIN_PREFIX = 7


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


def public_warnings() -> list[DashboardWarning]:
    """The rules that strangers can use: what is public, and the list."""
    rules = [rule for rule in reachable_rules(load_rules()) if _is_for_strangers(rule)]
    if not rules:
        return []
    title = ngettext(
        "%(count)s access rule lets everyone in without signing in.",
        "%(count)s access rules let everyone in without signing in.",
        len(rules),
    ) % {"count": len(rules)}
    named = [_("“%(name)s”: %(what)s") % {"name": rule.name, "what": _reach(rule)}
             for rule in rules[:MAX_PUBLIC_RULES]]  # fmt: skip
    text = "; ".join([*named, *(["…"] if len(rules) > MAX_PUBLIC_RULES else [])])
    return [DashboardWarning("warn", title, f"{text}.")]


def _is_for_strangers(rule: Rule) -> bool:
    """Whether it is public, and not only for private networks."""
    if rule.effect is not Effect.PUBLIC:
        return False
    # Of 0.0.0.0/0, Python 3.11 says that it is private.
    private = [one for one in rule.networks if one.is_private and one.prefixlen >= MIN_PREFIX]
    return not rule.networks or len(private) < len(rule.networks)


def _reach(rule: Rule) -> str:
    """Host and path of a rule, and whether it asks for a network."""
    place = (rule.host or _("every host")) + rule.path
    if not rule.networks:
        return place
    return _("%(place)s from %(networks)s") % {
        "place": place,
        "networks": ", ".join(map(str, rule.networks)),
    }


def warnings() -> list[DashboardWarning]:
    """Warnings on the dashboard, where proxies ask this server."""
    url = reverse("admin:forward_auth_accessrule_changelist")
    public = [one._replace(url=url, link=_("Access rules")) for one in public_warnings()]
    return [*public, *registration_warnings()]


def registration_warnings() -> list[DashboardWarning]:
    """What anyone who registers can use; none while registration is closed."""
    if not settings.ALLOW_REGISTRATION or not is_used():
        return []
    url = reverse("admin:forward_auth_accessrule_changelist")
    return [one._replace(url=url, link=_("Access rules")) for one in self_registration_warnings()]


add_part("forward-auth", Part(warnings=warnings))
