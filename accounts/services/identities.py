"""Coming in through somebody else: which account that is, whether it is admitted, with what role.

Every provider and the directory end here with an Arrival; nothing before this point knows accounts,
nothing after it knows providers. Found by (provider, issuer, subject) alone. An address connects
only where that lets nobody into somebody else's account (TRAPS 19, 30; A095).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import addresses, audit
from accounts.actors import SYSTEM
from accounts.directory.values import PROVIDER as DIRECTORY
from accounts.errors import AccountGone, Forbidden, LastOwner, NotFound, RecordInvalid
from accounts.locks import lock_people
from accounts.models import Authenticator, Identity, Invitation, User
from accounts.outbox import enqueue_mail
from accounts.plain_text import clean_name
from accounts.providers import Door
from accounts.rolemaps import Decision
from accounts.roles import OPERATORS, Role
from accounts.services.directory_names import directory_problems
from accounts.services.invited import live_invitation, take_up
from accounts.services.passwords import opens_by_password
from accounts.services.profile_updates import Told, note_handed_on, update_profile
from accounts.services.sessions import end_sign_ins
from accounts.services.signup import RegistrationClosed
from accounts.services.users import change_role, save_new
from accounts.services.verification import prove_address


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came, as the provider says after everything it says was verified.

    subject: its lasting name of the person. email_verified: said literally, `true` and nothing
    like it. claims: token kind -> claims, for roles alone.
    """

    subject: str
    issuer: str = ""
    email: str = ""
    email_verified: bool = False
    name: str = ""
    username: str = ""
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    # Why the source itself lets this person in nowhere, or "".
    disabled: str = ""
    # Of OpenID Connect, where the provider's sign-out wants it back; else "".
    id_token: str = field(default="", repr=False)


class RoleRequired(Forbidden):
    """The provider does not say what is required of whoever comes in by it."""

    code = "role_required"
    default_message = _("Your account there does not have what is needed to come in here.")


class DisabledThere(RoleRequired):
    """Whoever keeps this person's account elsewhere has disabled or locked it there."""

    code = "account_disabled"
    default_message = _(
        "Your account is disabled, expired or locked in the directory. Ask whoever manages it."
    )


class GroupsUnknown(Forbidden):
    """The source tells only a part of the groups that decide the role: neither yes nor no."""

    code = "groups_incomplete"
    default_message = _(
        "Not all of your groups were told to us, so that your role here cannot be decided. Your "
        "account stays as it is. Ask an operator: the reason is in the audit log."
    )


class AccountExists(Forbidden):
    """An account with this address exists, and this arrival does not prove that it is his."""

    code = "account_exists"
    default_message = _(
        "There is an account with your address already. Sign in to it the way you always do, then "
        "connect this provider on your account page."
    )


class EmailMissing(Forbidden):
    """The provider tells no address, and an account needs one."""

    code = "email_missing"
    default_message = _("The provider did not tell us your email address. Allow it, and try again.")


class IdentityTaken(Forbidden):
    """That identity is connected to another account."""

    code = "identity_taken"
    default_message = _("This identity is connected to another account already.")


class LastWayIn(Forbidden):
    """Without it, nobody could sign in to the account any more (A103)."""

    code = "last_way_in"
    default_message = _("This is your only way to sign in. Set up another one first.")


def arrive(door: Door, arrival: Arrival) -> User:
    """The account of whoever came in by `door`; made, connected and given its role where allowed.

    The caller goes on through the one gate and its stages. Raises RoleRequired, AccountExists,
    EmailMissing, RegistrationClosed; nothing but an audit row is written then, except that
    RoleRequired ends the sessions of an account that had come in before.
    """
    decision = decide(door, arrival)
    identity = find_identity(door, arrival)
    if arrival.disabled:
        _refuse(door, identity, decision, DisabledThere)
    if not is_told(door, identity.user if identity else None, arrival):
        _refuse_untold(door, identity, arrival)
    if not decision.is_admitted:
        _refuse(door, identity, decision)
    if identity is None:
        identity = _connect_or_make(door, arrival, decision.role or door.default_role)
    with transaction.atomic():
        lock_people(identity.user_id)
        if not Identity.objects.filter(pk=identity.pk).exists():
            raise AccountGone
        user = apply_role(door, identity.user, decision)
        _note(door, identity, arrival, decision)
    return user


def decide(door: Door, arrival: Arrival) -> Decision:
    """Whether they may come in at all, and as what."""
    if arrival.disabled:
        return Decision(False, None, arrival.disabled[:300])
    return door.mapping.decide(arrival.claims)


def is_told(door: Door, user: User | None, arrival: Arrival) -> bool:
    """Does `arrival` tell what the mapping needs to decide on `user` (None: a new person)?"""
    mapping = door.mapping
    if not mapping.why_unknown(arrival.claims):
        return True
    if not mapping.decide(arrival.claims).is_admitted:
        return False
    return user is not None and not _follows(door, user)


def _refuse_untold(door: Door, identity: Identity | None, arrival: Arrival) -> None:
    """Raise GroupsUnknown. Role and sessions stay: to be in fewer groups looks otherwise."""
    audit.record(
        "account:session:start",
        target=identity.user if identity else None,
        result="refused",
        provider=door.id,
        reason=door.mapping.why_unknown(arrival.claims)[:300],
    )
    raise GroupsUnknown


def connect(*, user: User, door: Door, arrival: Arrival) -> Identity:
    """Connect an identity to the account of the signed-in person, who has proved it just now.

    Raises IdentityTaken, RoleRequired, GroupsUnknown.
    """
    if door.mapping.requirements and not is_told(door, user, arrival):
        raise GroupsUnknown
    if not decide(door, arrival).is_admitted:
        raise RoleRequired
    found = find_identity(door, arrival)
    if found is None:
        try:
            found = _create(door, arrival, user)
        except IntegrityError:
            found = find_identity(door, arrival)  # of two at once the second gets the first's
            if found is None:
                raise IdentityTaken from None
    if found.user_id != user.pk:
        audit.record("account:identity:connect", actor=user, result="refused", provider=door.id)
        raise IdentityTaken
    return found


def disconnect(*, user: User, identity_id: Any) -> None:
    """Take away one of the person's own identities. Raises NotFound, LastWayIn."""
    with transaction.atomic():
        # The account's row is the turnstile: two removals at once do not leave no way in.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        identity = user.identities.filter(pk=identity_id).first()
        if identity is None or is_held(identity):
            raise NotFound
        if not has_other_way_in(user, identity):
            raise LastWayIn
        identity.delete()
        end_sign_ins(user, "identity disconnected")
        audit.record(
            "account:identity:disconnect", actor=user, target=user, provider=identity.provider
        )
        _tell(user, "identity-disconnected", identity.provider)


def is_held(identity: Identity) -> bool:
    """Is it the directory's? By it the account ends when the person leaves, so it stays."""
    return identity.provider == DIRECTORY and settings.LDAP is not None


def has_other_way_in(user: User, besides: Identity | Authenticator) -> bool:
    """Could `user` still sign in without this identity or passkey?"""
    others = user.identities.exclude(pk=besides.pk)
    return (
        (settings.ALLOW_EMAIL_LOGIN and user.has_usable_password() and opens_by_password(user))
        or (settings.ALLOW_MAGIC_LINK_LOGIN and user.is_verified and _gets_mail(user))
        or any(is_usable(other) for other in others)
        or user.authenticators.filter(kind="passkey").exclude(pk=besides.pk).exists()
    )


def _gets_mail(user: User) -> bool:
    return settings.MAIL.transport != "none" and not addresses.is_placeholder(user.email)


def find_identity(door: Door, arrival: Arrival) -> Identity | None:
    """Whoever came before by `door` as that subject of that issuer.

    An issuer is never left out of it: the subject of another one is somebody else.
    """
    rows = Identity.objects.select_related("user")
    return rows.filter(provider=door.id, issuer=arrival.issuer, subject=arrival.subject).first()


def is_usable(identity: Identity) -> bool:
    """Does the provider of `identity` still open here, at the issuer that it was made by?"""
    if identity.provider == DIRECTORY:
        return settings.LDAP is not None
    return any(
        (provider.id, provider.authority) == (identity.provider, identity.issuer)
        for provider in settings.SIGN_IN_PROVIDERS
    )


def _refuse(
    door: Door,
    identity: Identity | None,
    decision: Decision,
    error: type[RoleRequired] = RoleRequired,
) -> None:
    """Raise `error`; whoever lost the requirement loses the sessions that they had by it."""
    user = identity.user if identity else None
    with transaction.atomic():
        if user is not None:
            end_sign_ins(user, "not admitted by the provider")
        audit.record(
            "account:session:start", target=user, result="refused", provider=door.id,
            reason=decision.reason,
        )  # fmt: skip
    raise error


def _connect_or_make(door: Door, arrival: Arrival, role: Role) -> Identity:
    """The identity of a first arrival, a new account having `role`.

    Of two at once the second gets the first's.
    """
    email = _address_of(door, arrival)
    existing = User.objects.filter(email=email).first()
    try:
        if existing is None:
            return _register(door, arrival, email, role)
        if not _may_connect(door, arrival, existing):
            if arrival.email_verified:
                note_handed_on(
                    email, provider=door.id, issuer=arrival.issuer, subject=arrival.subject
                )
            audit.record(
                "account:identity:connect", target=existing, result="refused", provider=door.id
            )
            raise AccountExists
        with transaction.atomic():
            if prove_address(existing) is not None:
                _keep_invited_role(door, arrival, existing)
            return _create(door, arrival, existing)
    except (IntegrityError, RecordInvalid):
        found = find_identity(door, arrival)
        if found is None:
            raise AccountExists from None
        return found


def _address_of(door: Door, arrival: Arrival) -> str:
    """The stored form of the address; a place where no mail arrives where none is needed."""
    if arrival.email:
        try:
            return addresses.parse_email(arrival.email)
        except addresses.AddressError:
            if door.needs_email:
                raise EmailMissing from None
    if door.needs_email:
        raise EmailMissing
    return addresses.placeholder(door.id, arrival.subject)


def _may_connect(door: Door, arrival: Arrival, user: User) -> bool:
    """May this arrival have the account of its address without proving the account first?

    Only with an address that the provider has verified. An account that nobody has used yet (made
    in advance by an operator) is opened by that proof as by a mailed link; one that is in use only
    where the operator trusts the provider for it and no password or factor would be stepped round.
    """
    if not arrival.email_verified or not user.is_claimed:
        return False
    has_secrets = user.has_usable_password() or user.authenticators.exists()
    if user.last_login is None and not has_secrets and not user.identities.exists():
        return True
    return door.trusts_email and user.is_verified and not has_secrets


def _register(door: Door, arrival: Arrival, email: str, role: Role) -> Identity:
    """A new account. Raises RegistrationClosed, RecordInvalid when the address is taken by now.

    Whoever was invited under the verified address comes in with registration closed, and with the
    role of the invitation, or a higher one that the mapping gives.
    """
    with transaction.atomic():
        invitation = _invitation_for(door, arrival, email)
        if invitation is None:
            _check_registration(door, arrival, email)
        else:
            role = _invited_role(door, invitation, role)
        user = _new_user(door, arrival, email, role)
        if invitation is not None:
            take_up(invitation, user, is_new=False)
            _keep_invited_role(door, arrival, user)
        return _create(door, arrival, user)


def _invitation_for(door: Door, arrival: Arrival, email: str) -> Invitation | None:
    """What the verified address of a newcomer was invited to.

    Whoever writes addresses in the directory makes no administrators by that, as there; such an
    invitation waits for its link.
    """
    if not arrival.email or not arrival.email_verified:
        return None
    invitation = live_invitation(email)
    if invitation is None or (door.id == DIRECTORY and invitation.role in OPERATORS):
        return None
    return invitation


def _invited_role(door: Door, invitation: Invitation, mapped: Role) -> Role:
    """The role of the invitation; a higher one where rules of the mapping give it."""
    invited = Role(invitation.role)
    return mapped if door.mapping.rules and mapped.rank > invited.rank else invited


def _keep_invited_role(door: Door, arrival: Arrival, user: User) -> None:
    """Operators decided the role, so that a mapping which gives a lower one leaves it alone."""
    mapped = role_by(door, user, door.mapping.decide(arrival.claims))
    if mapped.rank < Role(user.role).rank:
        user.role_is_kept = True
        user.save(update_fields=["role_is_kept"])


def _check_registration(door: Door, arrival: Arrival, email: str) -> None:
    if not door.allows_registration:
        raise RegistrationClosed
    if settings.ALLOWED_EMAILS and not (
        arrival.email_verified and addresses.is_allowed(email, settings.ALLOWED_EMAILS)
    ):
        raise RegistrationClosed(str(_("Addresses of this domain cannot register here.")))


def _new_user(door: Door, arrival: Arrival, email: str, role: Role) -> User:
    user = User(email=email, name=clean_name(arrival.name), role=role)
    user.username = _free_username(door, arrival.username)
    user.email_verified_at = timezone.now() if arrival.email_verified else None
    user.set_password(None)
    return save_new(user, actor=None, source=door.id)


def _free_username(door: Door, text: str) -> str | None:
    """The provider's user name where it fits and nobody has it, for recognition only."""
    try:
        name = addresses.parse_username(text) if text else None
    except addresses.AddressError:
        return None
    if name is None or User.objects.filter(username=name).exists():
        return None
    is_the_directorys = door.id != DIRECTORY and directory_problems(User(username=name))
    return None if is_the_directorys else name


def _create(door: Door, arrival: Arrival, user: User) -> Identity:
    with transaction.atomic():
        lock_people(user.pk)
        identity = Identity.objects.create(
            user=user,
            provider=door.id,
            subject=arrival.subject,
            issuer=arrival.issuer,
            email=arrival.email[:254],
            name=clean_name(arrival.name),
        )
        audit.record("account:identity:connect", actor=user, target=user, provider=door.id)
        if user.last_login is not None:
            _tell(user, "identity-connected", door.label)
    return identity


def _tell(user: User, kind: str, provider: str) -> None:
    """Mail the person that a way in was added or taken away (ASVS 6.3.7)."""
    if _gets_mail(user):
        enqueue_mail(kind=kind, recipient=user.email, user=user, context={"provider": provider})


def role_by(door: Door, user: User, decision: Decision) -> Role:
    """The role that the mapping gives `user` now; his own where it may not touch him."""
    return decision.role or door.default_role if _follows(door, user) else Role(user.role)


def _follows(door: Door, user: User) -> bool:
    """Does the mapping decide on the role of `user`, who has an account already?"""
    if not door.mapping.updates or not door.mapping.rules or user.role_is_kept:
        return False
    return user.role != Role.OWNER or door.mapping.gives_owner


def apply_role(door: Door, user: User, decision: Decision) -> User:
    """Give the role of role_by(); the last owner stays what he is."""
    role = role_by(door, user, decision)
    if user.role == role:
        return user
    try:
        return change_role(actor=SYSTEM, user=user, role=role)
    except LastOwner:
        audit.record(
            "account:role:change", target=user, result="refused", provider=door.id,
            reason="last owner",
        )  # fmt: skip
        return user


def told_by(door: Door, arrival: Arrival) -> Told:
    """What an arrival says of address and names. The directory is where those are kept."""
    return Told(
        arrival.email, arrival.email_verified, arrival.name, arrival.username,
        is_source=door.id == DIRECTORY,
    )  # fmt: skip


def _note(door: Door, identity: Identity, arrival: Arrival, decision: Decision) -> None:
    update_profile(identity, told_by(door, arrival))
    identity.last_used_at = identity.role_decided_at = timezone.now()
    identity.role_reason = decision.reason
    identity.save(update_fields=["last_used_at", "role_decided_at", "role_reason"])
