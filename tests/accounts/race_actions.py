"""Actions for the processes of a race. Imported after django.setup()."""

from contextlib import suppress
from types import SimpleNamespace

from django.conf import settings
from django.db import transaction

from accounts.actors import ANONYMOUS_EMAIL, ANONYMOUS_ID, SYSTEM
from accounts.models import ApprovalRequest, BrowserSession, Invitation, User
from accounts.services import invitations, signup, undo, users
from accounts.services.approvals import requests as approvals
from accounts.services.approvals.rule import TwoPersonRequired
from accounts.services.credentials import LastSignInMethod
from api.models import ApiKey
from audit import audit_log
from audit.models import AuditEvent
from core.crypto.tokens import digest
from core.errors import AccessDenied, CannotUndo, Forbidden, LastOwner, NotFound, TokenInvalid
from core.models import NamedLock
from federation.models import ExternalIdentity
from federation.services import identities

PHRASE = "seven quiet rivers under glass"


def clear_instance() -> None:
    """No users, and an empty audit log."""
    BrowserSession.objects.all().delete()
    User.objects.all().delete()
    AuditEvent.objects.all().delete()
    NamedLock.objects.update(seq=0, hash="")


def sign_up(place: int) -> None:
    signup.sign_up_first(
        signup.SignUp(f"person{place}@example.com", "", PHRASE),
        set_up_code="",
        is_localhost=True,
    )


def anonymous_keys() -> None:
    """Only the anonymous user, who has three keys."""
    clear_instance()
    User.all_objects.filter(pk=ANONYMOUS_ID).delete()
    row = User.all_objects.create(pk=ANONYMOUS_ID, email=ANONYMOUS_EMAIL, role="editor")
    for name in ("first", "second", "third"):
        ApiKey.objects.create(id=name, user=row, name=name, digest=name, scopes=["read"])


def count_takers() -> tuple[int, int, int, bool]:
    """(admins, who has keys, keys of the admin, is the audit log whole)."""
    admins = list(User.objects.filter(role="admin"))
    owners = set(ApiKey.objects.values_list("user", flat=True))
    keys = ApiKey.objects.filter(user=admins[0]).count()
    return len(admins), len(owners), keys, audit_log.verify().broken_at is None


def count_users() -> tuple[int, int, bool]:
    """(admins, accounts, is the audit log whole)."""
    admins = User.objects.filter(role="admin").count()
    return admins, User.objects.count(), audit_log.verify().broken_at is None


def two_owners() -> None:
    clear_instance()
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
    return User.objects.active_owners().count(), audit_log.verify().broken_at is None


TOKEN = "the-one-token-of-this-race"


def one_invitation() -> None:
    """One live invitation, whose token every process knows."""
    clear_instance()
    Invitation.objects.all().delete()
    row = invitations.invite(actor=SYSTEM, email="new@example.com", role="editor").invitation
    Invitation.objects.filter(pk=row.pk).update(digest=digest(invitations.PURPOSE, TOKEN))


def accept(place: int) -> None:
    try:
        invitations.accept_invitation(TOKEN, name=f"Person {place}", password=PHRASE)
    except TokenInvalid:
        return


def count_accepted() -> tuple[int, int, int, bool]:
    """(accounts, invitations used, acceptances in the audit log, is the log whole)."""
    accepted = AuditEvent.objects.filter(action="account:invitation:accept").count()
    used = Invitation.objects.filter(used_at__isnull=False, user__isnull=False).count()
    return User.objects.count(), used, accepted, audit_log.verify().broken_at is None


PROVIDERS = tuple(SimpleNamespace(id=name, issuer="") for name in ("first", "second"))


def two_identities() -> None:
    """One person whose only ways in are two identities at providers that are set up."""
    clear_instance()
    settings.SIGN_IN_PROVIDERS = PROVIDERS
    user = User.objects.create(email="twice@example.com", password="!")
    for provider in ("first", "second"):
        ExternalIdentity.objects.create(user=user, provider=provider, subject="x")


def disconnect_one(place: int) -> None:
    """Half of all take the one away, half the other."""
    settings.SIGN_IN_PROVIDERS = PROVIDERS
    provider = ("first", "second")[place % 2]
    user = User.objects.get(email="twice@example.com")
    row = user.identities.filter(provider=provider).first()
    with suppress(LastSignInMethod, NotFound):
        if row is not None:
            identities.disconnect(user=user, identity_id=row.pk)


def count_ways_in() -> tuple[int, bool]:
    """(identities that are left, is the audit log whole)."""
    return ExternalIdentity.objects.count(), audit_log.verify().broken_at is None


def one_change() -> None:
    """An administrator has made a viewer an editor."""
    clear_instance()
    admin = User.objects.create(email="admin@example.com", role="admin")
    user = User.objects.create(email="viewer@example.com", role="viewer")
    users.change_role(actor=admin, user=user, role="editor")


def undo_it(_place: int) -> None:
    admin = User.objects.get(email="admin@example.com")
    try:
        undo.undo(actor=admin, event=AuditEvent.objects.get(seq=1))
    except CannotUndo as error:
        if str(error) != "It was undone already, by entry 2.":
            raise


def count_undone() -> tuple[int, str, bool]:
    """(undos in the audit log, the role, is the log whole)."""
    done = AuditEvent.objects.filter(undoes=1).count()
    role = User.objects.get(email="viewer@example.com").role
    return done, role, audit_log.verify().broken_at is None


def one_request() -> None:
    """Three owners; the first asks that the fourth becomes admin."""
    clear_instance()
    ApprovalRequest.objects.all().delete()
    for name in ("first", "second", "third", "fourth"):
        User.objects.create(email=f"{name}@example.com", role="owner")
    settings.TWO_PERSON_RULE = True
    with suppress(TwoPersonRequired):
        users.change_role(actor=_owner("first"), user=_owner("fourth"), role="admin")


def decide_it(place: int) -> None:
    """Two confirm it, one withdraws it, and one demotes the owner who asked for it."""
    key = ApprovalRequest.objects.get().pk
    # Forbidden: whoever is no owner any more withdraws nothing.
    with suppress(approvals.RequestClosed, AccessDenied, Forbidden):
        match place % 4:
            case 0 | 1:
                approvals.confirm(actor=_owner("second"), request_id=key)
            case 2:
                approvals.withdraw(actor=_owner("first"), request_id=key)
            case _:
                users.change_role(actor=SYSTEM, user=_owner("first"), role="admin")


def count_decisions() -> tuple[int, bool, bool]:
    """(decisions, was the act done exactly if it was confirmed, is the audit log whole)."""
    row = ApprovalRequest.objects.get()
    decided = AuditEvent.objects.filter(action__startswith="account:approval:")
    done = AuditEvent.objects.filter(action="account:role:change", target_id=row.target_id)
    was_confirmed = row.state == "confirmed"
    is_admin = _owner("fourth").role == "admin"
    fits = (done.count(), is_admin) == (int(was_confirmed), was_confirmed)
    whole = audit_log.verify().broken_at is None
    return decided.exclude(action__endswith=":ask").count(), fits, whole


def _owner(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")
