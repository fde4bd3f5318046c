"""What the ban commands share."""

from typing import Any
from uuid import UUID

from django.core.management import CommandError

from accounts.models import User
from moderation.models import Ban
from moderation.reasons import shown


def target_text(ban: Ban) -> str:
    """`anna@example.com and 203.0.113.7`."""
    names = [ban.user.email] if ban.user is not None else []
    return " and ".join([*names, ban.network] if ban.network else names)


def until_text(ban: Ban) -> str:
    """`until 2026-11-21 14:00 UTC`, or `until it is lifted`."""
    return f"until {ban.until:%Y-%m-%d %H:%M} UTC" if ban.until else "until it is lifted"


def ban_as_json(ban: Ban, state: str) -> dict[str, Any]:
    """A ban as a JSON object, with the names of the API and the address of the user."""
    return {
        "id": str(ban.pk),
        "user_id": _text(ban.user_id),
        "email": ban.user.email if ban.user is not None else None,
        "network": ban.network,
        "kind": ban.kind,
        "state": state,
        "reason": shown(ban.reason),
        "created_at": ban.created_at.isoformat(),
        "expires_at": ban.until.isoformat() if ban.until else None,
        "created_by": _text(ban.created_by),
        "lifted_at": ban.lifted_at.isoformat() if ban.lifted_at else None,
        "lifted_by": _text(ban.lifted_by),
    }


def _text(key: UUID | None) -> str | None:
    return None if key is None else str(key)


def require_target(user: User | None, *others: str) -> None:
    """Raise CommandError if no user and nothing else is named."""
    if user is None and not any(others):
        raise CommandError("Name a user, or give --network an address.")
