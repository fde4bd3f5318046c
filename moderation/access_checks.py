"""Bans as checks of the access policy; see settings.ACCESS_CHECKS and CLIENT_CHECKS.

Both read the table and the clock. So a ban ends by itself, survives restarts, and needs no cache.
"""

from django.utils.translation import gettext as _

from accounts.access_policy import DenialReason
from accounts.models import User
from core.web.client_ip import network_key
from moderation.models import Ban
from moderation.reasons import BY_ADMIN, shown
from moderation.services.bans import ban_at, ban_of

CODE = "banned"


def get_user_denial(user: User) -> DenialReason | None:
    """The ban that keeps `user` from acting, as a denial; or None."""
    found = ban_of(user)
    if found is None:
        return None
    message = _("This account is banned. %(reason)s") % {"reason": shown(found.reason)}
    return DenialReason(CODE, message, found.until, found.created_at)


def get_client_denial(ip: str) -> DenialReason | None:
    """The ban that closes sign-in from `ip`, as a denial; or None."""
    found = ban_at(network_key(ip))
    if found is None:
        return None
    message = _("Sign-in from your network is closed. %(reason)s") % {
        "reason": shown(_public_reason(found))
    }
    return DenialReason(CODE, message, found.until, found.created_at)


def _public_reason(found: Ban) -> str:
    """Others in a network may not read what an administrator wrote about one user."""
    is_ban_of_user = found.user_id is not None and found.kind == Ban.Kind.MANUAL
    return BY_ADMIN if is_ban_of_user else found.reason
