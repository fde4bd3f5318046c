"""Events of the audit log as sentences in the reader's language. Pure.

For example "Olga Reiter changed the role of Jon Doe from viewer to editor." The caller supplies the
names, since the log holds ids only. Used by the admin and the API.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from string import Formatter
from typing import Any, Protocol

from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from audit.wordings import ACTS, LIMITS, MAILS, REASONS, ROLES, RULE_FIELDS, TERMS, WORDINGS
from core.text.time_display import exact_moment

SHORT_ID_LENGTH = 8
UNKNOWN = "…"
_RULE_FIELD = re.compile(rf"(?:^|(?<=; ))({'|'.join(RULE_FIELDS)}): ")
# Details for undo, beside their names for people.
_IDS = ("app_id", "group_ids", "openid_group_ids", "audience_id")
# Fields of an app that mean nothing unless it signs people in.
_OF_CLIENTS = frozenset({"redirect_uris", "logout_uris", "is_trusted", "openid_role",
                         "openid_people", "openid_second_factor", "id_token_algorithm",
                         "signed_userinfo", "openid_networks", "openid_hours",
                         "backchannel_logout_uri", "frontchannel_logout_uri",
                         "service_account", "client_authentication",
                         "client_keys", "client_keys_url", "requires_pushed_requests",
                         "allows_device_flow", "subject_type", "custom_scopes"})  # fmt: skip
# A reason of `syncldap` begins with the id of its run.
_RUN = re.compile(r"^syncldap [0-9a-f-]{36}: ")


class Event(Protocol):
    """What a sentence needs of an audit event."""

    action: str
    result: str
    detail: Any
    actor_id: Any
    target_id: Any
    channel: str
    undoes: int | None


def sentence(event: Event, *, actor: str = "", target: str = "", second: str = "") -> str:
    """The event as plain text. actor, target: names of the users; "" if the account is deleted.

    second: the name of the second owner who confirmed it. An unknown action, or one that lacks
    details, gets a sentence too.
    """
    text, values = _parts(event, actor, target)
    return text.format(**values) + _reason(event) + _undone(event) + _confirmed(event, second)


def sentence_html(event: Event, *, actor: str = "", target: str = "") -> SafeString:
    """The event as HTML. Names may be safe links; they and all details are escaped otherwise."""
    text, values = _parts(event, actor, target)
    more = f"{_reason(event)}{_undone(event)}{_confirmed(event, '')}"
    return format_html("{}{}", format_html(text, **values), more)


def _parts(event: Event, actor: str, target: str) -> tuple[str, dict[str, Any]]:
    """The wording, and a value for each of its fields."""
    text = _wording(event)
    detail: Mapping[str, Any] = event.detail if isinstance(event.detail, dict) else {}
    names = {
        "actor": actor or _begin(text, "{actor}", actor_name(event)),
        "target": target or _begin(text, "{target}", target_name(event)),
    }
    fields = {name for _text, name, _spec, _conversion in Formatter().parse(text) if name}
    return text, {name: names.get(name) or _shown(event.action, name, detail) for name in fields}


def _begin(text: str, field: str, name: str) -> str:
    """`name`, with a capital letter if the sentence begins with it."""
    return name[:1].upper() + name[1:] if text.startswith(field) else name


def _wording(event: Event) -> str:
    known = WORDINGS.get(event.action)
    if known is None:
        return _("{actor} did “{action}” ({target}).").replace("{action}", _plain(event.action))
    if event.result != "success":
        refused = known.refused or _("An action on {target} was refused ({action}).")
        return str(refused).replace("{action}", _plain(event.action))
    return str(known.own if known.own and _is_own(event) else known.done)


def _is_own(event: Event) -> bool:
    return event.actor_id is not None and event.actor_id == event.target_id


def actor_name(event: Event) -> str:
    """The actor without a name: a deleted account, the command line, or Gatehouse itself."""
    if event.actor_id is not None:
        return _deleted(event.actor_id)
    return _("The command line") if event.channel == "command" else "Gatehouse"


def target_name(event: Event) -> str:
    """The target without a name: a deleted account, or the network of a ban."""
    if isinstance(event.detail, dict) and event.detail.get("covers") == ["network"]:
        return _("a network address")
    if isinstance(event.detail, dict) and event.detail.get("act") in ("create", "invite"):
        return _("a new owner")
    return _("an unknown account") if event.target_id is None else _deleted(event.target_id)


def _deleted(key: Any) -> str:
    return _("a deleted account (…{id})").format(id=str(key)[-SHORT_ID_LENGTH:])


def _reason(event: Event) -> str:
    """` Reason: …` for the reason in the details; "" without one."""
    detail = event.detail if isinstance(event.detail, dict) else {}
    reason = _RUN.sub("", str(detail.get("reason") or "")).strip()
    shown = str(REASONS.get(reason, reason)).rstrip(".")
    return " " + _("Reason: {reason}.").format(reason=shown) if shown else ""


def _undone(event: Event) -> str:
    """` This undoes entry …` for an event that takes back another; "" otherwise."""
    if event.undoes is None:
        return ""
    return " " + _("This undoes entry {number}.").format(number=event.undoes)


def _confirmed(event: Event, second: str) -> str:
    """Which second owner has confirmed it, or that there was none; "" without that rule."""
    detail = event.detail if isinstance(event.detail, dict) else {}
    if detail.get("second_owner") == "none":
        return " " + _("There was no second owner to confirm it.")
    key = detail.get("confirmed_by")
    return " " + _("Confirmed by {name}.").format(name=second or _deleted(key)) if key else ""


def _shown(action: str, name: str, detail: Mapping[str, Any]) -> str:
    """The detail `name` in the reader's language."""
    if name not in detail and name == "methods" and "provider" in detail:
        name = "provider"
    value = detail.get(name)
    if value is None or value == "":
        return UNKNOWN
    return _FORMATS.get((action, name), _FORMATS.get(("", name), _term))(value)


def _plain(text: str) -> str:
    """Without braces, which a wording would take for fields."""
    return text.replace("{", "").replace("}", "")


def role_name(value: Any) -> str:
    """The name of a role in the language of the reader."""
    return str(ROLES.get(str(value), value))


def _term(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return number_format(f"{value:.2f}".rstrip("0").rstrip("."), use_l10n=True)
    if isinstance(value, list | tuple):
        return ", ".join(_term(each) for each in value) or UNKNOWN
    return str(TERMS.get(str(value), value))


def _number(value: Any) -> str:
    """How many there are of a list; any other value as it is."""
    return str(len(value)) if isinstance(value, list) else str(value)


def rule_text(values: Any) -> str:
    """The values of an access rule or an app, with the names of the fields, in one line.

    values: by field, or as text.
    """
    if not isinstance(values, dict):
        return _RULE_FIELD.sub(lambda found: f"{RULE_FIELDS[found[1]]}: ", str(values))
    texts = (
        (RULE_FIELDS.get(name, name), _rule_value(value))
        for name, value in values.items()
        if name not in _IDS and not (name in _OF_CLIENTS and not values.get("openid_kind", "?"))
    )
    return "; ".join(f"{name}: {text}" for name, text in texts)


def _rule_value(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) or "-"


def _text(value: Any) -> str:
    return str(value)


def _moment(value: Any) -> str:
    """A time that was stored as `2026-12-01 10:00 UTC`, in the language and zone of the reader."""
    try:
        return exact_moment(datetime.strptime(str(value), "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC))
    except ValueError:
        return str(value)


def _limit(value: Any) -> str:
    return str(LIMITS.get(str(value), value))


def _mail(value: Any) -> str:
    return str(MAILS.get(str(value), value))


def _act(value: Any) -> str:
    return str(ACTS.get(str(value), value))


# By action and detail, or by detail alone ("").
_FORMATS: dict[tuple[str, str], Callable[[Any], str]] = {
    ("", "role"): role_name,
    ("", "until"): _moment,
    ("", "act"): _act,
    ("account:role:change", "before"): role_name,
    ("account:role:change", "after"): role_name,
    ("account:role:limit", "before"): role_name,
    ("account:role:limit", "after"): role_name,
    ("account:role:limit", "then"): role_name,
    ("", "group"): _text,
    ("account:group:create", "name"): _text,
    ("account:group:change", "name"): _text,
    ("account:group:change", "before"): rule_text,
    ("account:group:change", "after"): rule_text,
    ("account:group:delete", "name"): _text,
    ("account:group:restore", "name"): _text,
    ("scim:group:link", "name"): _text,
    ("scim:group:release", "name"): _text,
    ("account:directory:sync", "disabled"): _number,
    ("account:directory:sync", "roles"): _number,
    ("account:directory:undo", "enabled"): _number,
    ("account:directory:undo", "roles"): _number,
    ("moderation:violation:score", "type"): _limit,
    ("mail:outbox:dead", "kind"): _mail,
    ("mail:outbox:retry", "kind"): _mail,
    ("sso:rule:create", "after"): rule_text,
    ("sso:rule:change", "before"): rule_text,
    ("sso:rule:change", "after"): rule_text,
    ("sso:rule:delete", "before"): rule_text,
    ("sso:rule:create", "name"): _text,
    ("sso:rule:change", "name"): _text,
    ("sso:rule:delete", "name"): _text,
    ("sso:rule:move", "name"): _text,
    **{
        (action, field): _text
        for action in WORDINGS
        if action.startswith("webhook:")
        for field in ("name", "host", "event", "type")
    },
    ("sso:app:create", "after"): rule_text,
    ("sso:app:change", "before"): rule_text,
    ("sso:app:change", "after"): rule_text,
    ("sso:app:delete", "before"): rule_text,
    **{(action, "name"): _text for action in WORDINGS if action.startswith("openid:")},
    ("openid:app:register", "token"): _text,
    ("openid:registration-token:create", "after"): rule_text,
    ("openid:scope:create", "after"): rule_text,
    ("openid:scope:change", "before"): rule_text,
    ("openid:scope:change", "after"): rule_text,
    ("openid:scope:delete", "before"): rule_text,
    ("sso:app:create", "name"): _text,
    ("sso:app:change", "name"): _text,
    ("sso:app:delete", "name"): _text,
    **{
        (action, field): _text
        for action in WORDINGS
        if action.startswith(("sso:app:secret", "sso:app:authenticate"))
        for field in ("name", "ending", "before")
    },
}
