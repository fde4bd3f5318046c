"""What the processes of a race do. Imported after django.setup()."""

from django.db import transaction

from accounts import audit
from accounts.actors import SYSTEM
from accounts.errors import LastOwner
from accounts.models import AuditEvent, BrowserSession, HouseLock, User
from accounts.services import signup, users

PHRASE = "seven quiet rivers under glass"


def empty_house() -> None:
    """Nobody, and an empty audit log."""
    BrowserSession.objects.all().delete()
    User.objects.all().delete()
    AuditEvent.objects.all().delete()
    HouseLock.objects.update(seq=0, hash="")


def sign_up(place: int) -> None:
    signup.sign_up_first(
        signup.SignUp(f"person{place}@example.com", "", PHRASE),
        set_up_code="",
        is_this_machine=True,
    )


def count_people() -> tuple[int, int, bool]:
    """(admins, accounts, is the audit log whole)."""
    admins = User.objects.filter(role="admin").count()
    return admins, User.objects.count(), audit.verify().broken_at is None


def two_owners() -> None:
    empty_house()
    for name in ("first", "second"):
        User.objects.create(email=f"{name}@example.com", role="owner")


def remove_an_owner(place: int) -> None:
    """Demote, disable or delete one of the two, by either."""
    name = "first" if place % 2 else "second"
    user = User.objects.filter(email=f"{name}@example.com").first()
    if user is None:
        return
    try:
        match place % 3:
            case 0:
                users.change_role(actor=SYSTEM, user=user, role="admin")
            case 1:
                users.disable_user(actor=SYSTEM, user=user)
            case _:
                with transaction.atomic():
                    users.delete_user(actor=SYSTEM, user=user)
    except LastOwner:
        return
    except users.RecordInvalid:
        return


def count_owners() -> tuple[int, bool]:
    """(active owners left, is the audit log whole)."""
    return User.objects.active_owners().count(), audit.verify().broken_at is None
