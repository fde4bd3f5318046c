"""What a request for a second owner shows of the account that it is about."""

from typing import Any

from accounts.models import User
from accounts.services.end_dates import exact_audit_time


def seen_of(user: User | None) -> dict[str, Any]:
    """The state of the account, which must be the same when the request is carried out."""
    if user is None:
        return {}
    return {
        "email": user.email,
        "name": user.name,
        "username": user.username or "",
        "role": user.role,
        "role_until": None if user.role_until is None else exact_audit_time(user.role_until),
        "role_after": user.role_after,
        "role_locked": user.role_locked,
        "is_active": user.is_active,
        "expires_at": None if user.expires_at is None else exact_audit_time(user.expires_at),
        "is_verified": user.is_verified,
    }
