"""Invitations: an operator vouches for an address, and its owner makes the account himself.

They work with registration closed. An invitation is used up in the transaction that makes the
account, so a refused password or a taken name leaves it as it was.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import addresses, audit, gates
from accounts.actors import SYSTEM, Actor
from accounts.errors import Forbidden, RecordInvalid, TokenExpired, TokenInvalid
from accounts.locks import ROLES, house_lock
from accounts.models import Invitation, User
from accounts.outbox import enqueue_mail, find_transport
from accounts.roles import Role, can_give, can_manage, grantable
from accounts.services.tokens import absolute_url
from accounts.services.users import create_user
from accounts.tokens import digest, make_token

PURPOSE = "invitation"
LIFETIME = timedelta(days=7)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
NAME_MAX_LENGTH = 150


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """`url` is the only copy of the secret; mailed: a mail service takes it to the person."""

    invitation: Invitation
    url: str = field(repr=False)
    expires_at: datetime
    mailed: bool


class InvitationInvalid(TokenInvalid):
    """Unknown, withdrawn, replaced, or nobody who may give its role vouches for it any more."""

    notice = "invitation-unknown"


class InvitationUsed(TokenInvalid):
    """Its account has been made."""

    notice = "invitation-used"


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
    given = _parse_role(role)
    if not can_give(Role(actor.role), given):
        raise Forbidden(_("You may only give roles below your own."))
    lifetime = LIFETIME if lifetime is None else lifetime
    email = _parse(email, lifetime)
    token, now = make_token(), timezone.now()
    invitation = Invitation(
        email=email,
        name=" ".join(name.split())[:NAME_MAX_LENGTH],
        role=given.value,
        digest=digest(PURPOSE, token),
        invited_by_id=actor.pk,
        by_system=actor.pk is None,
        created_at=now,
        expires_at=now + lifetime,
    )
    url = absolute_url(reverse("accounts:invitation", args=[token]))
    with transaction.atomic():
        _write(invitation, actor)
        _mail(invitation, url)
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
        if not Invitation.objects.filter(pk=invitation.pk).replace(timezone.now()):
            raise RecordInvalid({"invitation": [_("This invitation is over already.")]})
        _record("withdraw", invitation, actor)


def find_invitation(token: str) -> Invitation:
    """The live invitation with its inviter. Raises TokenInvalid, TokenExpired; changes nothing."""
    rows = Invitation.objects.select_related("invited_by")
    invitation: Invitation | None = rows.filter(digest=digest(PURPOSE, token)).first()
    if invitation is None:
        raise InvitationInvalid
    match invitation.state(timezone.now()):
        case "used":
            raise InvitationUsed
        case "replaced":
            raise InvitationInvalid
        case "expired":
            raise InvitationExpired
    _require_voucher(invitation)
    return invitation


def accept_invitation(
    token: str, *, name: str, password: str | None, username: str | None = None
) -> User:
    """Use the invitation: its account with a proved address, and the role it names.

    password: None only where ALLOW_EMAIL_LOGIN is off. The address counts as proved: the mailed
    link shows it, and for a link handed over the operator vouches. Raises TokenInvalid,
    TokenExpired; RecordInvalid for what was typed, or when the address has an account by now.
    The invitation stays usable then.
    """
    if not password and settings.ALLOW_EMAIL_LOGIN:
        raise RecordInvalid({"password": [_("This field is required.")]})
    with transaction.atomic():
        # Nobody's role changes from here on: whoever vouches does so to the end.
        house_lock(ROLES)
        invitation = find_invitation(token)
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
        _record("accept", invitation, user, target=user)
    return user


def purge_invitations(before: datetime) -> int:
    """Delete invitations that ended before `before`; returns how many."""
    return Invitation.objects.filter(expires_at__lt=before).delete()[0]


def _parse_role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise RecordInvalid({"role": [_("This is no role.")]}) from None


def _parse(email: str, lifetime: timedelta) -> str:
    """The stored form of the address. Raises RecordInvalid, for a lifetime out of bounds too."""
    errors: dict[str, list[str]] = {}
    try:
        email = addresses.parse_email(email)
    except addresses.AddressError as error:
        errors["email"] = [_(str(error))]
    if not SHORTEST <= lifetime <= LONGEST:
        errors["lifetime"] = [_("Choose between 1 minute and 30 days.")]
    if errors:
        raise RecordInvalid(errors)
    return email


def _write(invitation: Invitation, actor: Actor) -> None:
    """In the caller's transaction: the row, and the end of older ones. See invite()."""
    # First, because its lock makes two invitations at once follow one another.
    _record("issue", invitation, actor)
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


def _require_voucher(invitation: Invitation) -> None:
    """Raise InvitationInvalid unless the inviter may act now and may still give the role."""
    if invitation.by_system:
        return
    inviter = invitation.invited_by
    if gates.refusal(inviter) is not None or inviter is None:
        raise InvitationInvalid
    if not can_give(Role(inviter.role), Role(invitation.role)):
        raise InvitationInvalid


def _record(act: str, invitation: Invitation, actor: Actor, *, target: User | None = None) -> None:
    audit.record(
        f"account:invitation:{act}",
        actor=actor,
        target=target,
        invitation=str(invitation.pk),
        role=invitation.role,
    )
