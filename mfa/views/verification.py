"""Verification of a second factor by a form, at sign-in and on /confirm."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rate_limits import check_mfa_rate_limit, refund_attempt
from core.errors import BadCredentials, RateLimited
from core.web.single_values import read_json
from mfa.forms import SecondFactorForm
from mfa.services import authenticators, passkeys
from mfa.webauthn import PasskeyInvalid


def verify_by_form(
    request: HttpRequest, user: User, form: SecondFactorForm, *, purpose: str
) -> tuple[str, int]:
    """(method, status): "totp", "recovery_code" or "passkey" and 200, or "" with an error shown.

    form: valid. purpose: of the passkey challenge; also decides the audit action of a failure.
    """
    try:
        check_mfa_rate_limit(request, user)
        method = _verify(request, user, form.cleaned_data, purpose)
    except RateLimited as error:
        form.add_error(None, error.message)
        return "", error.status
    except BadCredentials as error:
        form.add_error(None if form.cleaned_data["passkey"] else "code", error.message)
        return "", 401
    refund_attempt(request, user)
    return method, 200


def _verify(request: HttpRequest, user: User, given: dict[str, Any], purpose: str) -> str:
    if given["passkey"]:
        passkeys.verify_passkey(request.session, user, _read(given["passkey"]), purpose)
        return "passkey"
    method = authenticators.verify_second_factor(user, given["code"])
    if not method:
        action = "account:confirm:code" if purpose == passkeys.STEP_UP else "account:session:start"
        authenticators.record_wrong_code(user, action)
        raise BadCredentials(_("This code is not correct, or it has been used."))
    return method


def _read(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        raise PasskeyInvalid from None
