"""Who a subject of another issuer is here: by (issuer, subject), and never by address.

An address in a token can be claimed by whoever runs that issuer's account, so it opens no account
that exists already; and one that the issuer does not vouch for is not taken over at all.
"""

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.roles import Role
from accounts.services.accept_invitation import live_invitation, take_up
from accounts.services.users import save_new
from api.external_jwt.verify import ExternalClaims
from api.models import ForeignIdentity
from core.email_addresses import is_allowed, placeholder
from core.errors import Forbidden, RecordInvalid
from federation.models import ExternalIdentity

SEEN_EVERY = timedelta(hours=1)


def find_or_create_user(claims: ExternalClaims) -> User:
    """The account of this subject; a new one, with the role none, where that is allowed.

    Raises Forbidden when it has none and gets none. Writes the time of the visit once an hour.
    """
    identity = _identity(claims)
    if identity is None:
        connected = _connected(claims)
        if connected is not None:
            return connected
        _check_registration(claims)
        identity = _identity(claims) or _register(claims)
    _note_visit(identity)
    return identity.user


def _identity(claims: ExternalClaims) -> ForeignIdentity | None:
    return (
        ForeignIdentity.objects.filter(issuer=claims.issuer, subject=claims.subject)
        .select_related("user")
        .first()
    )


def _connected(claims: ExternalClaims) -> User | None:
    """Whoever signs in here through that provider as this subject."""
    rows = ExternalIdentity.objects.filter(issuer=claims.issuer, subject=claims.subject)
    found = rows.select_related("user").order_by("id").first()
    return found.user if found else None


def _check_registration(claims: ExternalClaims) -> None:
    """Raise Forbidden unless a stranger with this token may have an account."""
    if not settings.AUTH_JWT_REGISTRATION:
        raise Forbidden(
            _("Nobody here belongs to this token, and new people are not admitted by token.")
        )
    if settings.ALLOWED_EMAILS and not _is_listed(claims):
        raise Forbidden(_("Addresses of this domain cannot register here."))


def _is_listed(claims: ExternalClaims) -> bool:
    has_address = claims.email is not None and claims.email_verified
    return has_address and is_allowed(claims.email or "", settings.ALLOWED_EMAILS)


def _register(claims: ExternalClaims) -> ForeignIdentity:
    """Make account and identity together; of two at once the second gets the first's."""
    for email in _addresses(claims):
        try:
            return _make(claims, email)
        except (IntegrityError, RecordInvalid):
            identity = _identity(claims)
            if identity is not None:
                return identity
    raise Forbidden(_("No account can be made for this token."))


def _make(claims: ExternalClaims, email: str) -> ForeignIdentity:
    """Raises RecordInvalid when the address is taken, IntegrityError when the subject is."""
    is_proved = email == claims.email
    user = User(email=email, name=claims.name, role=Role.NONE)
    user.email_verified_at = timezone.now() if is_proved else None
    # The token that brings the person is older than the account by some seconds.
    user.credentials_valid_from = min(user.credentials_valid_from, claims.issued_at)
    user.set_password(None)
    with transaction.atomic():
        invitation = live_invitation(email) if is_proved else None
        if invitation is not None:
            # Before it is saved: a change of role would kill the token that brings the person.
            user.role = invitation.role
        save_new(user, actor=None, source="jwt")
        if invitation is not None:
            take_up(invitation, user, is_new=False)
        return ForeignIdentity.objects.create(
            issuer=claims.issuer, subject=claims.subject, user=user
        )


def _addresses(claims: ExternalClaims) -> list[str]:
    """What to try as the new account's address: what the issuer vouches for, then one of ours."""
    vouched = [claims.email] if claims.email and claims.email_verified else []
    return [*vouched, placeholder(claims.issuer, claims.subject)]


def _note_visit(identity: ForeignIdentity) -> None:
    """Write the time, unless that was done within the last hour."""
    now = timezone.now()
    if identity.last_seen_at > now - SEEN_EVERY:
        return
    rows = ForeignIdentity.objects.filter(pk=identity.pk, last_seen_at__lte=now - SEEN_EVERY)
    rows.update(last_seen_at=now)
