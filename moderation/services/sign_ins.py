"""What a ban ends besides closing the gate."""

from accounts.models import User
from accounts.services import sessions


def end_sign_ins(user: User) -> None:
    """End the person's sessions and tokens, in the caller's transaction."""
    sessions.end_access(user, "banned")
