"""Recovery codes: the way in when the second factor is lost. A set of ten, each works once."""

import secrets

from django.db import transaction
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import User
from accounts.services import second_factors
from accounts.services.notifications import tell
from audit import audit_log
from core.locks import lock_users
from core.tokens import digest
from mfa.models import RecoveryCode

CODES = 10
# RFC 4648 in lower case: no 0, 1, 8 that look like o, l, b. 25 letters hold 125 random bits, so
# that a plain digest is kept (ASVS 6.5.2).
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
LENGTH, GROUP = 25, 5
LOOKALIKES = str.maketrans("018", "olb")
PURPOSE = "recovery-code"


def make_codes(user: User, *, actor: Actor | None = None) -> tuple[str, ...]:
    """A new set for `user`; the older one dies. The answer is the only copy. Mails and audits."""
    codes = tuple(_make_code() for _turn in range(CODES))
    with transaction.atomic():
        lock_users(user.pk)
        user.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, digest=digest(PURPOSE, _plain(code))) for code in codes
        )
        audit_log.record(
            "account:recovery-codes:make", actor=actor or user, target=user, count=len(codes)
        )
        tell(user, "recovery-codes-made")
    return codes


def ensure_codes(user: User) -> tuple[str, ...]:
    """A set for whoever has just got his first factor; () when there is one with codes left."""
    return () if second_factors.remaining_codes(user).left else make_codes(user)


def consume_code(user: User, code: str) -> bool:
    """Use one code up: one conditional UPDATE decides who wins. Tells the person by mail."""
    plain = _plain(code)
    if len(plain) != LENGTH:
        return False
    with transaction.atomic():
        lock_users(user.pk)
        unused = user.recovery_codes.filter(digest=digest(PURPOSE, plain), used_at=None)
        if unused.update(used_at=timezone.now()) != 1:
            return False
        left = second_factors.remaining_codes(user).left
        audit_log.record("account:recovery-codes:use", actor=user, target=user, left=left)
        tell(user, "recovery-code-used", left=left)
    return True


def _make_code() -> str:
    letters = "".join(secrets.choice(LETTERS) for _associated_data in range(LENGTH))
    return "-".join(letters[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def _plain(code: str) -> str:
    """The bare letters of what somebody typed; lookalikes are taken for what they look like."""
    kept = "".join(letter for letter in code[:100].lower() if letter.isalnum())
    return kept.translate(LOOKALIKES)
