"""Which events of the audit log are sent to webhooks, under which public name, and with what. Pure.

Names and fields are public: receivers rely on them. Only the details that are listed here are sent.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from django.utils.translation import gettext_lazy as _

TEST = "webhook.test"
ID_LENGTH = 32


class AuditRow(Protocol):
    """What is read of an audit event."""

    seq: int
    at: datetime
    action: str
    result: str
    actor_id: Any
    target_id: Any
    channel: str
    ip: str
    request_id: str
    detail: Any
    hash: str


class EventType(NamedTuple):
    """A public event type. text: what it means, in a sentence.

    details: names in `data` -> names in the details of the audit log. times: those that are times.
    """

    name: str
    text: Any
    details: Mapping[str, str] = {}
    times: tuple[str, ...] = ()


_METHODS = {"methods": "methods", "provider": "provider", "reason": "reason"}
_KEY = {"key_id": "key", "scopes": "scopes", "replaces_key_id": "before"}
_ENDS = {"role_until": "until", "role_after": "then"}
_ROLES = {"role": "after", "role_before": "before", "reason": "reason"} | _ENDS

USER_CREATED = EventType(
    "user.created", _("An account was created."), {"role": "role", "source": "source"}
)
USER_UPDATED = EventType("user.updated", _("A profile was changed."), {"fields": "fields"})
USER_EMAIL = EventType("user.email_changed", _("An email address was changed."))
USER_VERIFIED = EventType("user.email_verified", _("An email address was verified."))
USER_ROLE = EventType("user.role_changed", _("A role was changed."), _ROLES, ("role_until",))
USER_ENDS = EventType(
    "user.expiry_changed", _("The end of an account was set or removed."),
    {"expires_at": "until"}, ("expires_at",),
)  # fmt: skip
USER_DISABLED = EventType("user.disabled", _("An account was disabled."), {"reason": "reason"})
USER_ENABLED = EventType("user.enabled", _("An account was enabled."))
USER_OFFBOARDED = EventType("user.offboarded", _("All access of an account was removed."))
USER_DELETED = EventType("user.deleted", _("An account was deleted."), {"role": "role"})
PASSWORD_CHANGED = EventType("password.changed", _("A password was changed, set or reset."))
INVITATION_CREATED = EventType("invitation.created", _("An invitation was sent."), {"role": "role"})
INVITATION_ACCEPTED = EventType(
    "invitation.accepted", _("An invitation was accepted."), {"role": "role"}
)
INVITATION_WITHDRAWN = EventType(
    "invitation.withdrawn", _("An invitation was withdrawn."), {"role": "role"}
)
SESSION_CREATED = EventType("session.created", _("Someone signed in."), _METHODS)
SESSION_ENDED = EventType("session.ended", _("Someone was signed out."), {"count": "count"})
SIGN_IN_FAILED = EventType("sign_in.failed", _("A sign-in was refused."), _METHODS)
FACTOR_ADDED = EventType("second_factor.added", _("A second factor was added."), {"kind": "kind"})
FACTOR_REMOVED = EventType(
    "second_factor.removed", _("A second factor was removed."), {"kind": "kind"}
)
FACTORS_RESET = EventType(
    "second_factor.reset", _("All second factors were removed."), {"kinds": "kinds"}
)
PASSKEY_ADDED = EventType("passkey.added", _("A passkey was added."), {"passkey_id": "passkey"})
PASSKEY_REMOVED = EventType(
    "passkey.removed", _("A passkey was removed."), {"passkey_id": "passkey"}
)
VIOLATION = EventType(
    "violation.created", _("A limit was exceeded."),
    {"violation_id": "violation", "type": "type", "score": "score", "total": "total"},
)  # fmt: skip
BAN_CREATED = EventType(
    "ban.created", _("A ban began."), {"ban_id": "ban", "kind": "kind", "type": "type"}
)
BAN_REMOVED = EventType("ban.removed", _("A ban was lifted."), {"ban_id": "ban"})
KEY_CREATED = EventType("api_key.created", _("An API key was created."), _KEY)
KEY_ROTATED = EventType("api_key.rotated", _("An API key was replaced."), _KEY)
KEY_REVOKED = EventType("api_key.revoked", _("An API key was revoked."), _KEY)

# (action, result) of the audit log -> type.
BY_ACTION: dict[tuple[str, str], EventType] = {
    ("account:user:create", "success"): USER_CREATED,
    ("account:user:edit", "success"): USER_UPDATED,
    ("account:email:change", "success"): USER_EMAIL,
    ("account:email:verify", "success"): USER_VERIFIED,
    ("account:email:prove", "success"): USER_VERIFIED,
    ("account:email:vouch", "success"): USER_VERIFIED,
    ("account:role:change", "success"): USER_ROLE,
    ("account:role:limit", "success"): USER_ROLE,
    ("account:expiry:set", "success"): USER_ENDS,
    ("account:expiry:clear", "success"): USER_ENDS,
    ("account:user:disable", "success"): USER_DISABLED,
    ("account:user:enable", "success"): USER_ENABLED,
    ("account:user:offboard", "success"): USER_OFFBOARDED,
    ("account:user:delete", "success"): USER_DELETED,
    ("account:password:change", "success"): PASSWORD_CHANGED,
    ("account:password:set", "success"): PASSWORD_CHANGED,
    ("account:password:reset", "success"): PASSWORD_CHANGED,
    ("account:invitation:issue", "success"): INVITATION_CREATED,
    ("account:invitation:accept", "success"): INVITATION_ACCEPTED,
    ("account:invitation:withdraw", "success"): INVITATION_WITHDRAWN,
    ("account:session:start", "success"): SESSION_CREATED,
    ("account:session:end", "success"): SESSION_ENDED,
    ("account:session:end-all", "success"): SESSION_ENDED,
    ("account:session:start", "refused"): SIGN_IN_FAILED,
    ("account:factor:add", "success"): FACTOR_ADDED,
    ("account:factor:remove", "success"): FACTOR_REMOVED,
    ("account:factor:reset", "success"): FACTORS_RESET,
    ("account:passkey:add", "success"): PASSKEY_ADDED,
    ("account:passkey:remove", "success"): PASSKEY_REMOVED,
    ("moderation:violation:score", "success"): VIOLATION,
    ("moderation:ban:start", "success"): BAN_CREATED,
    ("moderation:ban:lift", "success"): BAN_REMOVED,
    ("api:key:create", "success"): KEY_CREATED,
    ("api:key:rotate", "success"): KEY_ROTATED,
    ("api:key:revoke", "success"): KEY_REVOKED,
}
TYPES: dict[str, EventType] = {each.name: each for each in BY_ACTION.values()}
ACTIONS = frozenset(action for action, _result in BY_ACTION)


def event_type(action: str, result: str) -> EventType | None:
    """The type of an audit event; None if it is not sent."""
    return BY_ACTION.get((action, result))


def event_id(row: AuditRow) -> str:
    """The id of the event: from its hash, which differs even where a restore repeats numbers."""
    return f"evt_{row.hash[:ID_LENGTH]}"


def payload(row: AuditRow, kind: EventType, user: Mapping[str, Any] | None) -> str:
    """The body for an audit event. user: the account it is about, as in the API; None if gone."""
    detail = row.detail if isinstance(row.detail, dict) else {}
    data = {
        "seq": row.seq,
        "user_id": _text(row.target_id),
        "user": user,
        "actor_id": _text(row.actor_id),
        "channel": row.channel,
        "ip": row.ip,
        "request_id": row.request_id,
    }
    for name, source in kind.details.items():
        value = detail.get(source)
        data[name] = _time(value) if name in kind.times else value
    return body(event_id(row), kind.name, row.at, data)


def body(identifier: str, name: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The JSON that is signed and sent."""
    event = {"id": identifier, "type": name, "timestamp": rfc3339(at), "data": data}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False)


def rfc3339(at: datetime) -> str:
    """A time as in the API: in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _time(value: Any) -> str | None:
    """A time of the audit log, as `2026-12-01 10:00 UTC`, in the form of the API."""
    try:
        found = datetime.strptime(str(value), "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    except ValueError:
        return None
    return rfc3339(found)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
