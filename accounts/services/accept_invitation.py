"""Accepting invitations: an account gets the role to which its verified address was invited.

Called wherever an address is verified; the link itself is in accounts.services.invitations.
"""

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts import access_policy
from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, User
from accounts.roles import Role, can_give
from accounts.services.approvals.rule import passing
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import groups_with_ids
from accounts.services.users import change_role
from audit import audit_log
from core.errors import Forbidden, RecordInvalid
from core.locks import ROLES, acquire_lock, lock_users


def live_invitation(email: str, *, lock: bool = True) -> Invitation | None:
    """The invitation that `email` may accept now, or None.

    lock: if there is one, lock the roles in the caller's transaction, so that the inviter stays
    allowed to invite. Call before writing anything, and after locking the account that is to accept
    it. No account is locked here: another one may have taken the address meanwhile, and users are
    locked in one order.
    """
    live = Invitation.objects.filter(email=email).usable(timezone.now())
    if not live.exists():
        return None
    if lock:
        acquire_lock(ROLES)
    invitation: Invitation | None = live.select_related("invited_by").first()
    return invitation if invitation is not None and has_entitled_inviter(invitation) else None


def lock_account_of(email: str) -> None:
    """Lock the account of that address, if there is one; see core.locks.lock_users()."""
    lock_users(*User.objects.filter(email=email).values_list("pk", flat=True))


def take_up(invitation: Invitation, user: User, *, is_new: bool) -> bool:
    """Accept `invitation` for the account `user`; False if it has been used meanwhile.

    Call in a transaction that holds the lock of roles. Writes an audit row. The account gets the
    role of the invitation if that is higher. is_new: the account still has the default role that it
    was created with, so it also gets a lower one.
    """
    if Invitation.objects.consume(invitation.digest, timezone.now()) is None:
        return False
    Invitation.objects.filter(pk=invitation.pk).update(user=user)
    offer = role_offered(invitation)
    offered, current = Role(offer["role"]), Role(user.role)
    may_lower = is_new and user.role == settings.DEFAULT_ROLE
    # A new account that has the offered role already still gets its end.
    is_other = offered != current or offer["role_until"] is not None
    if offered.rank > current.rank or (may_lower and is_other):
        # A second owner has confirmed the invitation, where one had to.
        with passing(user.pk):
            changed = change_role(
                actor=invitation.invited_by or SYSTEM,
                user=user,
                role=offered,
                until=offer["role_until"],
                then=offer["role_after"],
            )
        user.role, user.credentials_valid_from = changed.role, changed.credentials_valid_from
        user.role_until, user.role_after = changed.role_until, changed.role_after
    join_groups(invitation, user)
    record_action("accept", invitation, user, target=user)
    return True


def join_groups(invitation: Invitation, user: User) -> None:
    """Put the account into the groups of an invitation that is accepted now.

    They are decided again: a group that was deleted is left out, and so is everything if the
    inviter may not manage the account, which can have a higher role than the one offered. Call in
    the transaction that holds the lock of roles and of the account.
    """
    for group in groups_with_ids(invitation.group_ids):
        with suppress(Forbidden, RecordInvalid):
            add_member(actor=invitation.invited_by or SYSTEM, user=user, group=group)


def role_offered(invitation: Invitation) -> dict[str, Any]:
    """`role`, `role_until` and `role_after` that an invitation gives now.

    If the role that it offers has ended meanwhile, that is the role that follows.
    """
    until = invitation.role_until
    if until is not None and until <= timezone.now():
        return {"role": invitation.role_after, "role_until": None, "role_after": ""}
    return {
        "role": invitation.role,
        "role_until": until,
        "role_after": invitation.role_after,
    }


def accepted_by_address(user: User, *, is_new: bool = False) -> Invitation | None:
    """Accept the invitation of `user`'s verified address, if there is one; see take_up().

    Call in the transaction that verifies the address, before it writes to the audit log.
    """
    if live_invitation(user.email, lock=False) is None:
        return None
    lock_users(user.pk)
    invitation = live_invitation(user.email)
    if invitation is None or not take_up(invitation, user, is_new=is_new):
        return None
    return invitation


def has_entitled_inviter(invitation: Invitation) -> bool:
    """Whether the inviter may act now and may still give the role."""
    if invitation.by_system:
        return True
    inviter = invitation.invited_by
    if inviter is None or not access_policy.may_act(inviter):
        return False
    return can_give(Role(inviter.role), Role(invitation.role))


def record_action(
    act: str, invitation: Invitation, actor: Actor, *, target: User | None = None
) -> None:
    """Write the audit row of `act`: "issue", "accept" or "withdraw"."""
    audit_log.record(
        f"account:invitation:{act}",
        actor=actor,
        target=target,
        invitation=str(invitation.pk),
        role=invitation.role,
        **_group_details(invitation),
    )


def _group_details(invitation: Invitation) -> dict[str, Any]:
    """Names for the audit log; nothing for an invitation without groups."""
    names = [group.name for group in groups_with_ids(invitation.group_ids)]
    return {"groups": names} if names else {}
