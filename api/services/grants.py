"""What becomes of a password: tokens, or the reason why not. The same steps as the sign-in page."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import factors
from accounts.errors import BadCredentials, Forbidden
from accounts.limits import count_try
from accounts.models import User
from accounts.services.passwords import find_by_password
from accounts.services.sessions import note_refused_sign_in
from accounts.services.verification import send_verification
from api.access import pass_gate
from api.errors import EmailUnverified, OtpInvalid, OtpRequired
from api.services.families import Pair, start_by_password


def sign_in_by_password(request: HttpRequest, login: str, password: str, otp: str) -> Pair:
    """Tokens for whoever knows the password, and the second factor if there is one.

    Raises Forbidden while passwords are switched off; RateLimited before anything is tried;
    BadCredentials for a wrong password and an unknown account alike. The rest only after a right
    password: Refused, EmailUnverified, OtpRequired, OtpInvalid.
    """
    if not settings.ALLOW_EMAIL_LOGIN:
        raise Forbidden(_("Sign-in with a password is switched off here."))
    count_try(request, "sign-in", login)
    at = timezone.now()  # older than what is read now: a change in between ends the tokens
    user = find_by_password(login, password)
    if user is None:
        note_refused_sign_in(login, ["password"])
        raise BadCredentials
    pass_gate(user, at)
    _require_proved_address(request, user)
    methods = ["password"]
    if factors.required(user):
        _require_second_factor(user, otp)
        methods.append("otp")
    return start_by_password(user, at, methods)


def _require_proved_address(request: HttpRequest, user: User) -> None:
    """As accounts.stages has it for pages."""
    if user.is_verified or settings.ALLOW_UNVERIFIED_EMAIL_LOGIN:
        return
    send_verification(request, user)
    raise EmailUnverified


def _require_second_factor(user: User, otp: str) -> None:
    if not otp:
        raise OtpRequired
    if not factors.check(user, otp):
        note_refused_sign_in(user.email, ["password", "otp"])
        raise OtpInvalid
