"""Sign in with a password for tokens. The same steps as the sign-in page."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rate_limits import check_mfa_rate_limit, check_rate_limit, note_outage, refund_attempt
from accounts.services import second_factors
from accounts.services.credentials import find_by_credentials
from accounts.services.sessions import note_refused_sign_in
from accounts.services.verification import send_verification
from api.errors import EmailUnverified, OtpInvalid, OtpRequired
from api.permissions import require_account_access
from api.tokens.refresh_tokens import TokenPair, start_by_password
from core.errors import BadCredentials, Forbidden, SourceUnavailable
from mfa.services import authenticators


def sign_in_by_password(request: HttpRequest, login: str, password: str, otp: str) -> TokenPair:
    """Verify a password, and the second factor if the account has one; returns tokens.

    Raises Forbidden if sign-in with passwords is off; RateLimited before anything is verified;
    BadCredentials for a wrong password or an unknown account; SourceUnavailable if the directory
    cannot be reached. Only after a correct password: RoleRequired, AccountExists,
    RegistrationClosed (all of the directory), AccessDenied, EmailUnverified,
    SecondFactorSetUpRequired, OtpRequired, OtpInvalid.
    """
    if not settings.ALLOW_EMAIL_LOGIN:
        raise Forbidden(_("Sign-in with a password is switched off here."))
    check_rate_limit(request, "sign-in", login)
    at = timezone.now()  # before reading the user, so that a change in between revokes the tokens
    try:
        found = find_by_credentials(request, login, password)
    except SourceUnavailable:
        note_outage("sign-in")
        raise
    if found is None:
        note_refused_sign_in(login, ["password"])
        raise BadCredentials
    user = found.user
    # `credentials_valid_from` may be later than `at` if the groups of the directory have just
    # changed the role, or if a clock is ahead. The password was verified for the user as read now,
    # and a later change revokes the tokens.
    require_account_access(user, max(at, user.credentials_valid_from))
    _require_verified_email(request, user)
    methods = [str(found.method)]
    if second_factors.has_factor(user):
        methods.append(_require_second_factor(request, user, otp))
    return start_by_password(user, at, methods)


def _require_verified_email(request: HttpRequest, user: User) -> None:
    """See accounts.sign_in.stages for pages."""
    if user.is_verified or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN:
        return
    send_verification(request, user)
    raise EmailUnverified


def _require_second_factor(request: HttpRequest, user: User, otp: str) -> str:
    """Verify `otp`; returns its method. Raises RateLimited before it is verified."""
    if not otp:
        raise OtpRequired
    check_mfa_rate_limit(request, user)
    method = authenticators.verify_second_factor(user, otp)
    if not method:
        note_refused_sign_in(user.email, ["password", "otp"])
        raise OtpInvalid
    refund_attempt(request, user)
    return method
