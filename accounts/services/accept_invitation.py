"""What an address is invited to, and how the account of whoever verifies it gets that.

Everything that verifies an address asks here; the link itself is in accounts.services.invitations.
"""

from django.conf import settings
from django.utils import timezone

from accounts import access_policy
from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, User
from accounts.roles import Role, can_give
from accounts.services.users import change_role
from audit import audit_log
from core.locks import ROLES, acquire_lock, lock_users


def live_invitation(email: str, *, lock: bool = True) -> Invitation | None:
    """What `email` has been invited to and may accept now; None when nothing.

    lock: take the locks of the account of that address and of roles when there is one, in the
    caller's transaction, so that whoever vouches does so to the end. Call before anything else is
    written.
    """
    live = Invitation.objects.filter(email=email).usable(timezone.now())
    if not live.exists():
        return None
    if lock:
        lock_account_of(email)
        acquire_lock(ROLES)
    invitation: Invitation | None = live.select_related("invited_by").first()
    return invitation if invitation is not None and is_vouched_for(invitation) else None


def lock_account_of(email: str) -> None:
    """Hold the account of that address, if there is one; see core.locks.lock_users()."""
    lock_users(*User.objects.filter(email=email).values_list("pk", flat=True))


def take_up(invitation: Invitation, user: User, *, is_new: bool) -> bool:
    """Use `invitation` up for the account `user`: its role, its end, its audit row.

    Call in a transaction that holds the lock of roles. is_new: nobody has decided about the role
    of this account yet, so that it may also get a lower one than DEFAULT_ROLE. An account that is
    in use is raised, never lowered. False when somebody else has been first.
    """
    if Invitation.objects.consume(invitation.digest, timezone.now()) is None:
        return False
    Invitation.objects.filter(pk=invitation.pk).update(user=user)
    given, own = Role(invitation.role), Role(user.role)
    is_lowered = is_new and user.role == settings.DEFAULT_ROLE
    if given.rank > own.rank or (is_lowered and given != own):
        changed = change_role(actor=invitation.invited_by or SYSTEM, user=user, role=given)
        user.role, user.credentials_valid_from = changed.role, changed.credentials_valid_from
    record_act("accept", invitation, user, target=user)
    return True


def accepted_by_address(user: User, *, is_new: bool = False) -> Invitation | None:
    """Accept what the verified address of `user` was invited to, if anything; see take_up().

    Call in the transaction that verifies the address, before anything is audited in it.
    """
    invitation = live_invitation(user.email)
    if invitation is None or not take_up(invitation, user, is_new=is_new):
        return None
    return invitation


def is_vouched_for(invitation: Invitation) -> bool:
    """May the inviter act now, and still give the role?"""
    if invitation.by_system:
        return True
    inviter = invitation.invited_by
    if inviter is None or access_policy.get_denial(inviter) is not None:
        return False
    return can_give(Role(inviter.role), Role(invitation.role))


def record_act(
    act: str, invitation: Invitation, actor: Actor, *, target: User | None = None
) -> None:
    """The audit row of `act`: issue, accept or withdraw."""
    audit_log.record(
        f"account:invitation:{act}",
        actor=actor,
        target=target,
        invitation=str(invitation.pk),
        role=invitation.role,
    )
