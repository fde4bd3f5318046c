"""The device flow (RFC 8628): a device without a browser asks, and its user decides elsewhere.

The user's decision and the redemption are each one conditional UPDATE, whoever is first.
"""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least
from django.utils import timezone

from accounts.models import User
from applications.models import App
from audit import audit_log
from core.crypto.tokens import digest, make_token
from core.locks import delete_free
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.errors import ProtocolError
from oidc_provider.models import DeviceCode, Grant
from oidc_provider.scopes import OFFLINE
from oidc_provider.services.codes import lock_signed_in
from oidc_provider.services.grants import REUSED, end_grant, read_grant

PURPOSE, USER_PURPOSE = "openid-device-code", "openid-user-code"
LIFETIME = timedelta(minutes=10)
INTERVAL_SECONDS = SLOWER_SECONDS = 5
ALLOWED, DENIED = "allowed", "denied"
# RFC 8628, section 6.1: no vowels, so no words; no digits, so none is taken for a letter.
ALPHABET, LENGTH = "BCDFGHJKLMNPQRSTVWXZ", 8


@dataclass(frozen=True, slots=True)
class IssuedDeviceCode:
    """The only copies of both codes."""

    device_code: str
    user_code: str

    def __repr__(self) -> str:
        return "IssuedDeviceCode()"


def issue(app: App, scope: tuple[str, ...], asked_from: str) -> IssuedDeviceCode:
    """A pair of codes. asked_from: the address of the device, which the user is shown."""
    now, device_code, letters = timezone.now(), make_token(), _new_letters()
    while DeviceCode.objects.filter(user_code=digest(USER_PURPOSE, letters)).exists():
        letters = _new_letters()
    DeviceCode.objects.create(
        app=app,
        digest=digest(PURPOSE, device_code),
        user_code=digest(USER_PURPOSE, letters),
        scope=" ".join(scope),
        asked_from=asked_from,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return IssuedDeviceCode(device_code, f"{letters[:4]}-{letters[4:]}")


def find_waiting(typed: str) -> DeviceCode | None:
    """The request with this user code, typed in any case and with any hyphens and spaces."""
    letters = re.sub(r"[\W_]", "", typed[:40]).upper()
    waiting = DeviceCode.objects.usable(timezone.now()).filter(
        decision="", app__allows_device_flow=True
    )
    found: DeviceCode | None = (
        waiting.select_related("app").filter(user_code=digest(USER_PURPOSE, letters)).first()
    )
    return found


def decide(
    row: DeviceCode, user: User, authentication: SessionAuthentication, *, allows: bool
) -> bool:
    """Note what the user has decided; False if the request has been decided or has expired.

    Their entry was decided a moment ago. Writes an audit row if they allow it. Raises AccessDenied
    if the session or the access of the user has ended meanwhile.
    """
    with transaction.atomic():
        current = lock_signed_in(user, authentication)
        now = timezone.now()
        waiting = DeviceCode.objects.usable(now).filter(pk=row.pk, decision="")
        done = waiting.update(
            decision=ALLOWED if allows else DENIED,
            user=user,
            # What is revoked from now on ends the grant.
            decided_at=current.issue_time(now),
            session_id=authentication.session_id,
            auth_time=authentication.at,
            methods=authentication.methods,
            has_second_factor=authentication.has_second_factor,
            ip=authentication.ip,
        )
        if done and allows:
            audit_log.record("openid:sign-in:start", actor=user, target=user, name=row.app.name)
    return bool(done)


def redeem(app: App, text: str) -> Grant:
    """The grant of an allowed device code (RFC 8628, section 3.5). Raises ProtocolError."""
    row: DeviceCode | None = (
        DeviceCode.objects.select_related("app")
        .filter(digest=digest(PURPOSE, text), app=app)
        .first()
    )
    if row is None:
        raise _unknown()
    if row.used_at is not None:
        end_grant(row.grant_id, REUSED)
        raise _unknown()
    if not row.app.allows_device_flow:
        # Switched off since: what was allowed before counts no more.
        raise ProtocolError("unauthorized_client", "The app may not use the device flow.")
    now = timezone.now()
    if row.expires_at <= now:
        raise ProtocolError("expired_token", "The code has expired. Ask for a new one.")
    _require_patience(row)
    if row.decision == DENIED:
        raise ProtocolError("access_denied", "The user has not allowed it.")
    if row.decision != ALLOWED:
        raise ProtocolError("authorization_pending", "The user has not decided yet.")
    if not _use_up(row, now):
        end_grant(row.grant_id, REUSED)
        raise _unknown()
    return read_grant(row.grant_id)


def purge_device_codes() -> int:
    """Delete codes an hour after their end; until then a second redemption is noticed."""
    before = timezone.now() - timedelta(hours=1)
    return delete_free(DeviceCode.objects.filter(expires_at__lt=before))


def _new_letters() -> str:
    return "".join(secrets.choice(ALPHABET) for _place in range(LENGTH))


def _require_patience(row: DeviceCode) -> None:
    """Raise ProtocolError if the device asks again too soon; it then has to wait longer.

    One conditional UPDATE decides, so requests at one moment count as one and too many.
    """
    now = timezone.now()
    soon = now - timedelta(seconds=row.interval)
    waiting = DeviceCode.objects.filter(pk=row.pk)
    in_time = waiting.filter(Q(polled_at=None) | Q(polled_at__lte=soon))
    if in_time.update(polled_at=now):
        return
    # No longer than the code lives, so that no number of questions exceeds the column.
    longer = Least(F("interval") + SLOWER_SECONDS, int(LIFETIME.total_seconds()))
    waiting.update(polled_at=now, interval=longer)
    raise ProtocolError("slow_down", "Wait five seconds longer between two questions.")


@transaction.atomic
def _use_up(row: DeviceCode, now: datetime) -> bool:
    """Store the grant of the code; False if another request has used it."""
    used = DeviceCode.objects.consume(row.digest, now)
    if used is not None:
        _make_grant(used)
    return used is not None


def _make_grant(row: Any) -> None:
    is_offline = OFFLINE in row.scope.split()
    Grant.objects.create(
        pk=row.grant_id,
        app=row.app,
        user_id=row.user_id,
        session_id=None if is_offline else row.session_id,
        sid=row.session_id,
        scope=row.scope,
        seed=secrets.token_urlsafe(32),
        auth_time=row.auth_time,
        methods=row.methods,
        has_second_factor=row.has_second_factor,
        ip=row.ip,
        created_at=row.decided_at,
        refreshed_at=row.used_at,
        expires_at=row.decided_at + settings.REFRESH_TOKEN_EXPIRY,
    )


def _unknown() -> ProtocolError:
    return ProtocolError("invalid_grant", "The device code is unknown or used, or not yours.")
