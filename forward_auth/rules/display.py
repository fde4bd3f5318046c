"""What rules say, in words for people. Pure."""

from collections.abc import Sequence

from django.utils.translation import gettext as _

from accounts.roles import Role
from forward_auth.rules.matching import Condition, Effect, Rule

NAMED_MOST = 3


def whom(effect: str, role_label: str, role: str) -> str:
    """Whom a rule lets in: `Nobody`, `Everybody`, `Editor and above`."""
    match effect:
        case Effect.DENY:
            return _("Nobody")
        case Effect.PUBLIC:
            return _("Everybody")
    if role == Role.OWNER:
        return _("Owners only")
    return _("%(role)s and above") % {"role": role_label}


def conditions(rule: Rule) -> list[tuple[Condition, str]]:
    """Each condition that the rule has, and what it asks for."""
    methods, networks = sorted(rule.methods), map(str, rule.networks)
    values = {
        Condition.HOST: rule.host,
        Condition.PATH: rule.path,
        Condition.METHOD: ", ".join(methods),
        Condition.NETWORK: ", ".join(networks),
    }
    return [(condition, value) for condition, value in values.items() if value]


def condition_name(condition: Condition) -> str:
    """The word for it."""
    names = {
        Condition.HOST: _("host"),
        Condition.PATH: _("path"),
        Condition.METHOD: _("method"),
        Condition.NETWORK: _("network"),
    }
    return names[condition]


def open_entry(
    found: Sequence[Rule | None], role_label: str, *, is_fenced: bool
) -> tuple[str, str]:
    """(title, advice) of the warning that registration opens sites behind forward auth.

    found: the rules by which, None for the default. is_fenced: ALLOWED_EMAILS is set.
    """
    if is_fenced:
        who = _("Whoever has an address that fits ALLOWED_EMAILS may register")
    else:
        who = _("Anyone may register")
    text = _("%(who)s and gets the role “%(role)s”. That is enough for: %(places)s. If you do not "
             "want this, set ALLOW_REGISTRATION=false or DEFAULT_ROLE=none and restart, or let "
             "these rules take a higher role.")  # fmt: skip
    values = {"who": who, "role": role_label, "places": _places(found)}
    return _("Anyone could let themselves in to your sites."), text % values


def _places(found: Sequence[Rule | None]) -> str:
    names = [_("rule “%(name)s”") % {"name": rule.name} for rule in found if rule is not None]
    more = len(names) - NAMED_MOST
    words = names[:NAMED_MOST]
    if more > 0:
        words.append(_("%(count)d more rules") % {"count": more})
    if None in found:
        words.append(_("all that no rule speaks of"))
    return ", ".join(words)
