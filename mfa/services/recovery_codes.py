"""Recovery codes for a lost second factor: a set of ten, each of which works once."""

import re
import secrets

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import User
from accounts.services import second_factors
from accounts.services.mail import notify
from audit import audit_log
from core.crypto.tokens import digest
from core.errors import RecordInvalid
from core.locks import lock_users
from mfa.models import RecoveryCode

CODES = 10
# RFC 4648 in lower case: without 0, 1, 8, which look like o, l, b. 25 letters hold 125 random bits,
# so a plain digest suffices (ASVS 6.5.2).
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
LENGTH, GROUP = 25, 5
LOOKALIKES = str.maketrans("018", "olb")
PURPOSE = "recovery-code"
_FORM = re.compile(rf"[{LETTERS}]{{{GROUP}}}(?:-[{LETTERS}]{{{GROUP}}}){{{LENGTH // GROUP - 1}}}")


def make_codes(user: User, *, actor: Actor | None = None) -> tuple[str, ...]:
    """A new set, the only copy of it; deletes the old set, audits, and sends a mail."""
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
        notify(user, "recovery-codes-made")
    return codes


def ensure_codes(user: User) -> tuple[str, ...]:
    """A set for a user with their first factor; () if they have unused codes."""
    return () if second_factors.remaining_codes(user).left else make_codes(user)


def consume_code(user: User, code: str) -> bool:
    """Consume one code by a conditional UPDATE; True if it was valid. Sends a mail."""
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
        notify(user, "recovery-code-used", left=left)
    return True


def read_list(text: str) -> tuple[str, ...]:
    """The codes of a list, one a line, by their form alone. Raises RecordInvalid.

    Whether they are real is not told: a stolen session could try codes here without a limit.
    """
    codes = tuple(text.split())
    if not 1 <= len(codes) <= CODES or not all(_FORM.fullmatch(code) for code in codes):
        raise RecordInvalid({"codes": [_("These are not recovery codes. Make a new set.")]})
    return codes


def _make_code() -> str:
    letters = "".join(secrets.choice(LETTERS) for _associated_data in range(LENGTH))
    return "-".join(letters[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def _plain(code: str) -> str:
    """The letters of the typed code, with lookalikes replaced."""
    kept = "".join(letter for letter in code[:100].lower() if letter.isalnum())
    return kept.translate(LOOKALIKES)
