"""What the acts on owners are called, and what a request for one tells the owner who decides."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ROLE_LABELS, User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.services.end_dates import gives_more, is_later_end
from audit.models import AuditEvent
from core.text.time_display import exact_moment


class Line(NamedTuple):
    """One change: of what, from which value, to which. now: "" if there is none to show."""

    label: str
    now: str
    then: str


Arguments = Mapping[str, Any]
Lines = Callable[[User | None, Arguments], list[Line]]


def no_lines(_target: User | None, _arguments: Arguments) -> list[Line]:
    """Nothing to show besides the sentence."""
    return []


class Act(NamedTuple):
    """One kind of act. kind: stored with requests and in the audit log; never rename it.

    does: what it does, with %(name)s. consequence: what follows for %(name)s; gives_consequence
    replaces it where the person gets more power. lines: the changes in detail. secrets: arguments
    that no request may keep, with the names of their fields for people. raises_power: whether one
    of several changes gives the person more power; of one change, its service says so.
    """

    kind: str
    does: Any
    consequence: Any
    gives_consequence: Any = ""
    lines: Lines = no_lines
    secrets: Mapping[str, str] = MappingProxyType({})
    raises_power: Callable[[User | None, Arguments], bool] = lambda _target, _arguments: False


def role_label(role: str) -> str:
    """The name of a role in the language of the reader; "none" for no role at all."""
    return str(dict(ROLE_LABELS).get(role, role or _("none")))


def role_text(role: str, until: datetime | None, then: str) -> str:
    """As in "owner until 4 December 2026, 17:00, then editor"."""
    if until is None:
        return role_label(role)
    words = {"role": role_label(role), "until": exact_moment(until), "then": role_label(then)}
    return _("%(role)s until %(until)s, then %(then)s") % words


def end_text(end: datetime | None) -> str:
    """When an access ends, or that it does not."""
    return _("no end") if end is None else exact_moment(end)


def _role_lines(target: User | None, given: Arguments) -> list[Line]:
    now = "" if target is None else role_text(target.role, target.role_until, target.role_after)
    return [
        Line(_("Role"), now, role_text(given["role"], given.get("until"), given.get("then", "")))
    ]


def _new_lines(_target: User | None, given: Arguments) -> list[Line]:
    role = role_text(given["role"], given.get("role_until"), given.get("role_after", ""))
    found = [Line(_("Role"), "", role)]
    if given.get("name"):
        found.append(Line(_("Name"), "", given["name"]))
    return found


def _expiry_lines(target: User | None, given: Arguments) -> list[Line]:
    now = "" if target is None else end_text(target.expires_at)
    return [Line(_("End of the access"), now, end_text(given["expires_at"]))]


def _lock_lines(target: User | None, given: Arguments) -> list[Line]:
    words = {True: _("kept"), False: _("changed by providers and the directory")}
    now = "" if target is None else words[target.role_locked]
    return [Line(_("Role at sign-ins by a provider"), now, words[given["locked"]])]


def _profile_lines(target: User | None, given: Arguments) -> list[Line]:
    values = asdict(given["profile"])
    changes = {name: value for name, value in values.items() if value is not None}
    return _change_lines(target, {"changes": changes})


_LABELS: Any = {
    "email": gettext_lazy("Email address"),
    "name": gettext_lazy("Name"),
    "username": gettext_lazy("User name"),
    "time_zone": gettext_lazy("Time zone"),
    "language": gettext_lazy("Language"),
    "role": gettext_lazy("Role"),
    "role_until": gettext_lazy("Role until"),
    "role_after": gettext_lazy("Role afterwards"),
    "expires_at": gettext_lazy("End of the access"),
    "is_active": gettext_lazy("Account enabled"),
    "is_verified": gettext_lazy("Address verified"),
    "role_locked": gettext_lazy("Role kept at sign-ins by a provider"),
}


def _change_lines(target: User | None, given: Arguments) -> list[Line]:
    return [
        Line(str(_LABELS[name]), _value(name, getattr(target, name, None)), _value(name, value))
        for name, value in given["changes"].items()
        if name in _LABELS and value != getattr(target, name, None)
    ]


def _raises_power(target: User | None, given: Arguments) -> bool:
    if target is None:
        return True
    changes = given["changes"]
    until = changes.get("role_until", target.role_until)
    then = changes.get("role_after", target.role_after)
    return (
        gives_more(target, changes.get("role", target.role), until, then)
        or is_later_end(changes.get("expires_at", target.expires_at), target.expires_at)
        or (changes.get("is_active", False) and not target.is_active)
    )


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return exact_moment(value)
    if name in ("role", "role_after"):
        return role_label(value)
    return str(value or (_("no end") if name in ("expires_at", "role_until") else _("none")))


def _undo_lines(_target: User | None, given: Arguments) -> list[Line]:
    event = with_emails(AuditEvent.objects.filter(pk=given["event"].pk)).get()
    return [Line(_("Entry %(number)d") % {"number": event.seq}, "", sentence_of(event))]


def _reason_lines(_target: User | None, given: Arguments) -> list[Line]:
    reason = given.get("reason", "")
    return [Line(_("Reason"), "", reason)] if reason else []


FULL_POWER = gettext_lazy(
    "%(name)s may then do everything here: manage everyone, other owners too, and change all "
    "settings."
)
ROLE = Act(
    "role",
    gettext_lazy("Change the role of %(name)s"),
    gettext_lazy(
        "%(name)s loses the rights of an owner, now or at the end that is shown, and is signed out "
        "everywhere."
    ),
    FULL_POWER,
    _role_lines,
)
CREATE = Act(
    "create",
    gettext_lazy("Create the account %(name)s as owner"),
    FULL_POWER,
    FULL_POWER,
    _new_lines,
    MappingProxyType({"password": "password"}),
)
INVITE = Act(
    "invite",
    gettext_lazy("Invite %(name)s as owner"),
    FULL_POWER,
    gettext_lazy(
        "Whoever opens the link of the invitation may then do everything here: manage everyone, "
        "other owners too, and change all settings. The link is mailed to %(name)s."
    ),
    _new_lines,
)
EDIT = Act(
    "edit",
    gettext_lazy("Change the address of %(name)s"),
    gettext_lazy(
        "Sign-in links and password resets of %(name)s go to the new address. Every sign-in and "
        "API key of theirs ends. Both addresses are told."
    ),
    lines=_profile_lines,
)
EXPIRY = Act(
    "expiry",
    gettext_lazy("Set the end of the access of %(name)s"),
    gettext_lazy("The access of %(name)s ends by itself at the time that is shown."),
    gettext_lazy("%(name)s stays an owner for longer than until now."),
    _expiry_lines,
)
ROLE_LOCK = Act(
    "role-lock",
    gettext_lazy("Set whether providers may change the role of %(name)s"),
    gettext_lazy(
        "A sign-in through a provider, and the directory, change the role of %(name)s, or leave it "
        "alone."
    ),
    lines=_lock_lines,
)
DISABLE = Act(
    "disable",
    gettext_lazy("Disable the account of %(name)s"),
    gettext_lazy(
        "%(name)s is signed out everywhere, their API keys stop working, and they cannot sign in "
        "until the account is enabled."
    ),
    lines=_reason_lines,
)
ENABLE = Act(
    "enable",
    gettext_lazy("Enable the account of %(name)s"),
    gettext_lazy("%(name)s may sign in again."),
    FULL_POWER,
)
DELETE = Act(
    "delete",
    gettext_lazy("Delete the account of %(name)s"),
    gettext_lazy(
        "The account of %(name)s and everything that belongs to it are deleted. It cannot be "
        "undone."
    ),
)
RESET_PASSWORD = Act(
    "reset-password",
    gettext_lazy("Start a password reset for %(name)s"),
    gettext_lazy(
        "The password of %(name)s stops working, and every device is signed out. You get a link, "
        "to hand over, with which they choose a new one."
    ),
)
RESET_FACTORS = Act(
    "reset-factors",
    gettext_lazy("Reset the second factors of %(name)s"),
    gettext_lazy(
        "%(name)s signs in without a second factor until they set one up, and is signed out "
        "everywhere. Make sure that they themselves ask for it."
    ),
)
OFFBOARD = Act(
    "offboard",
    gettext_lazy("Offboard %(name)s"),
    gettext_lazy(
        "The account of %(name)s is disabled, and everything that it can be entered with ends for "
        "good."
    ),
    lines=_reason_lines,
)
VERIFY = Act(
    "verify",
    gettext_lazy("Mark the address of %(name)s as verified"),
    gettext_lazy(
        "Sign-in links of %(name)s go to this address. Confirm only if you know that it is theirs."
    ),
)
SET_PASSWORD = Act(
    "set-password",
    gettext_lazy("Set the password of %(name)s"),
    gettext_lazy("Never asked for: a request keeps no password."),
    secrets=MappingProxyType({"new": "password"}),
)
UNDO = Act(
    "undo",
    gettext_lazy("Undo a change about %(name)s"),
    gettext_lazy("It is again as it was before the change."),
    lines=_undo_lines,
)
CHANGE = Act(
    "change",
    gettext_lazy("Change the account of %(name)s"),
    gettext_lazy(
        "All these changes are made together. With another role, address or state, %(name)s is "
        "signed out everywhere."
    ),
    FULL_POWER,
    _change_lines,
    raises_power=_raises_power,
)
