"""Resolves an external identity to an account, and decides on admission and role.

Every provider and the directory produce an ExternalUserInfo. Nothing before this point knows
accounts; nothing after it knows providers. Identities are found by (provider, issuer, subject)
alone (OpenID Connect Core 1.0, section 5.7). An email address connects an identity to an existing
account only where that cannot give one person the account of another.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.actors import SYSTEM, Actor
from accounts.models import Invitation, User
from accounts.roles import ADMIN_ROLES, Role
from accounts.services.accept_invitation import live_invitation, role_offered, take_up
from accounts.services.approvals.acts import Act, Arguments, Line
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.credentials import LastSignInMethod, gets_mail, has_other_sign_in_method
from accounts.services.ranks import require_rank_now
from accounts.services.sessions import Renew, revoke_sessions
from accounts.services.signup import RegistrationClosed
from accounts.services.users import change_role, save_new
from accounts.services.verification import mark_email_verified
from audit import audit_log
from core.errors import Forbidden, LastOwner, NotFound, RecordInvalid, UserDeleted
from core.locks import lock_users
from core.text import email_addresses
from core.text.plain_text import clean_name
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.ldap.usernames import directory_problems
from federation.models import ExternalIdentity
from federation.paused import paused_ids
from federation.providers import SignInSource
from federation.role_mapping import Decision
from federation.services.groups import forget_groups, update_groups
from federation.services.profile_updates import ProfileUpdate, note_reassigned_email, update_profile
from mail.outbox import enqueue_mail


@dataclass(frozen=True, slots=True)
class ExternalUserInfo:
    """A user as the provider describes them, after verification of everything it said.

    subject: the provider's stable identifier. email_verified: only if it was literally `true`.
    claims: kind of token -> claims, for the role mapping.
    """

    subject: str
    issuer: str = ""
    email: str = ""
    email_verified: bool = False
    name: str = ""
    username: str = ""
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    # Why the source has disabled this account, or "".
    disabled: str = ""
    # Of OpenID Connect, for the provider's sign-out; otherwise "".
    id_token: str = field(default="", repr=False)


class RoleRequired(Forbidden):
    """The claims lack what the provider's mapping requires."""

    code = "role_required"
    default_message = _(
        "Your account at the provider does not have the access that is required here."
    )


class DisabledAtSource(RoleRequired):
    """The source has disabled or locked the account."""

    code = "account_disabled"
    default_message = _(
        "Your account is disabled, expired or locked in the directory. "
        "Ask the administrators of the directory."
    )


class GroupsIncomplete(Forbidden):
    """The source sent only some of the groups that decide the role."""

    code = "groups_incomplete"
    default_message = _(
        "We did not receive all of your groups, so your role here cannot be decided. Your account "
        "stays as it is. Ask an administrator: the reason is in the audit log."
    )


class AccountExists(Forbidden):
    """An account with this address exists, and nothing proves that it belongs to this user."""

    code = "account_exists"
    default_message = _(
        "An account with your email address already exists. Sign in to it as usual, then connect "
        "this provider on your account page."
    )


class EmailMissing(Forbidden):
    """The provider sent no email address, and an account needs one."""

    code = "email_missing"
    default_message = _("The provider did not send your email address. Allow it, then try again.")


class IdentityTaken(Forbidden):
    """The identity is connected to another account."""

    code = "identity_taken"
    default_message = _("This identity is already connected to another account.")


class LastSignInMethodOfOther(LastSignInMethod):
    """An administrator would leave the user without any method."""

    default_message = _(
        "This is their only way to sign in. Let them choose a password with a password reset "
        "first, or disable the account."
    )


def resolve_user(source: SignInSource, info: ExternalUserInfo) -> User:
    """The account of a user of `source`; creates, connects and updates its role where allowed.

    The caller continues with the sign-in flow, which asks the access policy. Raises RoleRequired,
    GroupsIncomplete, AccountExists, EmailMissing, RegistrationClosed, UserDeleted. A failure writes
    an audit row alone, except that RoleRequired ends the sessions of a known account.
    """
    decision = decide(source, info)
    identity = find_identity(source, info)
    if info.disabled:
        _refuse(source, identity, decision, DisabledAtSource)
    if not has_enough_claims(source, identity.user if identity else None, info):
        _refuse_incomplete(source, identity, info)
    if not decision.is_admitted:
        _refuse(source, identity, decision)
    if identity is None:
        identity = _connect_or_register(source, info, decision.role or source.default_role)
    with transaction.atomic():
        lock_users(identity.user_id)
        if not ExternalIdentity.objects.filter(pk=identity.pk).exists():
            raise UserDeleted
        # Groups first: a role that may not be changed leaves an audit row, which is locked last.
        update_groups(source.id, identity.user, source.groups.decide(info.claims))
        user = apply_role(source, identity.user, decision)
        _record_sign_in(source, identity, info, decision)
    return user


def decide(source: SignInSource, info: ExternalUserInfo) -> Decision:
    """Whether the user is admitted, and with which role."""
    if info.disabled:
        return Decision(False, None, info.disabled[:300])
    return source.mapping.decide(info.claims)


def has_enough_claims(source: SignInSource, user: User | None, info: ExternalUserInfo) -> bool:
    """Do the claims suffice for the mapping to decide on `user` (None: a new user)?"""
    mapping = source.mapping
    if not mapping.why_incomplete(info.claims):
        return True
    if not mapping.decide(info.claims).is_admitted:
        return False
    return user is not None and not _mapping_applies(source, user)


def _refuse_incomplete(
    source: SignInSource, identity: ExternalIdentity | None, info: ExternalUserInfo
) -> None:
    """Raise GroupsIncomplete. Role and sessions stay, because no group is known to be lost."""
    audit_log.record(
        "account:session:start",
        target=identity.user if identity else None,
        result="refused",
        provider=source.id,
        reason=source.mapping.why_incomplete(info.claims)[:300],
    )
    raise GroupsIncomplete


def connect(*, user: User, source: SignInSource, info: ExternalUserInfo) -> ExternalIdentity:
    """Connect an identity to the account of the signed-in user, and audit it.

    Call it after a recent authentication. Raises IdentityTaken, RoleRequired, GroupsIncomplete.
    """
    if source.mapping.requirements and not has_enough_claims(source, user, info):
        raise GroupsIncomplete
    if not decide(source, info).is_admitted:
        raise RoleRequired
    found = find_identity(source, info)
    if found is None:
        try:
            found = _create(source, info, user)
        except IntegrityError:
            found = find_identity(source, info)  # a concurrent request was first
            if found is None:
                raise IdentityTaken from None
    if found.user_id != user.pk:
        audit_log.record(
            "account:identity:connect", actor=user, result="refused", provider=source.id
        )
        raise IdentityTaken
    return found


def _disconnect_lines(_target: User | None, given: Arguments) -> list[Line]:
    identity = ExternalIdentity.objects.filter(pk=given["identity_id"]).first()
    return [] if identity is None else [Line(str(_("Provider")), identity.provider, str(_("none")))]


DISCONNECT = Act(
    "disconnect",
    _("Disconnect a sign-in method of %(name)s"),
    _("%(name)s cannot sign in by this provider any more, and is signed out everywhere."),
    lines=_disconnect_lines,
)


@needs_second_owner(DISCONNECT)
def disconnect(
    *, user: User, identity_id: Any, renew: Renew | None = None, actor: Actor | None = None
) -> None:
    """Disconnect one of the user's identities. Their sessions end; `renew` renews the current one.

    actor: an administrator; without one it is the user. Raises Forbidden, NotFound,
    LastSignInMethod. Sends a mail.
    """
    acting = actor or user
    with transaction.atomic():
        # Serializes removals: two at once must not remove the last sign-in method.
        if acting.pk == user.pk:
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
        else:
            require_rank_now(acting, user)
        identity = user.identities.filter(pk=identity_id).first()
        if identity is None or is_directory_managed(identity):
            raise NotFound
        if not has_other_sign_in_method(user, identity):
            raise LastSignInMethod if acting.pk == user.pk else LastSignInMethodOfOther
        require_second_owner(acting, user)
        identity.delete()
        if not user.identities.filter(provider=identity.provider).exists():
            forget_groups(identity.provider, user)
        revoke_sessions(user, "identity disconnected")
        audit_log.record(
            "account:identity:disconnect", actor=acting, target=user, provider=identity.provider
        )
        _notify(user, "identity-disconnected", identity.provider)
        if renew:
            renew()


def is_directory_managed(identity: ExternalIdentity) -> bool:
    """Does the directory manage it? Then it stays, so that the directory can end the access."""
    return identity.provider == DIRECTORY and settings.LDAP is not None


def find_identity(source: SignInSource, info: ExternalUserInfo) -> ExternalIdentity | None:
    """The known identity with that provider, issuer and subject.

    The issuer always counts: the same subject of another issuer is another person.
    """
    rows = ExternalIdentity.objects.select_related("user")
    return rows.filter(provider=source.id, issuer=info.issuer, subject=info.subject).first()


def is_usable(identity: ExternalIdentity, paused: Collection[str] | None = None) -> bool:
    """Is the provider of `identity` on, and still configured with the same issuer?

    paused: the result of paused_ids(), if it is known.
    """
    off = paused_ids() if paused is None else paused
    if identity.provider == DIRECTORY:
        is_configured = settings.LDAP is not None
    else:
        is_configured = any(
            (provider.id, provider.issuer) == (identity.provider, identity.issuer)
            for provider in settings.SIGN_IN_PROVIDERS
        )
    return is_configured and identity.provider not in off


def _refuse(
    source: SignInSource,
    identity: ExternalIdentity | None,
    decision: Decision,
    error: type[RoleRequired] = RoleRequired,
) -> None:
    """End the sessions of a known account, audit the refusal, and raise `error`."""
    user = identity.user if identity else None
    with transaction.atomic():
        if user is not None:
            revoke_sessions(user, "not admitted by the provider")
        audit_log.record(
            "account:session:start", target=user, result="refused", provider=source.id,
            reason=decision.reason,
        )  # fmt: skip
    raise error


def _connect_or_register(
    source: SignInSource, info: ExternalUserInfo, role: Role
) -> ExternalIdentity:
    """Create the identity at the first sign-in, with a new account of `role` if there is none.

    Of two concurrent requests the second returns the identity of the first.
    """
    email = _email_of(source, info)
    existing = User.objects.filter(email=email).first()
    try:
        if existing is None:
            return _register(source, info, email, role)
        if not _can_connect(source, info, existing):
            if info.email_verified:
                note_reassigned_email(
                    email, provider=source.id, issuer=info.issuer, subject=info.subject
                )
            audit_log.record(
                "account:identity:connect", target=existing, result="refused", provider=source.id
            )
            raise AccountExists
        with transaction.atomic():
            if mark_email_verified(existing) is not None:
                _keep_invited_role(source, info, existing)
            return _create(source, info, existing)
    except (IntegrityError, RecordInvalid):
        found = find_identity(source, info)
        if found is None:
            raise AccountExists from None
        return found


def _email_of(source: SignInSource, info: ExternalUserInfo) -> str:
    """The normalized address; a placeholder if there is none and the source needs none."""
    if info.email:
        try:
            return email_addresses.parse_email(info.email)
        except email_addresses.AddressError:
            if source.needs_email:
                raise EmailMissing from None
    if source.needs_email:
        raise EmailMissing
    return email_addresses.placeholder(source.id, info.subject)


def _can_connect(source: SignInSource, info: ExternalUserInfo, user: User) -> bool:
    """May this identity be connected to the existing account with the same address?

    Only if the provider has verified the address. An account that was created in advance and never
    used accepts that like a mailed link. An account in use accepts it only where the administrator
    trusts the provider's addresses, and only if no password or second factor would be bypassed.
    """
    if not info.email_verified or not user.setup_completed:
        return False
    has_secrets = user.has_usable_password() or user.authenticators.exists()
    if user.last_login is None and not has_secrets and not user.identities.exists():
        return True
    return source.trusts_email and user.is_verified and not has_secrets


def _register(
    source: SignInSource, info: ExternalUserInfo, email: str, role: Role
) -> ExternalIdentity:
    """Create an account. Raises RegistrationClosed, RecordInvalid if the address is taken by now.

    An invitation of the verified address admits the user with registration closed, too. They get
    its role, or a higher one of the mapping.
    """
    with transaction.atomic():
        invitation, offered = _invitation_for(source, info, email), dict[str, Any]()
        if invitation is None:
            _check_registration(source, info, email)
        else:
            offer = role_offered(invitation)
            is_mapped = source.mapping.rules and role.rank > Role(offer["role"]).rank
            offered = {} if is_mapped else offer
        user = _new_user(source, info, email, **({"role": role} | offered))
        if invitation is not None:
            take_up(invitation, user, is_new=False)
            _keep_invited_role(source, info, user)
        return _create(source, info, user)


def _invitation_for(source: SignInSource, info: ExternalUserInfo, email: str) -> Invitation | None:
    """The invitation of the verified address.

    Addresses in the directory must not make administrators: such an invitation needs its link.
    """
    if not info.email or not info.email_verified:
        return None
    invitation = live_invitation(email)
    if invitation is None or (source.id == DIRECTORY and invitation.role in ADMIN_ROLES):
        return None
    return invitation


def _keep_invited_role(source: SignInSource, info: ExternalUserInfo, user: User) -> None:
    """Lock the role if the mapping would lower it: an administrator chose it by the invitation.

    A role until a time needs no lock; see _mapping_applies().
    """
    if user.role_until is not None:
        return
    mapped = mapped_role(source, user, source.mapping.decide(info.claims))
    if mapped.rank < Role(user.role).rank:
        user.role_locked = True
        user.save(update_fields=["role_locked"])


def _check_registration(source: SignInSource, info: ExternalUserInfo, email: str) -> None:
    if not source.allows_registration:
        raise RegistrationClosed
    if settings.ALLOWED_EMAILS and not (
        info.email_verified and email_addresses.is_allowed(email, settings.ALLOWED_EMAILS)
    ):
        raise RegistrationClosed(str(_("Addresses of this domain cannot register here.")))


def _new_user(
    source: SignInSource, info: ExternalUserInfo, email: str, **role_and_end: Any
) -> User:
    user = User(email=email, name=clean_name(info.name), **role_and_end)
    user.username = _free_username(source, info.username)
    user.email_verified_at = timezone.now() if info.email_verified else None
    user.set_password(None)
    return save_new(user, actor=None, source=source.id)


def _free_username(source: SignInSource, text: str) -> str | None:
    """The provider's user name if it is valid and free; for display only."""
    try:
        name = email_addresses.parse_username(text) if text else None
    except email_addresses.AddressError:
        return None
    if name is None or User.objects.filter(username=name).exists():
        return None
    is_taken_in_directory = source.id != DIRECTORY and directory_problems(User(username=name))
    return None if is_taken_in_directory else name


def _create(source: SignInSource, info: ExternalUserInfo, user: User) -> ExternalIdentity:
    with transaction.atomic():
        lock_users(user.pk)
        identity = ExternalIdentity.objects.create(
            user=user,
            provider=source.id,
            subject=info.subject,
            issuer=info.issuer,
            email=info.email[:254],
            name=clean_name(info.name),
        )
        audit_log.record("account:identity:connect", actor=user, target=user, provider=source.id)
        if user.last_login is not None:
            _notify(user, "identity-connected", source.label)
    return identity


def _notify(user: User, kind: str, provider: str) -> None:
    """Mail the user that a sign-in method was added or removed (ASVS 6.3.7)."""
    if gets_mail(user):
        enqueue_mail(kind=kind, recipient=user.email, user=user, context={"provider": provider})


def mapped_role(source: SignInSource, user: User, decision: Decision) -> Role:
    """The role that the mapping assigns to `user`; the current one if it may not change it."""
    return (
        decision.role or source.default_role if _mapping_applies(source, user) else Role(user.role)
    )


def _mapping_applies(source: SignInSource, user: User) -> bool:
    """May the mapping change the role of the existing account `user`?

    It leaves a role until a time alone: an administrator gave it beside the mapping.
    """
    is_kept = user.role_locked or user.role_until is not None
    if not source.mapping.updates or not source.mapping.rules or is_kept:
        return False
    return user.role != Role.OWNER or source.mapping.gives_owner


def apply_role(source: SignInSource, user: User, decision: Decision) -> User:
    """Assign the role of mapped_role(); the last owner stays owner."""
    role = mapped_role(source, user, decision)
    if user.role == role:
        return user
    try:
        return change_role(actor=SYSTEM, user=user, role=role)
    except LastOwner:
        audit_log.record(
            "account:role:change", target=user, result="refused", provider=source.id,
            reason="last owner",
        )  # fmt: skip
        return user


def profile_update_of(source: SignInSource, info: ExternalUserInfo) -> ProfileUpdate:
    """Address and names as the source reports them. The directory is authoritative for them."""
    return ProfileUpdate(
        info.email, info.email_verified, info.name, info.username,
        is_source=source.id == DIRECTORY,
    )  # fmt: skip


def _record_sign_in(
    source: SignInSource, identity: ExternalIdentity, info: ExternalUserInfo, decision: Decision
) -> None:
    update_profile(identity, profile_update_of(source, info))
    identity.last_used_at = identity.role_decided_at = timezone.now()
    identity.role_reason = decision.reason
    identity.save(update_fields=["last_used_at", "role_decided_at", "role_reason"])
