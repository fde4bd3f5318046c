"""Invitations: an administrator invites an address, and its owner gets an account with a role.

They also work while registration is closed. An invitation is used up in the transaction of its
effect. Verifying the invited address by any method accepts it: see accept_invitation.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import access_policy
from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, User
from accounts.passwords import check_password_rules
from accounts.roles import Role, can_give, can_manage, grantable
from accounts.services.accept_invitation import (
    has_entitled_inviter,
    join_groups,
    lock_account_of,
    record_action,
    role_offered,
    take_up,
)
from accounts.services.approvals import acts
from accounts.services.approvals.rule import (
    needs_second_owner,
    passing,
    require_second_owner,
)
from accounts.services.email_tokens import absolute_url
from accounts.services.end_dates import check_role_end
from accounts.services.groups.members import MAX_GROUPS_OF_USER
from accounts.services.groups.reading import groups_with_ids
from accounts.services.users import Profile, create_user, edit_profile
from accounts.services.verification import mark_email_verified
from core.crypto.tokens import digest, make_token
from core.errors import Forbidden, RecordInvalid, TokenExpired, TokenInvalid
from core.locks import ROLES, acquire_lock, delete_free, lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name
from mail.outage import will_be_sent
from mail.outbox import enqueue_mail

PURPOSE = "invitation"
LIFETIME = timedelta(days=7)
# When administrators are told that an invitation is still open.
ENDS_SOON = timedelta(days=2)
MIN_LIFETIME, MAX_LIFETIME = timedelta(minutes=1), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """`url` is the only copy of the secret. mailed: a mail service sends it, too."""

    invitation: Invitation
    url: str = field(repr=False)
    expires_at: datetime
    mailed: bool


class InvitationInvalid(TokenInvalid):
    """Withdrawn, or the inviter may no longer give its role."""

    notice = "invitation-unknown"


class InvitationBroken(InvitationInvalid):
    """No invitation has this link; it may have been cut off."""

    notice = "link-unknown"


class InvitationUsed(TokenInvalid):
    """Already accepted."""

    notice = "invitation-used"
    is_use = True


class InvitationReplaced(InvitationInvalid):
    """Replaced by a newer invitation of the same address."""

    notice = "invitation-replaced"


class InvitationExpired(TokenExpired):
    """Past its end."""

    notice = "invitation-expired"


@needs_second_owner(acts.INVITE)
def invite(
    *,
    actor: Actor,
    email: str,
    role: str = Role.VIEWER,
    lifetime: timedelta | None = None,
    expires_at: datetime | None = None,
    name: str = "",
    role_until: datetime | None = None,
    role_after: str = "",
    group_ids: Sequence[str] = (),
) -> IssuedInvitation:
    """Invite the owner of `email`: enqueues the mail, and replaces older invitations of it.

    lifetime: 1 minute to 30 days, 7 days by default; or its end as `expires_at`. name: the initial
    value of the form. role_until, role_after: see change_role(). group_ids: of groups that the
    person joins by accepting, as far as they exist then and the inviter may give them. Raises
    Forbidden for a role not below the actor's own (owners give any), and RecordInvalid for an
    invalid or taken address, or a group that does not exist.
    Nothing has changed then.
    """
    now = timezone.now()
    if expires_at is not None:
        lifetime = expires_at - now
    elif lifetime is None:
        lifetime = LIFETIME
    if role in list(Role) and not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))
    email, given = _parse(email, role, lifetime)
    token = make_token()
    check_role_end(actor, role, role_until, role_after, now)
    invitation = Invitation(
        email=email,
        name=clean_name(name),
        role=given.value,
        role_until=role_until,
        role_after=role_after,
        group_ids=list(group_ids),
        digest=digest(PURPOSE, token),
        invited_by_id=actor.pk,
        by_system=actor.pk is None,
        created_at=now,
        expires_at=now + lifetime,
    )
    url = absolute_url(reverse("accounts:invitation", args=[token]))
    with transaction.atomic():
        if isinstance(actor, User):
            access_policy.require_unchanged(actor)
        require_second_owner(actor, None, gives=given, raises_power=True)
        check_groups(invitation.group_ids)
        _write(invitation, actor)
        _mail(invitation, url)
        record_action("issue", invitation, actor)
    return IssuedInvitation(invitation, url, invitation.expires_at, will_be_sent())


def open_invitations(actor: Actor) -> QuerySet[Invitation]:
    """Usable invitations with a role that `actor` may give, newest first."""
    return invitations_in_state(actor, "live")


def invitations_in_state(actor: Actor, state: str) -> QuerySet[Invitation]:
    """Invitations with a role that `actor` may give, newest first.

    state: live, used, replaced or expired; "all" for each of them.
    """
    roles = grantable(Role(actor.role))
    rows: QuerySet[Invitation] = Invitation.objects.filter(role__in=roles)
    if state != "all":
        rows = rows & Invitation.objects.in_state(state, timezone.now())
    return rows.select_related("invited_by").order_by("-pk")


def withdraw(*, actor: Actor, invitation: Invitation) -> None:
    """Withdraw a usable invitation. Raises Forbidden for a role too high, else RecordInvalid."""
    if not can_manage(Role(actor.role), Role(invitation.role)):
        raise Forbidden(_("You may only withdraw invitations to roles below your own."))
    with transaction.atomic():
        # A request that accepts it right now holds the lock of roles.
        acquire_lock(ROLES)
        if not Invitation.objects.filter(pk=invitation.pk).replace(timezone.now()):
            raise RecordInvalid({"invitation": [_("This invitation has already ended.")]})
        record_action("withdraw", invitation, actor)


def find_invitation(token: str) -> Invitation:
    """The usable invitation with its inviter. Raises TokenInvalid, TokenExpired."""
    rows = Invitation.objects.select_related("invited_by")
    invitation: Invitation | None = rows.filter(digest=digest(PURPOSE, token)).first()
    if invitation is None:
        raise InvitationBroken
    require_live(invitation)
    return invitation


def require_live(invitation: Invitation) -> None:
    """Raise TokenInvalid or TokenExpired unless the invitation may be accepted now."""
    match invitation.state(timezone.now()):
        case "used":
            raise InvitationUsed(email=invitation.email)
        case "replaced":
            # Withdrawing leaves no newer one.
            newer = Invitation.objects.filter(email=invitation.email, pk__gt=invitation.pk)
            kind = InvitationReplaced if newer.exists() else InvitationInvalid
            raise kind(email=invitation.email)
        case "expired":
            raise InvitationExpired(email=invitation.email)
    if not has_entitled_inviter(invitation):
        raise InvitationInvalid


def accept_invitation(
    token: str, *, name: str, password: str | None, username: str | None = None
) -> User:
    """Accept the invitation: creates its account, with a verified address and the offered role.

    password: None only while ALLOW_EMAIL_LOGIN is off. The address counts as verified, because the
    link was mailed to it or handed over by an administrator. An unverified account with the address
    is taken over, and everything that was set up for it is removed. Raises TokenInvalid,
    TokenExpired; RecordInvalid for invalid values, or when the address has a verified account by
    now. The invitation stays usable then.
    """
    if not password and settings.ALLOW_EMAIL_LOGIN:
        raise RecordInvalid({"password": [_("This field is required.")]})
    with transaction.atomic():
        lock_account_of(find_invitation(token).email)
        # No role changes from here on, so the inviter stays allowed to invite.
        acquire_lock(ROLES)
        invitation = find_invitation(token)
        squatter = _unverified_account(invitation)
        if squatter is not None:
            return _take_over(squatter, name=name, password=password, username=username)
        if Invitation.objects.consume(invitation.digest, timezone.now()) is None:
            raise InvitationUsed
        # A second owner has confirmed the invitation, where one had to.
        with passing(None):
            user = create_user(
                actor=invitation.invited_by or SYSTEM,
                email=invitation.email,
                **role_offered(invitation),
                name=name,
                username=username or None,
                password=password or None,
                verified=True,
                source="invitation",
            )
        Invitation.objects.filter(pk=invitation.pk).update(user=user)
        join_groups(invitation, user)
        record_action("accept", invitation, user, target=user)
    return user


def accept_as(token: str, user: User) -> Invitation:
    """Accept the invitation with the existing account `user`, who is signed in.

    A new role ends every session, so the caller renews the current one. Raises TokenInvalid,
    TokenExpired; Forbidden when the invitation is for another address.
    """
    with transaction.atomic():
        lock_users(user.pk)
        acquire_lock(ROLES)
        invitation = find_invitation(token)
        if user.email != invitation.email:
            raise Forbidden(_("This invitation is for another address."))
        # Verifying the address accepts the invitation, too.
        if user.is_verified:
            if not take_up(invitation, user, is_new=False):
                raise InvitationUsed
        else:
            mark_email_verified(user)
    return invitation


def purge_invitations(before: datetime) -> int:
    """Delete invitations that ended before `before`; returns how many."""
    return delete_free(Invitation.objects.filter(expires_at__lt=before))


def check_address(email: str) -> str:
    """The stored form of an address that may be invited. Raises RecordInvalid."""
    try:
        email = email_addresses.parse_email(email)
    except email_addresses.AddressError as error:
        raise RecordInvalid({"email": [_(str(error))]}) from None
    if User.objects.filter(email=email).exists():
        raise RecordInvalid({"email": [_("Another account has this address.")]})
    return email


def _parse(email: str, role: str, lifetime: timedelta) -> tuple[str, Role]:
    """Address and role in their stored form. Raises RecordInvalid with all errors."""
    errors: dict[str, list[str]] = {}
    try:
        email = check_address(email)
    except RecordInvalid as error:
        errors |= error.errors
    if role not in list(Role):
        errors["role"] = [_("This is not a role.")]
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        errors["lifetime"] = [_("Choose between 1 minute and 30 days.")]
    if errors:
        raise RecordInvalid(errors)
    return email, Role(role)


def _write(invitation: Invitation, actor: Actor) -> None:
    """Insert the row and replace older ones, in the caller's transaction. See invite()."""
    # Serialises concurrent invitations of one address.
    acquire_lock(ROLES)
    if User.objects.filter(email=invitation.email).exists():
        raise RecordInvalid({"email": [_("Another account has this address.")]})
    now = timezone.now()
    older = Invitation.objects.filter(email=invitation.email)
    if older.usable(now).exclude(role__in=grantable(Role(actor.role))).exists():
        raise Forbidden(_("Someone with a higher role has already invited this address."))
    older.replace(now)
    invitation.save(force_insert=True)


def check_groups(group_ids: Sequence[str]) -> None:
    """Raise RecordInvalid if there are too many, or one does not exist any more."""
    keys = set(group_ids)
    if len(keys) > MAX_GROUPS_OF_USER:
        text = _("A person may be in %(most)d groups at most.") % {"most": MAX_GROUPS_OF_USER}
        raise RecordInvalid({"groups": [text]})
    if len(groups_with_ids(keys)) < len(keys):
        raise RecordInvalid({"groups": [_("This group does not exist any more.")]})


def _mail(invitation: Invitation, url: str) -> None:
    enqueue_mail(
        kind="invitation",
        recipient=invitation.email,
        # The inviter knows the language of their team better than a setting does.
        language=get_language() or "",
        context={
            "url": url,
            "inviter": inviter_name(invitation),
            "expires_at": invitation.expires_at.replace(second=0, microsecond=0),
        },
        expires_at=invitation.expires_at,
    )


def inviter_name(invitation: Invitation) -> str:
    """The inviter as shown to the invited person: a name or masked address; "" for the system."""
    inviter = invitation.invited_by
    return "" if inviter is None else inviter.name or email_addresses.mask_email(inviter.email)


def _unverified_account(invitation: Invitation) -> User | None:
    """The unverified account with the invited address, if the invitation may take it over.

    An account that may not act, or whose role the inviter may not give, is left alone.
    """
    user: User | None = User.objects.filter(email=invitation.email).first()
    if user is None or user.is_verified or access_policy.get_denial(user) is not None:
        return None
    inviter = invitation.invited_by or SYSTEM
    return user if can_give(Role(inviter.role), Role(user.role)) else None


def _take_over(user: User, *, name: str, password: str | None, username: str | None) -> User:
    if password:
        check_password_rules(password, User(email=user.email, name=name))
    mark_email_verified(user)
    edit_profile(actor=user, user=user, profile=Profile(name=name, username=username or ""))
    if password:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user
