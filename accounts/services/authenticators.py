"""Second factors of people: authenticator apps, what counts as a factor, reset by an operator.

Passkeys have accounts.services.passkeys; recovery codes accounts.services.recovery.
"""

import logging
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit, plain_text, totp
from accounts.actors import Actor
from accounts.crypto import SealBroken, seal, unseal
from accounts.errors import Forbidden, NotFound, RecordInvalid
from accounts.locks import lock_people
from accounts.models import Authenticator, User
from accounts.services import recovery
from accounts.services.factormails import tell
from accounts.services.sessions import end_sign_ins
from accounts.services.users import require_rank, require_rank_now

logger = logging.getLogger("gatehouse.factors")
TOTP = Authenticator.Kind.TOTP
NAME_MAX_LENGTH = 80


class FactorNeeded(Forbidden):
    """The role needs a second factor, and this is the last one."""

    code = "second_factor_needed"
    default_message = _("Your role needs a second factor. Set up another one before this goes.")


class SecondFactorSetUpRequired(Forbidden):
    """The role needs a second factor, and the person has none yet. A browser leads him to it."""

    code = "second_factor_setup_required"
    default_message = _(
        "Your role needs a second factor. Sign in with a browser once, and set it up there."
    )


@dataclass(frozen=True, slots=True)
class NewApp:
    """A seed that an app is to take, before the person has proved that it did."""

    secret: str = field(repr=False)  # base32
    address: str = field(repr=False)  # otpauth://


def has_factor(user: User) -> bool:
    """Does `user` have a second factor, so that every door asks for it?"""
    return Authenticator.objects.filter(user=user).exists()


def lacks_required_factor(user: User) -> bool:
    """Does the role of `user` need a second factor that he has not set up?"""
    return user.role in settings.MFA_REQUIRED_ROLES and not has_factor(user)


def require_set_up(user: User) -> None:
    """Raise SecondFactorSetUpRequired if the role needs a factor and there is none."""
    if lacks_required_factor(user):
        raise SecondFactorSetUpRequired


def app_of(user: User) -> Authenticator | None:
    """The person's authenticator app; there is at most one."""
    return user.authenticators.filter(kind=TOTP).first()


def begin_app(user: User, secret: str = "") -> NewApp:
    """A seed for the person's app; `secret` again for the same page once more. Changes nothing."""
    seed = totp.from_text(secret) if secret else totp.make_secret()
    issuer = f"Gatehouse {urlsplit(settings.PUBLIC_URL).hostname}"
    address = totp.address_for_app(seed, issuer=issuer, account=user.email)
    return NewApp(totp.as_text(seed), address)


def check_first_code(user: User, secret: str, code: str) -> int:
    """The step of a code of the app whose seed is `secret`. Raises RecordInvalid for a wrong one.

    The caller has counted the guess.
    """
    seed = totp.from_text(secret)
    step = totp.matching_step(seed, totp.parse_code(code), timezone.now().timestamp())
    if step is None:
        audit.record(
            "account:factor:add", actor=user, target=user, result="refused", kind=TOTP.value
        )
        raise RecordInvalid({"code": [str(_("This code is not right. Take the newest one."))]})
    return step


def confirm_app(user: User, secret: str, code: str, *, name: str = "") -> tuple[str, ...]:
    """Keep the app whose seed is `secret`, proved by a code of it; replaces an older app.

    Returns the recovery codes that were made with the first factor, () when there is a set.
    Raises RecordInvalid when the code is wrong. The code is used up.
    """
    step = check_first_code(user, secret, code)
    row = Authenticator(user=user, kind=TOTP, name=_clean_name(name), last_step=step)
    row.sealed_secret = seal(secret, place=_place(row))
    try:
        with transaction.atomic():
            lock_people(user.pk)
            user.authenticators.filter(kind=TOTP).delete()
            user.remembered_browsers.all().delete()
            row.save(force_insert=True)
            audit.record("account:factor:add", actor=user, target=user, kind=TOTP.value)
            tell(user, "factor-added", factor=TOTP.value)
            return recovery.ensure_codes(user)
    except IntegrityError:
        # Two pages at once: the other one's app is there now.
        raise RecordInvalid({"code": [str(_("An app has been set up just now."))]}) from None


def rename_app(user: User, name: str) -> None:
    """Give the app another name. Raises NotFound."""
    with transaction.atomic():
        lock_people(user.pk)
        if not user.authenticators.filter(kind=TOTP).update(name=_clean_name(name)):
            raise NotFound
        audit.record("account:factor:rename", actor=user, target=user, kind=TOTP.value)


def remove_app(user: User) -> None:
    """Take the app away. Raises NotFound, FactorNeeded."""
    with transaction.atomic():
        lock_people(user.pk)
        require_not_last(user)
        if not user.authenticators.filter(kind=TOTP).delete()[0]:
            raise NotFound
        audit.record("account:factor:remove", actor=user, target=user, kind=TOTP.value)
        tell(user, "factor-removed", factor=TOTP.value)
        user.remembered_browsers.all().delete()
        recovery.drop_without_factor(user)


def require_not_last(user: User) -> None:
    """Raise FactorNeeded if the role needs a factor and `user` has only one.

    After lock_people(user.pk), so that two removals at once do not leave nothing.
    """
    if user.role in settings.MFA_REQUIRED_ROLES and user.authenticators.count() <= 1:
        raise FactorNeeded


def spend(user: User, code: str) -> str:
    """Use up a code of the app or a recovery code: "totp", "recovery_code", or "" for neither.

    Limits are the caller's; see limits.count_guess().
    """
    if spend_totp(user, code):
        return "totp"
    return "recovery_code" if has_factor(user) and recovery.spend_code(user, code) else ""


def spend_totp(user: User, code: str) -> bool:
    """Use up a code of the app; each works once, also in a race (RFC 6238, section 5.2)."""
    row = app_of(user)
    digits = totp.parse_code(code)
    if row is None or not digits:
        return False
    try:
        seed = totp.from_text(unseal(row.sealed_secret, place=_place(row)))
    except SealBroken:
        logger.exception("a seed cannot be read: ENCRYPTION_KEY has changed")
        return False
    now = timezone.now()
    step = totp.matching_step(seed, digits, now.timestamp())
    if step is None:
        return False
    unspent = Authenticator.objects.filter(pk=row.pk, last_step__lt=step)
    return unspent.update(last_step=step, last_used_at=now) == 1


def reset_factors(*, actor: Actor, user: User) -> int:
    """An operator takes away all of somebody's factors; returns how many.

    Ends the person's sessions and tokens, and tells him. Raises Forbidden, RecordInvalid when
    there are none.
    """
    require_rank(actor, user)
    if actor.pk == user.pk:
        raise RecordInvalid({"user": [str(_("change your own factors on your account page"))]})
    with transaction.atomic():
        require_rank_now(actor, user)
        kinds = sorted(user.authenticators.values_list("kind", flat=True))
        if not kinds:
            raise RecordInvalid({"user": [str(_("there is no second factor"))]})
        user.authenticators.all().delete()
        recovery.drop_without_factor(user)
        end_sign_ins(user, "second factors reset")
        audit.record("account:factor:reset", actor=actor, target=user, kinds=kinds)
        tell(user, "factors-reset")
    return len(kinds)


def note_wrong_code(user: User, action: str) -> None:
    """Write down that a code was wrong; what was typed is not written."""
    audit.record(action, actor=user, target=user, result="refused", methods=["second_factor"])


def _clean_name(name: str) -> str:
    return plain_text.clean_name(name, NAME_MAX_LENGTH) or str(_("Authenticator app"))


def _place(row: Authenticator) -> str:
    return f"authenticator.sealed_secret:{row.pk}"
