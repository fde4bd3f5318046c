"""What a provider or the directory tells anew of somebody: address and name follow it here.

An address that was given back may be a colleague's by now. So an account moves to the new one as
soon as it is told as verified, and until then no link goes to the old one (`holds_links`).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts import addresses, audit
from accounts.actors import SYSTEM
from accounts.directory.values import PROVIDER as DIRECTORY
from accounts.locks import lock_people
from accounts.models import AccountToken, Identity, Invitation, User
from accounts.outbox import enqueue_mail
from accounts.plain_text import clean_name
from accounts.roles import OPERATORS
from accounts.services.invited import live_invitation, take_up
from accounts.services.users import tell_email_changed

MAX_NAME_LENGTH = 150


class Told(NamedTuple):
    """What the source says now. is_source: it alone says what the address and names are."""

    email: str
    is_verified: bool
    name: str
    username: str = ""
    is_source: bool = False


def changes_of(identity: Identity, told: Told) -> list[str]:
    """What update_profile() would do, for a plan: "email", "name", "username"."""
    user = identity.user
    email = _stored(told.email)
    found = []
    if email != user.email and _follows_email(identity, told) and (email or told.email == ""):
        found.append("email")
    if _new_name(identity, told):
        found.append("name")
    if _new_username(identity, told):
        found.append("username")
    return found


def update_profile(identity: Identity, told: Told) -> list[str]:
    """Take over what has changed; returns the names of what was taken over.

    Call it in a transaction. Sessions stay; links and mailed tokens of the old address die.
    """
    user = identity.user
    done = ["email"] if _update_email(identity, told) else []
    values = {"name": _new_name(identity, told), "username": _new_username(identity, told)}
    for field, value in values.items():
        if value and _write(user, **{field: value}):
            done.append(field)
    changed = [field for field in ("name", "username") if field in done]
    if changed:
        audit.record(
            "account:user:edit", actor=SYSTEM, target=user, fields=changed,
            source=identity.provider,
        )  # fmt: skip
    identity.email = told.email[:254]
    identity.name = clean_name(told.name)
    identity.save(update_fields=["email", "name", "former_email"])
    return done


def holds_links(users: Iterable[User]) -> set[Any]:
    """Keys of those to whose address no link may go: their source tells another one now."""
    rows = Identity.objects.filter(user__in=list(users), former_email=F("user__email"))
    return set(rows.exclude(former_email="").values_list("user_id", flat=True))


def may_get_links(user: User) -> bool:
    """May a link be mailed to the address of `user`?"""
    return not holds_links([user])


def note_handed_on(email: str, *, provider: str, issuer: str, subject: str) -> bool:
    """The source has said that `email` is of `subject` now: nobody else's links go there.

    True when an account had the address by the same source.
    """
    rows = Identity.objects.filter(
        ~Q(subject=subject), provider=provider, issuer=issuer, user__email=email,
        email__iexact=email,
    ).exclude(former_email=email)  # fmt: skip
    with transaction.atomic():
        lock_people(*rows.values_list("user_id", flat=True))
        # As they are now, and not when they were waited for.
        found = list(rows.select_related("user"))
        for identity in found:
            _hold(identity, "the address is told of somebody else")
            identity.save(update_fields=["former_email"])
    return bool(found)


def release_address(identity: Identity) -> None:
    """The source has given the address to somebody else, and tells no other: nothing goes there."""
    user = identity.user
    before = user.email
    user.email = addresses.placeholder(identity.provider, identity.subject)
    user.email_verified_at = None
    with transaction.atomic():
        lock_people(user.pk)
        user.save(update_fields=["email", "email_verified_at"])
        _end_mailed(user)
        identity.former_email = ""
        identity.email = ""
        identity.save(update_fields=["email", "former_email"])
        audit.record(
            "account:email:release", actor=SYSTEM, target=user, source=identity.provider,
            before=addresses.mask_email(before),
        )  # fmt: skip


def _stored(email: str) -> str:
    try:
        return addresses.parse_email(email) if email else ""
    except addresses.AddressError:
        return ""


def _follows_email(identity: Identity, told: Told) -> bool:
    """Is the account's address the one that this source has given it?

    A person may have another address here than at a provider that they connected later.
    """
    email = identity.user.email
    own = (_stored(identity.email), identity.former_email)
    return told.is_source or email in own or addresses.is_placeholder(email)


def _update_email(identity: Identity, told: Told) -> bool:
    user, new = identity.user, _stored(told.email)
    if new == user.email:
        identity.former_email = ""
        return False
    if not _follows_email(identity, told) or (addresses.is_placeholder(user.email) and not new):
        return False
    if not new:
        _hold(identity, "no address is told any more")
        return False
    # The directory is the only source of its people's addresses, and an account without one of its
    # own has nothing to lose. Elsewhere an unverified address is a claim of whoever signs in.
    is_taken = told.is_verified or addresses.is_placeholder(user.email)
    if not is_taken and (user.is_verified or not told.is_source):
        _hold(identity, "the new address is not verified")
        return False
    invitation = _invitation_for(identity, new) if told.is_verified else None
    old, proved_at = user.email, timezone.now() if told.is_verified else None
    if not _write(user, email=new, email_verified_at=proved_at):
        _hold(identity, "another account has the new address")
        return False
    if invitation is not None:
        take_up(invitation, user, is_new=False)
    identity.former_email = ""
    _end_mailed(user)
    if addresses.is_placeholder(old):
        enqueue_mail(
            kind="email-changed", recipient=new, user=user,
            context={"new_email": addresses.mask_email(new)},
        )  # fmt: skip
    else:
        tell_email_changed(user, old)
    audit.record("account:email:change", actor=SYSTEM, target=user, source=identity.provider)
    return True


def _invitation_for(identity: Identity, email: str) -> Invitation | None:
    """What the verified address was invited to. The directory makes no administrators by that."""
    if User.objects.filter(email=email).exclude(pk=identity.user_id).exists():
        return None  # the address stays theirs, and their lock is not ours to take
    invitation = live_invitation(email)
    if invitation is None:
        return None
    is_too_high = identity.provider == DIRECTORY and invitation.role in OPERATORS
    return None if is_too_high else invitation


def _hold(identity: Identity, reason: str) -> None:
    """No link goes to the account's address from now on; said once in the audit log."""
    user = identity.user
    if identity.former_email == user.email:
        return
    identity.former_email = user.email
    if addresses.is_placeholder(user.email):
        return
    _end_mailed(user)
    audit.record(
        "account:email:change", actor=SYSTEM, target=user, result="refused",
        source=identity.provider, reason=reason,
    )  # fmt: skip


def _end_mailed(user: User) -> None:
    """Whoever reads the old mailbox has links there; those of sign-in die by the address itself."""
    AccountToken.objects.filter(user=user).replace(timezone.now())


def _write(user: User, **values: Any) -> bool:
    """False when another account has it."""
    before = {name: getattr(user, name) for name in values}
    for name, value in values.items():
        setattr(user, name, value)
    try:
        with transaction.atomic():
            user.save(update_fields=list(values))
    except IntegrityError:
        for name, value in before.items():
            setattr(user, name, value)
        return False
    return True


def _new_name(identity: Identity, told: Told) -> str:
    """The name to take over, or ""; a name that the person chose here stays, unless is_source."""
    name = clean_name(told.name)
    is_ours = told.is_source or (identity.name != "" and identity.user.name == identity.name)
    return name if name and is_ours and name != identity.user.name else ""


def _new_username(identity: Identity, told: Told) -> str:
    """User names follow the directory alone, where they are typed to sign in."""
    if not told.is_source or not told.username:
        return ""
    try:
        name = addresses.parse_username(told.username)
    except addresses.AddressError:
        return ""
    if name == identity.user.username or User.objects.filter(username=name).exists():
        return ""
    return name
