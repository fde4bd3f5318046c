"""Updates address and names of an account when its provider or the directory reports new ones.

A former address may belong to a colleague by now. So the account changes to the new address as soon
as that is verified; until then no link is mailed to the old one (held_user_ids).
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import AccountToken, Invitation, User
from accounts.roles import ADMIN_ROLES
from accounts.services.accept_invitation import live_invitation, take_up
from accounts.services.users import notify_email_changed
from audit import audit_log
from core.locks import lock_users
from core.sql import has_row
from core.text import email_addresses
from core.text.plain_text import clean_name
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.models import ExternalIdentity
from mail.outbox import enqueue_mail

MAX_NAME_LENGTH = 150


class ProfileUpdate(NamedTuple):
    """What the source reports. is_source: it is authoritative for address and names."""

    email: str
    is_verified: bool
    name: str
    username: str = ""
    is_source: bool = False


def changes_of(identity: ExternalIdentity, update: ProfileUpdate) -> list[str]:
    """The fields that update_profile() would change: "email", "name", "username"."""
    user = identity.user
    email = _normalized(update.email)
    found = []
    if email != user.email and _follows_email(identity, update) and (email or update.email == ""):
        found.append("email")
    if _new_name(identity, update):
        found.append("name")
    if _new_username(identity, update):
        found.append("username")
    return found


def update_profile(identity: ExternalIdentity, update: ProfileUpdate) -> list[str]:
    """Apply the changes; returns the names of the changed fields.

    Call it in a transaction. Sessions stay; links and mailed tokens of the old address expire.
    """
    user = identity.user
    done = ["email"] if _update_email(identity, update) else []
    values = {"name": _new_name(identity, update), "username": _new_username(identity, update)}
    for field, value in values.items():
        if value and _try_save(user, **{field: value}):
            done.append(field)
    changed = [field for field in ("name", "username") if field in done]
    if changed:
        audit_log.record(
            "account:user:edit", actor=SYSTEM, target=user, fields=changed,
            source=identity.provider,
        )  # fmt: skip
    identity.email = update.email[:254]
    identity.name = clean_name(update.name)
    identity.save(update_fields=["email", "name", "former_email"])
    return done


def held_user_ids(users: Iterable[User]) -> set[Any]:
    """Keys of users who get no mailed link, because their source reports another address."""
    asked = list(users)
    # Each link that is opened asks about one user, who rarely has an identity.
    if len(asked) == 1 and not has_row(ExternalIdentity, "user", asked[0].pk):
        return set()
    rows = ExternalIdentity.objects.filter(user__in=asked, former_email=F("user__email"))
    return set(rows.exclude(former_email="").values_list("user_id", flat=True))


def note_reassigned_email(email: str, *, provider: str, issuer: str, subject: str) -> bool:
    """Hold links to `email` in other accounts, because it belongs to `subject` now.

    True if another account had the address from the same source.
    """
    rows = ExternalIdentity.objects.filter(
        ~Q(subject=subject), provider=provider, issuer=issuer, user__email=email,
        email__iexact=email,
    ).exclude(former_email=email)  # fmt: skip
    with transaction.atomic():
        lock_users(*rows.values_list("user_id", flat=True))
        # Read again: they may have changed while we waited for the lock.
        found = list(rows.select_related("user"))
        for identity in found:
            _hold_links(identity, "another user of the source has the address")
            identity.save(update_fields=["former_email"])
    return bool(found)


def release_address(identity: ExternalIdentity) -> None:
    """Replace the address by a placeholder: the source gave it to another user."""
    user = identity.user
    before = user.email
    user.email = email_addresses.placeholder(identity.provider, identity.subject)
    user.email_verified_at = None
    with transaction.atomic():
        lock_users(user.pk)
        user.save(update_fields=["email", "email_verified_at"])
        _expire_mailed_tokens(user)
        identity.former_email = ""
        identity.email = ""
        identity.save(update_fields=["email", "former_email"])
        audit_log.record(
            "account:email:release", actor=SYSTEM, target=user, source=identity.provider,
            before=email_addresses.mask_email(before),
        )  # fmt: skip


def _normalized(email: str) -> str:
    try:
        return email_addresses.parse_email(email) if email else ""
    except email_addresses.AddressError:
        return ""


def _follows_email(identity: ExternalIdentity, update: ProfileUpdate) -> bool:
    """Did the account get its address from this source?

    Users may have another address here than at a provider that they connected later.
    """
    email = identity.user.email
    own = (_normalized(identity.email), identity.former_email)
    return update.is_source or email in own or email_addresses.is_placeholder(email)


def _update_email(identity: ExternalIdentity, update: ProfileUpdate) -> bool:
    user, new = identity.user, _normalized(update.email)
    if new == user.email:
        identity.former_email = ""
        return False
    if not _follows_email(identity, update) or (
        email_addresses.is_placeholder(user.email) and not new
    ):
        return False
    if not new:
        _hold_links(identity, "the source reports no address any more")
        return False
    # The directory is authoritative for addresses, and a placeholder address is no loss. Any other
    # unverified address is a mere claim of the user who signs in.
    is_accepted = update.is_verified or email_addresses.is_placeholder(user.email)
    if not is_accepted and (user.is_verified or not update.is_source):
        _hold_links(identity, "the new address is not verified")
        return False
    invitation = _invitation_for(identity, new) if update.is_verified else None
    old, verified_at = user.email, timezone.now() if update.is_verified else None
    if not _try_save(user, email=new, email_verified_at=verified_at):
        _hold_links(identity, "another account has the new address")
        return False
    if invitation is not None:
        take_up(invitation, user, is_new=False)
    identity.former_email = ""
    _expire_mailed_tokens(user)
    if email_addresses.is_placeholder(old):
        enqueue_mail(
            kind="email-changed", recipient=new, user=user,
            context={"new_email": email_addresses.mask_email(new)},
        )  # fmt: skip
    else:
        notify_email_changed(user, old)
    audit_log.record("account:email:change", actor=SYSTEM, target=user, source=identity.provider)
    return True


def _invitation_for(identity: ExternalIdentity, email: str) -> Invitation | None:
    """The invitation of the verified address; through the directory never for an administrator."""
    if User.objects.filter(email=email).exclude(pk=identity.user_id).exists():
        return None  # the address is taken
    invitation = live_invitation(email)
    if invitation is None:
        return None
    is_too_high = identity.provider == DIRECTORY and invitation.role in ADMIN_ROLES
    return None if is_too_high else invitation


def _hold_links(identity: ExternalIdentity, reason: str) -> None:
    """Mail no more links to the account's address; audited once."""
    user = identity.user
    if identity.former_email == user.email:
        return
    identity.former_email = user.email
    if email_addresses.is_placeholder(user.email):
        return
    _expire_mailed_tokens(user)
    audit_log.record(
        "account:email:change", actor=SYSTEM, target=user, result="refused",
        source=identity.provider, reason=reason,
    )  # fmt: skip


def _expire_mailed_tokens(user: User) -> None:
    """Invalidate tokens in the old mailbox; sign-in links are bound to the address anyway."""
    AccountToken.objects.filter(user=user).replace(timezone.now())


def _try_save(user: User, **values: Any) -> bool:
    """False if another account has the value."""
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


def _new_name(identity: ExternalIdentity, update: ProfileUpdate) -> str:
    """The new name, or ""; a name that the user chose here stays, unless is_source."""
    name = clean_name(update.name)
    is_ours = update.is_source or (identity.name != "" and identity.user.name == identity.name)
    return name if name and is_ours and name != identity.user.name else ""


def _new_username(identity: ExternalIdentity, update: ProfileUpdate) -> str:
    """The new user name, or ""; only the directory changes it, since users sign in with it."""
    if not update.is_source or not update.username:
        return ""
    try:
        name = email_addresses.parse_username(update.username)
    except email_addresses.AddressError:
        return ""
    if name == identity.user.username or User.objects.filter(username=name).exists():
        return ""
    return name
