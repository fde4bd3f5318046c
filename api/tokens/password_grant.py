"""What becomes of a password: tokens, or the reason why not. The same steps as the sign-in page."""

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
    """Tokens for whoever knows the password, and the second factor if there is one.

    Raises Forbidden while passwords are switched off; RateLimited before anything is tried;
    BadCredentials for a wrong password and an unknown account alike; SourceUnavailable when the
    directory cannot be asked. The rest only after a right password: RoleRequired, AccountExists,
    RegistrationClosed (of the directory), AccessDenied, EmailUnverified, SecondFactorSetUpRequired,
    OtpRequired, OtpInvalid.
    """
    if not settings.ALLOW_EMAIL_LOGIN:
        raise Forbidden(_("Sign-in with a password is switched off here."))
    check_rate_limit(request, "sign-in", login)
    at = timezone.now()  # older than what is read now: a change in between ends the tokens
    try:
        found = find_by_credentials(login, password)
    except SourceUnavailable:
        note_outage("sign-in")
        raise
    if found is None:
        note_refused_sign_in(login, ["password"])
        raise BadCredentials
    user = found.user
    # A mark later than `at` was set by groups of the directory just now, or by a clock ahead: the
    # password is right for the person as he was read, and a later change ends the tokens.
    require_account_access(user, max(at, user.credentials_valid_from))
    _require_proved_address(request, user)
    methods = [str(found.method)]
    if second_factors.has_factor(user):
        methods.append(_require_second_factor(request, user, otp))
    return start_by_password(user, at, methods)


def _require_proved_address(request: HttpRequest, user: User) -> None:
    """As accounts.sign_in_stages has it for pages."""
    if user.is_verified or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN:
        return
    send_verification(request, user)
    raise EmailUnverified


def _require_second_factor(request: HttpRequest, user: User, otp: str) -> str:
    """What `otp` was: a code of the app, or a recovery code. Raises RateLimited before a try."""
    if not otp:
        raise OtpRequired
    check_mfa_rate_limit(request, user)
    method = authenticators.verify_second_factor(user, otp)
    if not method:
        note_refused_sign_in(user.email, ["password", "otp"])
        raise OtpInvalid
    refund_attempt(request, user)
    return method
