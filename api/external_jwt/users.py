"""Map subjects of other issuers to users, by (issuer, subject) and never by email address.

A user of another issuer may be able to claim any address, so an address in a token never gives
access to an existing account. An address that the issuer has not verified is not used at all.
"""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.roles import Role
from accounts.services.accept_invitation import live_invitation, role_offered, take_up
from accounts.services.users import save_new
from api.external_jwt.verify import ExternalClaims
from api.models import ForeignIdentity
from core.errors import Forbidden, RecordInvalid
from core.text.email_addresses import is_allowed, placeholder
from federation.models import ExternalIdentity
from federation.paused import require_issuer_on

SEEN_EVERY = timedelta(hours=1)


def find_or_create_user(claims: ExternalClaims) -> User:
    """Return the user of this subject; creates one with the role `none` if that is allowed.

    Raises Forbidden if there is no user and none may be created. Saves the last visit at most once
    an hour. Raises IssuerOff if sign-in through the issuer is switched off.
    """
    require_issuer_on(claims.issuer)
    identity = _identity(claims)
    if identity is None:
        linked = _linked_user(claims)
        if linked is not None:
            return linked
        _check_registration(claims)
        identity = _identity(claims) or _register(claims)
    _record_visit(identity)
    return identity.user


def _identity(claims: ExternalClaims) -> ForeignIdentity | None:
    return (
        ForeignIdentity.objects.filter(issuer=claims.issuer, subject=claims.subject)
        .select_related("user")
        .first()
    )


def _linked_user(claims: ExternalClaims) -> User | None:
    """Return the user who is linked to this subject by sign-in through that provider."""
    rows = ExternalIdentity.objects.filter(issuer=claims.issuer, subject=claims.subject)
    found = rows.select_related("user").order_by("id").first()
    return found.user if found else None


def _check_registration(claims: ExternalClaims) -> None:
    """Raise Forbidden unless an account may be created for this token."""
    if not settings.AUTH_JWT_REGISTRATION:
        raise Forbidden(_("No account matches this token, and automatic registration is off."))
    if settings.ALLOWED_EMAILS and not _is_listed(claims):
        raise Forbidden(_("Addresses of this domain cannot register here."))


def _is_listed(claims: ExternalClaims) -> bool:
    has_address = claims.email is not None and claims.email_verified
    return has_address and is_allowed(claims.email or "", settings.ALLOWED_EMAILS)


def _register(claims: ExternalClaims) -> ForeignIdentity:
    """Create the user and identity; the loser of a race gets those of the winner."""
    for email in _addresses(claims):
        try:
            return _create(claims, email)
        except (IntegrityError, RecordInvalid):
            identity = _identity(claims)
            if identity is not None:
                return identity
    raise Forbidden(_("No account can be created for this token."))


def _create(claims: ExternalClaims, email: str) -> ForeignIdentity:
    """Raises RecordInvalid if the address is taken, IntegrityError if the subject is."""
    is_verified = email == claims.email
    user = User(email=email, name=claims.name, role=Role.NONE)
    user.email_verified_at = timezone.now() if is_verified else None
    # This token is some seconds older than the account, and must stay valid.
    user.credentials_valid_from = min(user.credentials_valid_from, claims.issued_at)
    user.set_password(None)
    with transaction.atomic():
        invitation = live_invitation(email) if is_verified else None
        if invitation is not None:
            # Before saving, because a later change of role would revoke this token.
            for name, value in role_offered(invitation).items():
                setattr(user, name, value)
        save_new(user, actor=None, source="jwt")
        if invitation is not None:
            take_up(invitation, user, is_new=False)
        return ForeignIdentity.objects.create(
            issuer=claims.issuer, subject=claims.subject, user=user
        )


def _addresses(claims: ExternalClaims) -> list[str]:
    """The addresses to try for a new account: the one the issuer verified, then a placeholder."""
    verified = [claims.email] if claims.email and claims.email_verified else []
    return [*verified, placeholder(claims.issuer, claims.subject)]


def _record_visit(identity: ForeignIdentity) -> None:
    """Save the time of the visit, at most once in SEEN_EVERY."""
    now = timezone.now()
    if identity.last_seen_at > now - SEEN_EVERY:
        return
    rows = ForeignIdentity.objects.filter(pk=identity.pk, last_seen_at__lte=now - SEEN_EVERY)
    rows.update(last_seen_at=now)
