"""Authenticator apps, and the verification of second factors.

For passkeys see mfa.services.passkeys, for recovery codes mfa.services.recovery_codes.
"""

import logging
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import second_factors
from accounts.services.mail import notify
from audit import audit_log
from core.crypto.encryption import DecryptionError, decrypt, encrypt
from core.errors import NotFound, RecordInvalid
from core.locks import lock_users
from core.text import plain_text
from mfa import totp
from mfa.models import Authenticator
from mfa.services import recovery_codes

logger = logging.getLogger("gatehouse.factors")
TOTP = Authenticator.Kind.TOTP
NAME_MAX_LENGTH = 80


@dataclass(frozen=True, slots=True)
class TOTPSetup:
    """A seed for an app, before the user has confirmed it by a code."""

    secret: str = field(repr=False)  # base32
    address: str = field(repr=False)  # otpauth://


def totp_of(user: User) -> Authenticator | None:
    """The authenticator app of the user, of which there is at most one."""
    return user.authenticators.filter(kind=TOTP).first()


def begin_totp_setup(user: User, secret: str = "") -> TOTPSetup:
    """A new seed, or `secret` again to show the same page once more. Stores nothing."""
    seed = totp.from_text(secret) if secret else totp.make_secret()
    issuer = f"Gatehouse {urlsplit(settings.PUBLIC_URL).hostname}"
    address = totp.provisioning_uri(seed, issuer=issuer, account=user.email)
    return TOTPSetup(totp.as_text(seed), address)


def check_first_code(user: User, secret: str, code: str) -> int:
    """The time step of a code for the seed `secret`. Raises RecordInvalid for a wrong code.

    The caller enforces the rate limit.
    """
    seed = totp.from_text(secret)
    step = totp.matching_step(seed, totp.parse_code(code), timezone.now().timestamp())
    if step is None:
        audit_log.record(
            "account:factor:add", actor=user, target=user, result="refused", kind=TOTP.value
        )
        raise RecordInvalid({"code": [str(_("This code is not correct. Use the newest one."))]})
    return step


def confirm_totp_setup(user: User, secret: str, code: str, *, name: str = "") -> tuple[str, ...]:
    """Store the app with the seed `secret`, confirmed by a code; replaces an older app.

    Returns the recovery codes that are created with the first factor, otherwise (). Consumes the
    code. Sends a mail. Raises RecordInvalid if the code is wrong.
    """
    step = check_first_code(user, secret, code)
    row = Authenticator(user=user, kind=TOTP, name=_clean_name(name), last_step=step)
    row.sealed_secret = encrypt(secret, _associated_data(row))
    try:
        with transaction.atomic():
            lock_users(user.pk)
            user.authenticators.filter(kind=TOTP).delete()
            user.trusted_browsers.all().delete()
            row.save(force_insert=True)
            audit_log.record("account:factor:add", actor=user, target=user, kind=TOTP.value)
            notify(user, "factor-added", factor=TOTP.value)
            return recovery_codes.ensure_codes(user)
    except IntegrityError:
        # A concurrent request has stored another app.
        raise RecordInvalid({"code": [str(_("An app has been set up just now."))]}) from None


def rename_totp(user: User, name: str) -> None:
    """Rename the app. Raises NotFound."""
    with transaction.atomic():
        lock_users(user.pk)
        if not user.authenticators.filter(kind=TOTP).update(name=_clean_name(name)):
            raise NotFound
        audit_log.record("account:factor:rename", actor=user, target=user, kind=TOTP.value)


def remove_totp(user: User) -> None:
    """Remove the app. Sends a mail. Raises NotFound, FactorNeeded."""
    with transaction.atomic():
        lock_users(user.pk)
        require_not_last(user)
        if not user.authenticators.filter(kind=TOTP).delete()[0]:
            raise NotFound
        audit_log.record("account:factor:remove", actor=user, target=user, kind=TOTP.value)
        notify(user, "factor-removed", factor=TOTP.value)
        user.trusted_browsers.all().delete()
        second_factors.drop_without_factor(user)


def require_not_last(user: User) -> None:
    """Raise FactorNeeded if the role needs a factor and this is the last.

    Call after lock_users(user.pk), so that two removals at once do not remove the last factor.
    """
    if user.role in settings.MFA_REQUIRED_ROLES and user.authenticators.count() <= 1:
        raise second_factors.FactorNeeded


def verify_second_factor(user: User, code: str) -> str:
    """Consume a code of the app or a recovery code: "totp", "recovery_code", or "" if wrong.

    The caller enforces rate_limits.check_mfa_rate_limit().
    """
    if verify_totp(user, code):
        return "totp"
    return (
        "recovery_code"
        if second_factors.has_factor(user) and recovery_codes.consume_code(user, code)
        else ""
    )


def verify_totp(user: User, code: str) -> bool:
    """Consume a code of the app; each works once, even concurrently (RFC 6238, section 5.2)."""
    row = totp_of(user)
    digits = totp.parse_code(code)
    if row is None or not digits:
        return False
    try:
        seed = totp.from_text(decrypt(row.sealed_secret, _associated_data(row)))
    except DecryptionError:
        logger.exception("cannot decrypt a seed: ENCRYPTION_KEY has changed")
        return False
    now = timezone.now()
    step = totp.matching_step(seed, digits, now.timestamp())
    if step is None:
        return False
    unspent = Authenticator.objects.filter(pk=row.pk, last_step__lt=step)
    return unspent.update(last_step=step, last_used_at=now) == 1


def record_wrong_code(user: User, action: str) -> None:
    """Audit that a code was wrong, without the code."""
    audit_log.record(action, actor=user, target=user, result="refused", methods=["second_factor"])


def _clean_name(name: str) -> str:
    return plain_text.clean_name(name, NAME_MAX_LENGTH) or str(_("Authenticator app"))


def _associated_data(row: Authenticator) -> str:
    return f"authenticator.sealed_secret:{row.pk}"
