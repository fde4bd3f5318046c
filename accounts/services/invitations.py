"""Invitations: an operator vouches for an address, and its owner gets an account of that role.

They work with registration closed. An invitation is used up in the transaction of its effect.
Whoever verifies the invited address by any method accepts it: see accounts.services.invited.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import addresses, gates
from accounts.actors import SYSTEM, Actor
from accounts.errors import Forbidden, RecordInvalid, TokenExpired, TokenInvalid
from accounts.locks import ROLES, delete_free, house_lock, lock_people
from accounts.models import Invitation, User
from accounts.outbox import enqueue_mail, find_transport
from accounts.passwords import check_password_rules
from accounts.plain_text import clean_name
from accounts.roles import Role, can_give, can_manage, grantable
from accounts.services.invited import is_vouched_for, lock_account_of, record_act, take_up
from accounts.services.tokens import absolute_url
from accounts.services.users import Profile, create_user, edit_profile
from accounts.services.verification import prove_address
from accounts.tokens import digest, make_token

PURPOSE = "invitation"
LIFETIME = timedelta(days=7)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """`url` is the only copy of the secret; mailed: a mail service takes it to the person."""

    invitation: Invitation
    url: str = field(repr=False)
    expires_at: datetime
    mailed: bool


class InvitationInvalid(TokenInvalid):
    """Withdrawn, or nobody who may give its role vouches for it any more."""

    notice = "invitation-unknown"


class InvitationBroken(InvitationInvalid):
    """No invitation has this link: it was cut short or is a wrong one."""

    notice = "link-unknown"


class InvitationUsed(TokenInvalid):
    """Its account has been made."""

    notice = "invitation-used"
    is_use = True


class InvitationReplaced(InvitationInvalid):
    """A newer one has been issued since."""

    notice = "invitation-replaced"


class InvitationExpired(TokenExpired):
    """Past its end."""

    notice = "invitation-expired"


def invite(
    *,
    actor: Actor,
    email: str,
    role: str = Role.VIEWER,
    lifetime: timedelta | None = None,
    name: str = "",
) -> IssuedInvitation:
    """Invite the owner of `email`; writes the mail, and older live ones of that address die.

    lifetime: 1 minute to 30 days, 7 days unless told. name: what the form begins with. Raises
    Forbidden for a role not below the actor's own (owners give any), RecordInvalid naming the
    fields for a bad or taken address. Nothing has changed then.
    """
    lifetime = LIFETIME if lifetime is None else lifetime
    if role in list(Role) and not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))
    email, given = _parse(email, role, lifetime)
    token, now = make_token(), timezone.now()
    invitation = Invitation(
        email=email,
        name=clean_name(name),
        role=given.value,
        digest=digest(PURPOSE, token),
        invited_by_id=actor.pk,
        by_system=actor.pk is None,
        created_at=now,
        expires_at=now + lifetime,
    )
    url = absolute_url(reverse("accounts:invitation", args=[token]))
    with transaction.atomic():
        if isinstance(actor, User):
            gates.require_unchanged(actor)
        _write(invitation, actor)
        _mail(invitation, url)
        record_act("issue", invitation, actor)
    return IssuedInvitation(invitation, url, invitation.expires_at, find_transport() is not None)


def open_invitations(actor: Actor) -> QuerySet[Invitation]:
    """What is live now and of a role that `actor` may manage; newest first."""
    roles = grantable(Role(actor.role))
    live: QuerySet[Invitation] = Invitation.objects.usable(timezone.now())
    return live.filter(role__in=roles).select_related("invited_by").order_by("-pk")


def withdraw(*, actor: Actor, invitation: Invitation) -> None:
    """Kill a live invitation. Raises Forbidden for a role too high, RecordInvalid if it is over."""
    if not can_manage(Role(actor.role), Role(invitation.role)):
        raise Forbidden(_("You may only withdraw invitations to roles below your own."))
    with transaction.atomic():
        # Whoever takes it up at this moment holds the lock of roles.
        house_lock(ROLES)
        if not Invitation.objects.filter(pk=invitation.pk).replace(timezone.now()):
            raise RecordInvalid({"invitation": [_("This invitation is over already.")]})
        record_act("withdraw", invitation, actor)


def find_invitation(token: str) -> Invitation:
    """The live invitation with its inviter. Raises TokenInvalid, TokenExpired; changes nothing."""
    rows = Invitation.objects.select_related("invited_by")
    invitation: Invitation | None = rows.filter(digest=digest(PURPOSE, token)).first()
    if invitation is None:
        raise InvitationBroken
    match invitation.state(timezone.now()):
        case "used":
            raise InvitationUsed(email=invitation.email)
        case "replaced":
            # Withdrawing leaves no newer one.
            newer = rows.filter(email=invitation.email, pk__gt=invitation.pk)
            kind = InvitationReplaced if newer.exists() else InvitationInvalid
            raise kind(email=invitation.email)
        case "expired":
            raise InvitationExpired(email=invitation.email)
    if not is_vouched_for(invitation):
        raise InvitationInvalid
    return invitation


def accept_invitation(
    token: str, *, name: str, password: str | None, username: str | None = None
) -> User:
    """Use the invitation: its account with a verified address, and the role it names.

    password: None only where ALLOW_EMAIL_LOGIN is off. The address counts as verified: the mailed
    link shows it, and for a link handed over the operator vouches. An account that somebody has
    registered with the address without verifying it is taken over, and nothing that was set up
    for it stays. Raises TokenInvalid, TokenExpired; RecordInvalid for what was typed, or when the
    address has a verified account by now. The invitation stays usable then.
    """
    if not password and settings.ALLOW_EMAIL_LOGIN:
        raise RecordInvalid({"password": [_("This field is required.")]})
    with transaction.atomic():
        lock_account_of(find_invitation(token).email)
        # Nobody's role changes from here on: whoever vouches does so to the end.
        house_lock(ROLES)
        invitation = find_invitation(token)
        squatter = _unverified_account(invitation)
        if squatter is not None:
            return _take_over(squatter, name=name, password=password, username=username)
        if Invitation.objects.consume(invitation.digest, timezone.now()) is None:
            raise InvitationUsed
        user = create_user(
            actor=invitation.invited_by or SYSTEM,
            email=invitation.email,
            role=invitation.role,
            name=name,
            username=username or None,
            password=password or None,
            verified=True,
            source="invitation",
        )
        Invitation.objects.filter(pk=invitation.pk).update(user=user)
        record_act("accept", invitation, user, target=user)
    return user


def accept_as(token: str, user: User) -> Invitation:
    """The signed-in owner of the invited address accepts with the account there is.

    A higher role ends every session, so sign the present one in again. Raises TokenInvalid,
    TokenExpired; Forbidden for another account's address.
    """
    with transaction.atomic():
        lock_people(user.pk)
        house_lock(ROLES)
        invitation = find_invitation(token)
        if user.email != invitation.email:
            raise Forbidden(_("This invitation is for another address."))
        # Proving an unverified address accepts what it was invited to.
        if user.is_verified:
            if not take_up(invitation, user, is_new=False):
                raise InvitationUsed
        else:
            prove_address(user)
    return invitation


def purge_invitations(before: datetime) -> int:
    """Delete invitations that ended before `before`; returns how many."""
    return delete_free(Invitation.objects.filter(expires_at__lt=before))


def check_address(email: str) -> str:
    """The stored form of an address that may be invited. Raises RecordInvalid."""
    try:
        email = addresses.parse_email(email)
    except addresses.AddressError as error:
        raise RecordInvalid({"email": [_(str(error))]}) from None
    if User.objects.filter(email=email).exists():
        raise RecordInvalid({"email": [_("Another account has this address.")]})
    return email


def _parse(email: str, role: str, lifetime: timedelta) -> tuple[str, Role]:
    """Address and role as they are kept. Raises RecordInvalid with everything that is wrong."""
    errors: dict[str, list[str]] = {}
    try:
        email = check_address(email)
    except RecordInvalid as error:
        errors |= error.errors
    if role not in list(Role):
        errors["role"] = [_("This is no role.")]
    if not SHORTEST <= lifetime <= LONGEST:
        errors["lifetime"] = [_("Choose between 1 minute and 30 days.")]
    if errors:
        raise RecordInvalid(errors)
    return email, Role(role)


def _write(invitation: Invitation, actor: Actor) -> None:
    """In the caller's transaction: the row, and the end of older ones. See invite()."""
    # Two invitations at once follow one another.
    house_lock(ROLES)
    if User.objects.filter(email=invitation.email).exists():
        raise RecordInvalid({"email": [_("Another account has this address.")]})
    now = timezone.now()
    older = Invitation.objects.filter(email=invitation.email)
    if older.usable(now).exclude(role__in=grantable(Role(actor.role))).exists():
        raise Forbidden(_("Somebody above you has invited this address already."))
    older.replace(now)
    invitation.save(force_insert=True)


def _mail(invitation: Invitation, url: str) -> None:
    enqueue_mail(
        kind="invitation",
        recipient=invitation.email,
        context={
            "url": url,
            "inviter": inviter_name(invitation),
            "expires_at": invitation.expires_at.replace(second=0, microsecond=0),
        },
        expires_at=invitation.expires_at,
    )


def inviter_name(invitation: Invitation) -> str:
    """Who invites, for the invited person: a name, else a masked address; "" for the system."""
    inviter = invitation.invited_by
    return "" if inviter is None else inviter.name or addresses.mask_email(inviter.email)


def _unverified_account(invitation: Invitation) -> User | None:
    """The account that somebody has registered with the invited address but never verified.

    One that may not act, or that stands above the inviter, stays what it is: its address is taken.
    """
    user: User | None = User.objects.filter(email=invitation.email).first()
    if user is None or user.is_verified or not gates.may_act(user):
        return None
    inviter = invitation.invited_by or SYSTEM
    return user if can_give(Role(inviter.role), Role(user.role)) else None


def _take_over(user: User, *, name: str, password: str | None, username: str | None) -> User:
    if password:
        check_password_rules(password, User(email=user.email, name=name))
    prove_address(user)
    edit_profile(actor=user, user=user, profile=Profile(name=name, username=username or ""))
    if password:
        user.set_password(password)
        user.save(update_fields=["password"])
    return user
