"""Describes rules in words. Pure."""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext as _

from accounts.group_names import is_id
from accounts.roles import Role
from forward_auth.rules.matching import Condition, Effect, Rule

MAX_NAMED_RULES = 3


def audience(effect: str, role_label: str, role: str, groups: Iterable[str] = ()) -> str:
    """Whom a rule allows: `No one`, `Everyone`, `Editor and above`, `Editor and above in staff`."""
    match effect:
        case Effect.DENY:
            return _("No one")
        case Effect.PUBLIC:
            return _("Everyone")
    if role == Role.OWNER:
        text = _("Owners only")
    else:
        text = _("%(role)s and above") % {"role": role_label}
    named = any_group(groups)
    return _("%(who)s in %(groups)s") % {"who": text, "groups": named} if named else text


def any_group(groups: Iterable[str]) -> str:
    """`finance`, or `finance or staff`; a deleted group has an id instead of a name."""
    names = sorted({_("a deleted group") if is_id(name) else name for name in groups})
    if len(names) < 2:
        return "".join(names)
    return _("%(groups)s or %(last)s") % {"groups": ", ".join(names[:-1]), "last": names[-1]}


def conditions(rule: Rule) -> list[tuple[Condition, str]]:
    """Each condition of the rule, with its value."""
    methods, networks = sorted(rule.methods), map(str, rule.networks)
    values = {
        Condition.HOST: rule.host,
        Condition.PATH: rule.path,
        Condition.METHOD: ", ".join(methods),
        Condition.NETWORK: ", ".join(networks),
    }
    return [(condition, value) for condition, value in values.items() if value]


def condition_name(condition: Condition) -> str:
    """The word for a condition."""
    names = {
        Condition.HOST: _("host"),
        Condition.PATH: _("path"),
        Condition.METHOD: _("method"),
        Condition.NETWORK: _("network"),
    }
    return names[condition]


def self_registration_warning(
    found: Sequence[Rule | None], role_label: str, *, is_limited: bool
) -> tuple[str, str]:
    """(title, advice) of the warning that anyone who registers gets access to sites.

    found: the rules that admit them, None for the default. is_limited: ALLOWED_EMAILS is set.
    """
    if is_limited:
        who = _("Anyone with an address that matches ALLOWED_EMAILS can register")
    else:
        who = _("Anyone can register")
    text = _("%(who)s and gets the role “%(role)s”. That is enough for: %(places)s. If you do not "
             "want this, set ALLOW_REGISTRATION=false or DEFAULT_ROLE=none and restart, or let "
             "these rules require a higher role.")  # fmt: skip
    values = {"who": who, "role": role_label, "places": _places(found)}
    return _("Anyone can give themselves access to your sites."), text % values


def _places(found: Sequence[Rule | None]) -> str:
    names = [_("rule “%(name)s”") % {"name": rule.name} for rule in found if rule is not None]
    more = len(names) - MAX_NAMED_RULES
    words = names[:MAX_NAMED_RULES]
    if more > 0:
        words.append(_("%(count)d more rules") % {"count": more})
    if None in found:
        words.append(_("requests that match no rule"))
    return ", ".join(words)
