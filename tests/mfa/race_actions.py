"""Actions for the processes of a race for one code. Imported after django.setup()."""

from django.db import transaction

from accounts.models import User
from audit import audit_log
from audit.models import AuditEvent
from mfa import totp
from mfa.services import authenticators
from tests.accounts.race_actions import clear_instance
from tests.mfa.authenticator import set_up_app

NAME = "racer@example.com"


def one_app() -> None:
    """One user with an authenticator and recovery codes; the codes to use are in their name."""
    clear_instance()
    user = User.objects.create(email=NAME)
    app = set_up_app(user)
    user.name = f"{totp.as_text(app.secret)} {app.code()} {app.recovery_codes[0]}"
    user.save()


def verify_totp(_place: int) -> None:
    _spend(1)


def spend_recovery_code(_place: int) -> None:
    _spend(2)


def _spend(word: int) -> None:
    user = User.objects.get(email=NAME)
    with transaction.atomic():
        method = authenticators.verify_second_factor(user, user.name.split()[word])
        if method:
            audit_log.record("test:code:won", target=user, method=method)


def count_won() -> tuple[int, bool]:
    """(how many have won, is the audit log whole)."""
    won = AuditEvent.objects.filter(action="test:code:won").count()
    return won, audit_log.verify().broken_at is None
